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
_BLOCK = 512
"""Figures that are resampled at once: 4 MB."""
_BASES = 8
"""Most references whose resampled sums are kept."""
_NOTHING = 1e-12
"""A standard error below this is that of a figure which no resample changes."""


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
        self._drawn_base: dict[bytes, np.ndarray] = {}
        """Sums of the last bases over each resample: most calls come with the same ones."""

    @property
    def n_units(self) -> int:
        """Number of queries, or groups, that a resample draws."""
        return len(self._sizes)

    def mean(self, values: np.ndarray) -> tuple[float, float, float]:
        """Return the mean of (q,) `values` between 0 and 1, with the bounds of its interval."""
        return self.resampled(values[None]).means()[0]

    def ratio(self, values: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
        """Return mean(values) / mean(reference) with its interval; NaN if all references are 0."""
        return self.resampled(values[None]).ratio(0, reference)

    def resampled(self, values: np.ndarray) -> Resampled:
        """Return the resamples of (K, q) `values`: one product serves all their figures."""
        return Resampled(self, values)

    def ratios(self, values: np.ndarray, reference: np.ndarray, each: bool = False) -> Bounds:
        """Return mean(values) / mean(reference) of (K, q) `values`, with simultaneous bounds.

        `reference` is (q,), not all zero. The bounds are those of the largest studentised deviation
        (max-T; Romano & Wolf 2005), corrected for the skewness that rare losses cause (Johnson
        1978). `each`: bounds of each figure by itself instead, from its own deviation.
        """
        found, base = self._summed(values), self._summed(reference)
        none, typical = np.zeros(len(found)), _typical(base[None])[0]
        low, critical = self._lower(found, base, none, typical, each)
        minus_high, _ = self._lower(-found, base, -_typical(found), 0.0, each)
        return Bounds(found.sum(axis=1) / base.sum(), low, -minus_high, critical)

    def differences(self, values: np.ndarray, others: np.ndarray) -> Bounds:
        """Return mean(values - others), both (K, q), with simultaneous bounds as in `ratios`."""
        found, rival = self._summed(values), self._summed(others)
        size = self._sizes.mean()
        low, critical = self._lower(found - rival, self._sizes, -_typical(rival), size)
        minus_high, _ = self._lower(rival - found, self._sizes, -_typical(found), size)
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
        worst = share * float(_typical(base[None])[0])
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

    def _drawn(self, found: np.ndarray) -> np.ndarray:
        """Return the sum of each row of (K, u) `found` over each resample, (r, K) float32."""
        return self._weights[:, :-1] @ found.T.astype(np.float32)

    def _below(self, base: np.ndarray, pseudo_base: float) -> np.ndarray:
        """Return the sum of (u,) `base` with the pseudo-unit over each resample, (r,) float32."""
        key = base.tobytes()
        if key not in self._drawn_base:
            if len(self._drawn_base) > _BASES:
                self._drawn_base.clear()
            self._drawn_base[key] = self._weights[:, :-1] @ base.astype(np.float32)
        return np.asarray(self._drawn_base[key] + self._weights[:, -1] * float(pseudo_base))

    def _quantile(
        self, drawn: np.ndarray, base: np.ndarray, pseudo: tuple[float, float], at: float
    ) -> np.ndarray:
        """Return a quantile of sum(found) / sum(base) with the pseudo-unit added, (K,) float64.

        `drawn` (r, K) are the resampled sums of `found`.
        """
        above = drawn + self._weights[:, -1:] * float(pseudo[0])
        below = self._below(base, pseudo[1])
        ratios = above[below > 0] / below[below > 0, None]
        return np.asarray(np.quantile(ratios.astype(float), at, axis=0))

    def _lower(
        self,
        found: np.ndarray,
        base: np.ndarray,
        pseudo: np.ndarray,
        pseudo_base: float,
        each: bool = False,
    ) -> tuple[np.ndarray, float]:
        """Return lower bounds of sum(found) / sum(base), (K,), and the largest critical T.

        They are simultaneous unless `each` figure has its own T.

        Resamples of all K at once would fill the memory, so they are drawn in blocks of K.
        """
        total, units = base.sum() + pseudo_base, len(base) + 1
        below = self._below(base, pseudo_base)
        shares = np.ascontiguousarray((self._weights[below > 0] / below[below > 0, None]).T)
        estimate = (found.sum(axis=1) + pseudo) / total
        error, skew, own = (np.zeros(len(found)) for _ in range(3))
        largest = np.full(shares.shape[1], -np.inf, dtype=np.float32)
        for start in range(0, len(found), _BLOCK):
            rows = slice(start, start + _BLOCK)
            # What each unit adds to the distance of a resample from the estimate.
            parts = np.column_stack([found[rows], pseudo[rows]])
            parts -= np.multiply.outer(estimate[rows], np.append(base, pseudo_base))
            drawn = parts.astype(np.float32) @ shares
            error[rows] = drawn.std(axis=1)
            varied = error[rows] > _NOTHING
            drawn = drawn[varied]
            drawn /= error[rows][varied, None].astype(np.float32)
            if each and varied.any():
                own[rows][varied] = np.quantile(drawn.astype(float), 1 - _TAIL, axis=1)
            largest = np.maximum(largest, drawn.max(axis=0, initial=-np.inf))
            skew[rows] = _skewness(parts * (units / total))
        if not (error > _NOTHING).any():
            return estimate, 0.0
        critical = own if each else np.quantile(largest.astype(float), 1 - _TAIL)
        correction = np.minimum(skew, 0) * (1 + 2 * critical**2) / (6 * units)
        return estimate - critical * error + correction, float(np.max(critical))


class Resampled:
    """Resamples of the values of K figures, (K, q)."""

    def __init__(self, bootstrap: Bootstrap, values: np.ndarray) -> None:
        self._bootstrap = bootstrap
        self._values = values
        self._found = bootstrap._summed(values)
        self._drawn = bootstrap._drawn(self._found)

    def means(self) -> list[tuple[float, float, float]]:
        """Return what `Bootstrap.mean` returns for each row."""
        sizes = self._bootstrap._sizes
        size = sizes.mean()
        low = self._bootstrap._quantile(self._drawn, sizes, (0.0, size), _TAIL)
        high = self._bootstrap._quantile(self._drawn, sizes, (size, size), 1 - _TAIL)
        figures = self._values.mean(axis=1).tolist(), low.tolist(), high.tolist()
        return list(zip(*figures, strict=True))

    def ratio(self, row: int, reference: np.ndarray) -> tuple[float, float, float]:
        """Return what `Bootstrap.ratio` returns for a row."""
        if not reference.any():
            return (float("nan"),) * 3
        base, drawn = self._bootstrap._summed(reference), self._drawn[:, row : row + 1]
        lost, gained = _typical(base[None])[0], _typical(self._found[row : row + 1])[0]
        low = self._bootstrap._quantile(drawn, base, (0.0, lost), _TAIL)
        high = self._bootstrap._quantile(drawn, base, (gained, 0.0), 1 - _TAIL)
        return float(self._values[row].mean() / reference.mean()), float(low[0]), float(high[0])


def median_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the median of (n,) `values` with its percentile bootstrap interval.

    A median, because a few slow moments do not move it.
    """
    drawn = np.random.default_rng(seed).choice(values, (RESAMPLES, len(values)))
    low, high = np.nanquantile(np.median(drawn, axis=1), [_TAIL, 1 - _TAIL])
    return float(np.median(values)), float(low), float(high)


def _skewness(influence: np.ndarray) -> np.ndarray:
    """Return the third moment over the second of each row, (K, u) → (K,); 0 if that is 0."""
    squares = influence**2
    second = squares.mean(axis=1)
    squares *= influence
    third = squares.mean(axis=1)
    return np.asarray(np.divide(third, second, out=np.zeros(len(second)), where=second > 0))


def _typical(values: np.ndarray) -> np.ndarray:
    """Return the mean of the positive values of each row, (K, u) → (K,); 1 if there is none."""
    counts = (values > 0).sum(axis=1)
    sums = np.maximum(values, 0).sum(axis=1)
    return np.asarray(np.divide(sums, counts, out=np.ones(len(values)), where=counts > 0))
