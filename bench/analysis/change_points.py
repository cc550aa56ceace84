"""Where a series of measurements changes level, or drifts: candidates first, then a test of each.

PELT proposes the places (Killick, Fearnhead & Eckley 2012, in ruptures), in a copy of the series
without its outliers. Each place must then pass Yuen's test of trimmed means (Yuen 1974), with an
error that allows for serial correlation, for every place that could have been chosen and for every
other series. What looks like a staircase may be a slow drift: a line is fitted to it as well, and
the better of the two is reported.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

MIN_POINTS = 4
"""Least measurements either side of a step: fewer cannot be told from an outlier or two."""
LEVEL = 0.01
"""Probability of a false alarm or more in all the series that are looked at together."""
_PENALTY = 3.0
"""Of PELT, in variances times log n: it proposes too much, and the test decides."""
_CLIP = 3.0
"""Standard deviations beyond which a measurement counts as an outlier of a proposal."""
_TRIM = 0.2
"""Share that the test leaves out at either end of a segment (Wilcox 2022)."""
_LEAST_NOISE = 1e-3
"""Standard deviation below which noise is not believed: clocks and pages come in steps."""
_MOST_CORRELATED = 0.9
_INTERVAL = 0.95


@dataclass(frozen=True)
class Shift:
    """A difference of levels on the scale of the series, with a 95 % interval."""

    size: float
    low: float
    high: float
    p: float
    """Probability of as large a difference by chance, at any of the places of the series."""


@dataclass(frozen=True)
class Step:
    """A change of level between two commits."""

    at: int
    """Position in the series of the first measurement of the new level."""
    shift: Shift


@dataclass(frozen=True)
class Drift:
    """A slow change from measurement `start` to `end`, the last one included."""

    start: int
    end: int
    shift: Shift
    """From the beginning of the line to its end."""


@dataclass(frozen=True)
class Changes:
    """What was found in one series, in its order."""

    steps: tuple[Step, ...] = ()
    drifts: tuple[Drift, ...] = ()


@dataclass
class _Series:
    """A series while it is looked at."""

    values: np.ndarray
    """(n,) float64, on a scale on which changes add up."""
    borders: np.ndarray
    """Positions at which a new commit begins, ascending."""
    noise: float
    """Robust standard deviation of one measurement."""
    tested: dict[Any, tuple[float, float, float]] = field(default_factory=dict)
    """What `_trimmed` found of two stretches."""
    proposed: int = 1
    """Places that PELT proposed."""


def changes(
    values: np.ndarray, commits: Sequence[int], least: float = 0.0, level: float = LEVEL
) -> Changes:
    """Return the steps and drifts of a noisy series.

    `values` (n,) in order of the commits, on a scale on which changes add up: logarithms of times.
    `commits` (n,) says which commit each is of, ascending; a step lies between two commits. `least`
    is the smallest change that counts, on the same scale. `level` is the probability of a false
    alarm or more: divide it among series that are looked at together.
    """
    values = np.asarray(values, float)
    borders = _borders(commits)
    if not len(borders):
        return Changes()
    series = _Series(values, borders, _noise(values))
    places = _candidates(series)
    series.proposed = max(1, len(places))
    drifts = _drifts(series, places, least, level)
    left = [at for at in places if not any(each.start < at <= each.end for each in drifts)]
    levels = replace(series, values=_without(values, drifts), tested={})
    return Changes(tuple(_large(levels, left, least, level)), tuple(drifts))


def can_tell(commits: Sequence[int]) -> bool:
    """Return whether a noisy series of these commits, (n,) ascending, could show a step."""
    return len(_borders(commits)) > 0


def exact_steps(values: np.ndarray, tolerance: float) -> list[int]:
    """Return the positions where a series without noise changes by more than `tolerance`.

    `values` (n,). One measurement is enough, before and after.
    """
    values = np.asarray(values, float)
    return [int(at) + 1 for at in np.flatnonzero(np.abs(np.diff(values)) > tolerance)]


def repeats(values: np.ndarray, commits: Sequence[int], tolerance: float) -> bool:
    """Return whether a series looks deterministic: measured again it gives the same values.

    No commit has two values further apart than `tolerance`, and of neighbouring commits no more
    than one in two differ, or one in all.
    """
    order = np.asarray(commits)
    differs = np.abs(np.diff(np.asarray(values, float))) > tolerance
    between = np.diff(order) != 0
    return not differs[~between].any() and differs.sum() <= max(1, between.sum() / 2)


def _borders(commits: Sequence[int]) -> np.ndarray:
    """Return the positions at which a commit begins that have enough measurements either side."""
    found = np.flatnonzero(np.diff(np.asarray(commits))) + 1
    return found[(found >= MIN_POINTS) & (found <= len(commits) - MIN_POINTS)]


def _noise(values: np.ndarray) -> float:
    """Return the noise by the differences of neighbours: a step is in one of them alone."""
    return max(_LEAST_NOISE, float(_deviation(np.diff(values)) / math.sqrt(2)))


def _deviation(values: np.ndarray) -> float:
    from scipy.stats import median_abs_deviation

    return float(median_abs_deviation(values, scale="normal"))


def _candidates(series: _Series) -> list[int]:
    """Return the borders that PELT proposes, ascending."""
    import ruptures
    from scipy.ndimage import median_filter

    values = series.values
    # A level of `MIN_POINTS` has the majority in each window that begins or ends with it.
    middle = median_filter(values, 2 * MIN_POINTS - 1, mode="nearest")
    margin = _CLIP * series.noise
    tame = np.clip(values, middle - margin, middle + margin)
    penalty = _PENALTY * series.noise**2 * math.log(len(values))
    pelt = ruptures.KernelCPD(kernel="linear", min_size=MIN_POINTS).fit(tame[:, None])
    found = {
        int(series.borders[np.abs(series.borders - at).argmin()])
        for at in pelt.predict(pen=penalty)[:-1]
    }
    return _apart(sorted(found), len(values))


def _apart(places: list[int], end: int) -> list[int]:
    """Return the places without those that leave too few measurements to the one before."""
    kept: list[int] = []
    for at in places:
        if at - (kept[-1] if kept else 0) >= MIN_POINTS and end - at >= MIN_POINTS:
            kept.append(at)
    return kept


def _confirmed(series: _Series, places: Sequence[int], level: float) -> list[Step]:
    """Return the steps left when the least certain is dropped until all are certain enough."""
    places = list(places)
    while places:
        ends = [0, *places, len(series.values)]
        inflation = _inflation(_residuals(series, ends), len(ends) - 1, series.noise)
        found = [
            Step(b, _shift(series, (a, b), (b, c), inflation))
            for a, b, c in zip(ends, ends[1:], ends[2:], strict=False)
        ]
        weakest = max(found, key=lambda step: step.shift.p)
        if weakest.shift.p < level:
            return found
        places.remove(weakest.at)
    return []


def _large(series: _Series, places: Sequence[int], least: float, level: float) -> list[Step]:
    """Return the steps that are large enough, after small neighbours in one direction are joined.

    Small ones still part the levels that the others are measured by.
    """
    steps = _confirmed(series, places, level)
    while small := [
        min(one, other, key=lambda step: abs(step.shift.size))
        for one, other in pairwise(steps)
        if max(abs(one.shift.size), abs(other.shift.size)) < least
        and one.shift.size * other.shift.size > 0
    ]:
        steps = _confirmed(series, [each.at for each in steps if each is not small[0]], level)
    return [step for step in steps if abs(step.shift.size) >= least]


def _shift(
    series: _Series, before: tuple[int, int], after: tuple[int, int], inflation: float
) -> Shift:
    """Return how far one stretch of the series lies above another, by its first and last + 1."""
    from scipy.stats import t

    if (before, after) not in series.tested:
        parts = (series.values[slice(*stretch)] for stretch in (before, after))
        series.tested[before, after] = _trimmed(*parts)
    size, error, degrees = series.tested[before, after]
    error *= inflation
    p = 2 * float(t.sf(abs(size) / error, degrees))
    margin = float(t.ppf((1 + _INTERVAL) / 2, degrees)) * error
    # Any border could have been the place, and each place proposed is tested.
    chances = len(series.borders) * series.proposed
    return Shift(size, size - margin, size + margin, min(1.0, p * chances))


def _trimmed(before: np.ndarray, after: np.ndarray) -> tuple[float, float, float]:
    """Return the difference of two trimmed means, its standard error, the degrees of freedom."""
    from scipy.stats import t, ttest_ind

    errors = [_LEAST_NOISE * math.sqrt(1 / len(before) + 1 / len(after))]
    # Without any noise the statistic is infinite, which the least error mends.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        for together in (False, True):
            found = ttest_ind(after, before, trim=_TRIM, equal_var=together)
            low, high = found.confidence_interval(_INTERVAL)
            errors.append((high - low) / 2 / t.ppf((1 + _INTERVAL) / 2, found.df))
    size = (high + low) / 2
    if not math.isfinite(size):
        size = np.median(after) - np.median(before)
    # A few measurements that are far apart are no level, however quiet the long one beside them.
    return float(size), float(np.nanmax(errors)), float(found.df)


def _residuals(series: _Series, ends: Sequence[int]) -> np.ndarray:
    """Return what is left of the measurements from ``ends[0]`` on without their levels."""
    parts = [series.values[a:b] for a, b in pairwise(ends)]
    return np.concatenate([part - np.median(part) for part in parts])


def _inflation(residuals: np.ndarray, levels: int, noise: float) -> float:
    """Return how much larger serial correlation makes a standard error, 1 at least.

    That of an autoregression of order one with the largest correlation that the residuals allow,
    within one standard error: a mean of n correlated values counts as fewer.
    """
    left = np.clip(residuals, -_CLIP * noise, _CLIP * noise)
    squares, n = float(left @ left), len(left)
    found = float(left[1:] @ left[:-1]) / squares if squares > 0 else 0.0
    # What is fitted to the residuals makes them look less alike than they are (Kendall 1954).
    most = found + levels * (1 + 3 * max(0.0, found)) / n + 1 / math.sqrt(n)
    most = min(_MOST_CORRELATED, max(0.0, most))
    return math.sqrt((1 + most) / (1 - most))


def _drifts(series: _Series, places: Sequence[int], least: float, level: float) -> list[Drift]:
    """Return the drifts: stretches that a line fits better than levels, the longest first."""
    ends = [0, *places, len(series.values)]
    middles = [np.median(series.values[a:b]) for a, b in pairwise(ends)]
    rises = np.diff(middles) > 0
    spans = [(i, j) for i in range(len(ends) - 1) for j in range(i + 1, len(ends))]
    drifts: list[Drift] = []
    for i, j in sorted(spans, key=lambda span: ends[span[0]] - ends[span[1]]):
        one_way = len(set(rises[i : j - 1])) < 2
        free = all(ends[j] <= each.start or each.end < ends[i] for each in drifts)
        found = _drift(series, ends[i : j + 1]) if one_way and free else None
        if found and abs(found.shift.size) >= least and found.shift.p < level:
            drifts.append(found)
    return sorted(drifts, key=lambda drift: drift.start)


def _drift(series: _Series, ends: Sequence[int]) -> Drift | None:
    """Return the line through a stretch if it fits better than its levels between `ends`."""
    from scipy.stats import theilslopes

    start, end = ends[0], ends[-1]
    n = end - start
    half = n // 2
    if half < MIN_POINTS:
        return None
    values, x = series.values[start:end], np.arange(n)
    slope, intercept, low, high = theilslopes(values, x, _INTERVAL)
    left = values - intercept - slope * x
    # Two numbers make a line; one a level, and one a place between two.
    line, stairs = 2, 2 * (len(ends) - 1) - 1
    if _criterion(left, line) >= _criterion(_residuals(series, ends), stairs):
        return None
    inflation = _inflation(left, line, series.noise)
    # Both halves, each brought to its middle along the line.
    middle = np.repeat([half / 2, half + (n - half) / 2], [half, n - half])
    brought = replace(series, values=left + slope * middle, tested={})
    shift = _shift(brought, (0, half), (half, n), inflation)
    size, margin = slope * (n - 1), inflation * (high - low) * (n - 1) / 2
    return Drift(start, end - 1, Shift(size, size - margin, size + margin, shift.p))


def _without(values: np.ndarray, drifts: Sequence[Drift]) -> np.ndarray:
    """Return the values less what drifts added to them, (n,): levels alone are left."""
    found = values.copy()
    for drift in drifts:
        found[drift.start : drift.end] -= np.linspace(
            0, drift.shift.size, drift.end - drift.start + 1
        )[:-1]
        found[drift.end :] -= drift.shift.size
    return found


def _criterion(residuals: np.ndarray, parameters: int) -> float:
    """Return the Bayesian information criterion of residuals of Laplace's distribution."""
    n = len(residuals)
    scale = max(float(np.abs(residuals).mean()), _LEAST_NOISE / 10)
    return 2 * n * math.log(scale) + parameters * math.log(n)
