"""Confidence intervals: a paired bootstrap over queries, or over groups of queries.

A sample in which no query lost anything would give an interval of no width, although the next
query may lose. So each bound adds one pseudo-query to the sample, the worst one for that bound: it
loses what a typical query has (lower bound) or gains it (upper bound). Source: Gaffke 2005, with a
milder worst case. `tests/experiments/coverage.py` and `selection.py` show what the bounds hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
POWER = 0.8
"""Chance with which `queries_needed` would show what was asked."""
_TAIL = (1 - LEVEL) / 2
_POWER_Z = 0.8416
"""Standard normal quantile of `POWER`."""


@dataclass(frozen=True)
class Bounds:
    """Estimates of K figures with bounds that hold for all of them at once, in 95 % of samples."""

    estimate: np.ndarray
    """(K,) float64."""
    low: np.ndarray
    """(K,) float64."""
    high: np.ndarray
    """(K,) float64."""
    critical: float
    """Standard errors between an estimate and its lower bound; it grows with K."""


class Bootstrap:
    """Paired bootstrap: all figures from one object share its resamples.

    A resample draws as many queries as there are, with replacement. With `groups` it draws whole
    groups, since queries of one source are alike. One matrix holds how often each was drawn, so
    that one product gives all figures. Source: Efron & Tibshirani 1993; paired over queries as in
    Sakai 2006; whole groups as in Davison & Hinkley 1997, section 3.8.
    """

    def __init__(
        self,
        n_queries: int,
        seed: int = 0,
        resamples: int = RESAMPLES,
        groups: Sequence[str] | None = None,
    ) -> None:
        """`groups`: the group of each query, (q,); each query is its own if None."""
        self._unit = np.arange(n_queries)
        if groups is not None:
            self._unit = np.unique(np.asarray(groups), return_inverse=True)[1]
        self._sizes = np.bincount(self._unit).astype(float)
        drawn = len(self._sizes) + 1  # the last is the pseudo-query, or a group of them
        self._weights = (
            np.random.default_rng(seed)
            .multinomial(drawn, np.full(drawn, 1 / drawn), size=resamples)
            .astype(np.float32)
        )

    @property
    def n_units(self) -> int:
        """Number of queries, or groups, that a resample draws."""
        return len(self._sizes)

    def mean(self, values: np.ndarray) -> tuple[float, float, float]:
        """Return the mean of (q,) `values` between 0 and 1, with the bounds of its interval."""
        size = self._sizes.mean()
        total = self._summed(values)
        low = self._quantile(total, self._sizes, (0.0, size), _TAIL)
        high = self._quantile(total, self._sizes, (size, size), 1 - _TAIL)
        return float(values.mean()), low, high

    def ratio(self, values: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
        """Return mean(values) / mean(reference) with its interval; NaN if all references are 0."""
        if not reference.any():
            return (float("nan"),) * 3
        found, base = self._summed(values), self._summed(reference)
        low = self._quantile(found, base, (0.0, _typical(base)), _TAIL)
        high = self._quantile(found, base, (_typical(found), 0.0), 1 - _TAIL)
        return float(values.mean() / reference.mean()), low, high

    def ratios(self, values: np.ndarray, reference: np.ndarray) -> Bounds:
        """Return mean(values) / mean(reference) of (K, q) `values`, with simultaneous bounds.

        `reference` is (q,), not all zero. The bounds are those of the largest studentised deviation
        (max-T; Romano & Wolf 2005), corrected for the skewness that rare losses cause (Johnson
        1978).
        """
        found, base = self._summed(values), self._summed(reference)
        low, critical = self._lower(found, base, 0.0, _typical(base))
        minus_high, _ = self._lower(-found, base, -np.array([_typical(f) for f in found]), 0.0)
        return Bounds(found.sum(axis=1) / base.sum(), low, -minus_high, critical)

    def differences(self, values: np.ndarray, others: np.ndarray) -> Bounds:
        """Return mean(values - others), both (K, q), with simultaneous bounds as in `ratios`."""
        found, rival = self._summed(values), self._summed(others)
        size = self._sizes.mean()
        lost = -np.array([_typical(r) for r in rival])
        won = np.array([_typical(f) for f in found])
        low, critical = self._lower(found - rival, self._sizes, lost, size)
        minus_high, _ = self._lower(rival - found, self._sizes, -won, size)
        return Bounds((values - others).mean(axis=1), low, -minus_high, critical)

    def queries_needed(
        self, values: np.ndarray, reference: np.ndarray, share: float, critical: float
    ) -> int | None:
        """Return how many queries would show, with a chance of 0.8, that `share` is kept.

        `values` and `reference` (q,) are the queries at hand; more are taken to be like them.
        `critical` as in `Bounds`. None if the estimate itself is below `share`.
        """
        found, base = self._summed(values), self._summed(reference)
        mean = float((found - share * base).mean())
        if mean <= 0:
            return None
        # The pseudo-query counts in the spread, or a sample without a loss would promise too much.
        worst = share * _typical(base)
        spread = float(np.append(found - share * base, -worst).std())
        step = (critical + _POWER_Z) * spread
        root = (step + math.sqrt(step**2 + 4 * mean * worst)) / (2 * mean)
        return math.ceil(root**2 * float(self._sizes.mean()))

    def _summed(self, values: np.ndarray) -> np.ndarray:
        """Return the sums of (…, q) values within each unit, (…, u) float64."""
        if len(self._unit) == len(self._sizes) and (self._unit == np.arange(len(self._unit))).all():
            return np.asarray(values, dtype=float)
        order = np.argsort(self._unit, kind="stable")
        starts = np.concatenate([[0], np.cumsum(self._sizes[:-1])]).astype(int)
        return np.asarray(np.add.reduceat(values[..., order], starts, axis=-1), dtype=float)

    def _resampled(
        self, found: np.ndarray, base: np.ndarray, pseudo: tuple[np.ndarray | float, float]
    ) -> np.ndarray:
        """Return sum(found) / sum(base) per resample, (r, …), with the pseudo-unit added."""
        own, extra = self._weights[:, :-1], self._weights[:, -1]
        above = own @ found.T.astype(np.float32) + np.multiply.outer(extra, pseudo[0])
        below = own @ base.astype(np.float32) + extra * pseudo[1]
        below = below.reshape(-1, *[1] * (above.ndim - 1))
        ratios = np.full(above.shape, np.nan)
        np.divide(above, below, out=ratios, where=below > 0)
        return ratios

    def _quantile(
        self, found: np.ndarray, base: np.ndarray, pseudo: tuple[float, float], at: float
    ) -> float:
        return float(np.nanquantile(self._resampled(found, base, pseudo), at))

    def _lower(
        self, found: np.ndarray, base: np.ndarray, pseudo: np.ndarray | float, pseudo_base: float
    ) -> tuple[np.ndarray, float]:
        """Return simultaneous lower bounds of sum(found) / sum(base), (K,), and the critical T."""
        pseudo = np.broadcast_to(np.asarray(pseudo, dtype=float), len(found))
        total = base.sum() + pseudo_base
        estimate = (found.sum(axis=1) + pseudo) / total
        drawn = self._resampled(found, base, (pseudo, pseudo_base))
        error = np.nanstd(drawn, axis=0)
        varies = error > 1e-12
        if not varies.any():
            return estimate, 0.0
        largest = np.nanmax((drawn - estimate)[:, varies] / error[varies], axis=1)
        critical = float(np.nanquantile(largest, 1 - _TAIL))
        units = len(base) + 1
        influence = np.column_stack(
            [found - estimate[:, None] * base, pseudo - estimate * pseudo_base]
        ) * (units / total)
        second = (influence**2).mean(axis=1)
        skew = np.divide(
            (influence**3).mean(axis=1), second, out=np.zeros(len(found)), where=second > 0
        )
        correction = np.minimum(skew, 0) * (1 + 2 * critical**2) / (6 * units)
        return estimate - critical * error + correction, critical


def median_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the median of (n,) `values` with its percentile bootstrap interval.

    A median, because a few slow moments do not move it.
    """
    drawn = np.random.default_rng(seed).choice(values, (RESAMPLES, len(values)))
    low, high = np.nanquantile(np.median(drawn, axis=1), [_TAIL, 1 - _TAIL])
    return float(np.median(values)), float(low), float(high)


def _typical(values: np.ndarray) -> float:
    """Return the mean of the positive values; 1 if there is none."""
    positive = values[values > 0]
    return float(positive.mean()) if len(positive) else 1.0
