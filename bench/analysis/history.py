"""What changed in a history, and at which commit.

A series is one figure of one configuration, on one machine and one set of data. Figures that
repeat exactly, such as quality, are compared exactly; others go through `change_points`. Changes
that several configurations of a backend share at a commit become one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.change_points import LEVEL, Shift, can_tell, changes, exact_steps, repeats
from bench.analysis.labels import labels
from bench.analysis.regression import OTHER_MACHINE_TOLERANCE
from bench.analysis.regression.limits import SAME_VERSIONS_TOLERANCE
from bench.errors import NothingToShow, UsageError, near_miss
from bench.results.derived import ALL_COLUMNS
from bench.results.history import FIGURES
from bench.results.schema import CONFIGURATION
from bench.study.plan import parameters

STEP, DRIFT = "step", "drift"
LEAST = 0.05
"""Smallest change of a noisy figure that is reported, as a share."""
LEAST_QUALITY = OTHER_MACHINE_TOLERANCE
"""The same of quality that differs between builds, as it stands."""
NEAR = 1
"""Commits that the steps of one backend may be apart and still count as one change."""
_REPEATABLE = ("quality", "memory")
_PROCESS = "memory_bytes"
"""Measured of a process, so never the same twice."""
_OF_INDEX = ("build_seconds", "memory_bytes")
_SEARCH = ("search_params", "stages", "k", "clients", "arrival")
"""Columns that do not change an index: the trials over one share its build."""
_PLACE = ["machine", "dataset", "encoder", "dataset_fingerprint", "n_queries"]


@dataclass(frozen=True)
class Place:
    """Where series may be joined: one machine and one set of data."""

    machine: str
    dataset: str
    encoder: str
    dataset_fingerprint: str
    n_queries: int


@dataclass(frozen=True)
class Series:
    """One figure of one configuration from commit to commit, (n,) in order."""

    place: Place
    figure: str
    backend: str
    configuration: str
    commits: np.ndarray
    """Position of each measurement's commit in `Found.commits`."""
    values: np.ndarray
    versions: tuple[str, ...]
    """Library versions behind each measurement, JSON."""

    @property
    def is_relative(self) -> bool:
        """Whether changes are shares of the value; those of quality are differences."""
        return ALL_COLUMNS[self.figure].group != "quality"

    @property
    def is_exact(self) -> bool:
        """Whether the figure repeats itself exactly where nothing changed."""
        column = ALL_COLUMNS[self.figure]
        if column.group not in _REPEATABLE or self.figure == _PROCESS:
            return False
        return repeats(self.values, self.commits.tolist(), self.tolerance)

    @property
    def tolerance(self) -> float:
        """What float summation may change."""
        return float(SAME_VERSIONS_TOLERANCE * max(1.0, float(np.abs(self.values).max())))


@dataclass(frozen=True)
class Change:
    """A step or a drift, of one series or of several that share it."""

    kind: str
    series: tuple[Series, ...]
    of: int
    """Series of that figure, backend and place that were measured before and after."""
    before: int
    """Position of the last commit before the change; of a drift, of its first."""
    at: int
    """Position of the commit that has the change; of a drift, of its last."""
    size: float
    """A share, or a difference where the figure is a quality; of several series the median."""
    low: float
    """Lower bound of its 95 % interval, NaN if it is exact; of several the lowest."""
    high: float
    versions: dict[str, tuple[str, str]]
    """Libraries whose versions changed, with those before and after."""

    @property
    def figure(self) -> str:
        """Name of the figure."""
        return self.series[0].figure

    @property
    def is_worse(self) -> bool:
        """Whether the figure got worse, by its declaration."""
        return (self.size < 0) == (ALL_COLUMNS[self.figure].better == "higher")


@dataclass(frozen=True)
class Found:
    """What a history shows."""

    commits: tuple[tuple[str, str], ...]
    """Name and date of each commit, oldest first."""
    series: tuple[Series, ...]
    changes: tuple[Change, ...]
    """The latest first; of one commit, the largest first."""
    short: int
    """Noisy series that have too few measurements to show a step."""

    def record(self) -> dict[str, Any]:
        """Return all of it as JSON-ready values."""
        return {
            "commits": [{"commit": name, "date": date} for name, date in self.commits],
            "series": len(self.series),
            "too_short": self.short,
            "changes": [_record(change, self) for change in self.changes],
        }


def find_changes(
    frame: pd.DataFrame, figures: list[str] | None = None, level: float = LEVEL
) -> Found:
    """Return what changed in a history (a frame of `load_history`), in `figures` or in all.

    `level` is the probability of a false alarm or more, over all noisy series together. Raises
    UsageError for a figure that a history does not follow, NothingToShow if no row is left.
    """
    for name in figures or []:
        if name not in FIGURES:
            raise UsageError(f"no figure of a history is called '{name}'{near_miss(name, FIGURES)}")
    frame = frame.reset_index(drop=True)
    order = frame[["commit", "commit_date"]].drop_duplicates("commit")
    commits = tuple(order.itertuples(index=False, name=None))
    chosen = frame[frame["figure"].isin(figures)] if figures else frame
    if chosen.empty:
        raise NothingToShow(f"the history has no {' and no '.join(figures or ['figure'])} there")
    series = tuple(_series(chosen, {name: i for i, (name, _) in enumerate(commits)}))
    noisy = [each for each in series if not each.is_exact]
    long = [each for each in noisy if can_tell(each.commits.tolist())]
    single = [
        *(c for each in series if each.is_exact for c in _exact(each)),
        *(c for each in long for c in _noisy(each, level / len(long))),
    ]
    shared = [change for group in _groups(single) for change in _shared(group, series)]
    shared.sort(key=lambda change: (-change.at, -abs(change.size)))
    return Found(commits, series, tuple(shared), len(noisy) - len(long))


def _series(frame: pd.DataFrame, position: dict[str, int]) -> Iterator[Series]:
    plain = frame.assign(
        **{c: frame[c].fillna("") for c in frame if frame[c].dtype.kind not in "fiub"}
    )
    for figure, rows in plain.groupby("figure", sort=False):
        search = _SEARCH if figure in _OF_INDEX else ()
        key = [c for c in CONFIGURATION if c not in search]
        rows = rows.drop_duplicates([*key, *_PLACE, "commit", "value"]) if search else rows
        for (backend, *_), part in rows.groupby(["backend", *_PLACE], sort=False, dropna=False):
            first = part.drop_duplicates(key)
            texts = {c: "" for c in search if c in ("search_params", "stages")}
            names = iter(labels(first.assign(**texts)))
            for _, own in part.groupby(key, sort=False, dropna=False):
                yield Series(
                    Place(*own[_PLACE].iloc[0]),
                    str(figure),
                    backend,
                    next(names),
                    own["commit"].map(position).to_numpy(),
                    own["value"].to_numpy(float),
                    tuple(own["library_versions"]),
                )


def _exact(series: Series) -> Iterator[Change]:
    for at in exact_steps(series.values, series.tolerance):
        was, now = series.values[at - 1], series.values[at]
        size = now / was - 1 if series.is_relative and was else now - was
        yield _change(series, STEP, at - 1, at, (size, np.nan, np.nan))


def _noisy(series: Series, level: float) -> Iterator[Change]:
    values, logarithmic = _additive(series)
    least = LEAST_QUALITY if not series.is_relative else np.log1p(LEAST) if logarithmic else LEAST
    found = changes(values, series.commits.tolist(), float(least), level)

    def sizes(shift: Shift) -> tuple[float, float, float]:
        raw = shift.size, shift.low, shift.high
        return tuple(np.expm1(raw).tolist()) if logarithmic else raw

    for step in found.steps:
        yield _change(series, STEP, step.at - 1, step.at, sizes(step.shift))
    for drift in found.drifts:
        yield _change(series, DRIFT, drift.start, drift.end, sizes(drift.shift))


def _additive(series: Series) -> tuple[np.ndarray, bool]:
    """Return the values on a scale on which changes add up, and whether it is logarithmic."""
    values = series.values
    if not series.is_relative:
        return values, False
    if (values > 0).all():
        return np.log(values), True
    # Memory may shrink during a build: shares of the mean size.
    return values / (float(np.abs(values).mean()) or 1.0), False


def _change(
    series: Series, kind: str, before: int, at: int, sizes: tuple[float, float, float]
) -> Change:
    first, last = int(series.commits[before]), int(series.commits[at])
    return Change(kind, (series,), 1, first, last, *sizes, _versions([series], first, last))


def _groups(single: list[Change]) -> Iterator[list[Change]]:
    """Yield the changes of one figure, backend, place, kind and direction."""

    def key(change: Change) -> tuple[Any, ...]:
        own = change.series[0]
        exact = bool(np.isnan(change.low))
        return own.figure, own.backend, str(own.place), change.kind, exact, change.size > 0

    for _, group in groupby(sorted(single, key=key), key=key):
        yield list(group)


def _shared(group: list[Change], series: tuple[Series, ...]) -> Iterator[Change]:
    """Yield the changes of a group as one where they are of one commit, or of a neighbour's."""
    left = sorted(group, key=lambda change: change.at)
    while left:
        # The commit that most of them name; drifts are one if they overlap.
        (middle, _), *_ = Counter(change.at for change in left).most_common(1)
        one = next(change for change in left if change.at == middle)
        together = [change for change in left if _meet(one, change)]
        left = [change for change in left if not any(change is each for each in together)]
        yield _joined(one, together, series)


def _meet(one: Change, other: Change) -> bool:
    if one.kind == DRIFT:
        return one.before < other.at and other.before < one.at
    # Where nothing is noise, each commit has changes of its own.
    return abs(one.at - other.at) <= (0 if np.isnan(one.low) else NEAR)


def _joined(one: Change, together: list[Change], series: tuple[Series, ...]) -> Change:
    members = tuple({id(c.series[0]): c.series[0] for c in together}.values())
    kin = [
        each
        for each in series
        if (each.figure, each.backend, each.place) == (one.figure, *_kin(members[0]))
        and (each.commits <= one.before).any()
        and (each.commits >= one.at).any()
    ]
    sizes = [change.size for change in together]
    return replace(
        one,
        series=members,
        of=max(len(kin), len(members)),
        size=float(np.median(sizes)),
        low=min(change.low for change in together),
        high=max(change.high for change in together),
        versions=_versions(members, one.before, one.at),
    )


def _kin(series: Series) -> tuple[str, Place]:
    return series.backend, series.place


def _versions(
    series: tuple[Series, ...] | list[Series], before: int, at: int
) -> dict[str, tuple[str, str]]:
    """Return the libraries whose versions differ between two commits, with both versions."""
    seen: dict[int, dict[str, str]] = {before: {}, at: {}}
    for each in series:
        for commit, text in zip(each.commits.tolist(), each.versions, strict=True):
            if commit in seen:
                seen[commit].update(parameters(text))
    one, other = seen[before], seen[at]
    names = sorted({*one, *other})
    pairs = {name: (one.get(name, ""), other.get(name, "")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _record(change: Change, found: Found) -> dict[str, Any]:
    own = change.series[0]
    return {
        "kind": change.kind,
        "figure": change.figure,
        "backend": own.backend,
        "configurations": [each.configuration for each in change.series],
        "of": change.of,
        **vars(own.place),
        "before": found.commits[change.before][0],
        "at": found.commits[change.at][0],
        "change": change.size,
        "low": change.low,
        "high": change.high,
        "is_share": own.is_relative,
        "is_worse": change.is_worse,
        "versions": {name: [*pair] for name, pair in change.versions.items()},
    }
