"""Confidence intervals: paired bootstrap over queries."""

from __future__ import annotations

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95


class Bootstrap:
    """Paired percentile bootstrap over queries: all figures from one object share its resamples.

    A resample of q queries is q draws with replacement. One matrix holds how often each query was
    drawn, so that one product gives all means. Source: Efron & Tibshirani 1993; paired over queries
    as in Sakai 2006.
    """

    def __init__(self, n_queries: int, seed: int = 0, resamples: int = RESAMPLES) -> None:
        shares = np.full(n_queries, 1 / n_queries)
        self._weights = (
            np.random.default_rng(seed).multinomial(n_queries, shares, size=resamples) / n_queries
        )

    def mean(self, values: np.ndarray) -> tuple[float, float, float]:
        """Return the mean of (q,) `values` with the bounds of its interval."""
        return float(values.mean()), *_bounds(self._weights @ values)

    def ratio(self, values: np.ndarray, reference: np.ndarray) -> tuple[float, float, float]:
        """Return mean(values) / mean(reference) with its interval; NaN if all references are 0."""
        if not reference.any():
            return (float("nan"),) * 3
        below = self._weights @ reference
        ratios = np.divide(
            self._weights @ values, below, out=np.full(len(below), np.nan), where=below > 0
        )
        return float(values.mean() / reference.mean()), *_bounds(ratios)

    def p_at_most_zero(self, differences: np.ndarray) -> float:
        """Test, one-sided, the hypothesis that the mean of (q,) `differences` is at most 0.

        Returns the p value: the share of resampled means that are at most 0, with one added to both
        counts. This inverts the percentile interval.
        """
        means = self._weights @ differences
        return float((1 + (means <= 0).sum()) / (1 + len(means)))


def median_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the median of (n,) `values` with its percentile bootstrap interval.

    A median, because a few slow moments do not move it.
    """
    drawn = np.random.default_rng(seed).choice(values, (RESAMPLES, len(values)))
    return float(np.median(values)), *_bounds(np.median(drawn, axis=1))


def _bounds(samples: np.ndarray) -> tuple[float, float]:
    low, high = np.nanquantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
