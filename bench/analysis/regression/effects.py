"""Tests over few process pairs that borrow strength from each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

MOST_PAIRS = 200
"""More pairs than this are not asked for."""


@dataclass(frozen=True)
class Estimate:
    """The mean of some effects over process pairs, with its standard error."""

    mean: float
    error: float
    degrees: float
    pairs: int

    def p_above(self, value: float) -> float:
        """Return the p value of the true mean being above `value`."""
        return (
            self._tail((self.mean - value) / self.error)
            if self.error
            else (0.0 if self.mean > value else 1.0)
        )

    def p_below(self, value: float) -> float:
        """Return the p value of the true mean being below `value`."""
        return (
            self._tail((value - self.mean) / self.error)
            if self.error
            else (0.0 if self.mean < value else 1.0)
        )

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the two-sided interval of the mean."""
        half = self.error * float(special.stdtrit(self.degrees, (1 + level) / 2))
        return self.mean - half, self.mean + half

    def more_pairs(self, value: float, alpha: float) -> int:
        """Return about how many more pairs would tell this mean from `value`; at most 200."""
        gap = abs(self.mean - value)
        if not gap:
            return MOST_PAIRS
        quantile = float(special.stdtrit(self.degrees, 1 - alpha))
        wanted = self.pairs * (quantile * self.error / gap) ** 2
        return int(min(MOST_PAIRS, max(1, math.ceil(wanted - self.pairs))))

    def _tail(self, t: float) -> float:
        return float(special.stdtr(self.degrees, -t))


def moderated(effects: np.ndarray) -> list[Estimate | None]:
    """Return the mean effect of each row of (subjects, pairs) float64; NaN is not measured.

    Variances are shrunken towards what the rows have in common, so that few pairs are enough:
    G. Smyth, Linear models and empirical Bayes methods, SAGMB 2004, sections 5 and 6. A row with
    fewer than two pairs gives None.
    """
    counts = (~np.isnan(effects)).sum(axis=1)
    usable = counts >= 2
    if not usable.any():
        return [None] * len(effects)
    rows = effects[usable]
    means, variances = np.nanmean(rows, axis=1), np.nanvar(rows, axis=1, ddof=1)
    degrees = counts[usable] - 1.0
    prior_degrees, prior = prior_variance(variances, degrees)
    if math.isinf(prior_degrees):
        shrunken, total = np.full(len(rows), prior), np.full(len(rows), degrees.sum())
    else:
        shrunken = (prior_degrees * prior + degrees * variances) / (prior_degrees + degrees)
        total = np.minimum(prior_degrees + degrees, degrees.sum())
    found = iter(
        Estimate(float(m), float(math.sqrt(v / (d + 1))), float(t), int(d + 1))
        for m, v, d, t in zip(means, shrunken, degrees, total, strict=True)
    )
    return [next(found) if use else None for use in usable]


def prior_variance(variances: np.ndarray, degrees: np.ndarray) -> tuple[float, float]:
    """Return the degrees of freedom and the variance that rows have in common.

    By the moments of log s² (Smyth 2004, section 6.2). The degrees are infinite if the variances
    differ no more than chance would make them, 0 if there is nothing to learn from.
    """
    positive = variances > 0
    if positive.sum() < 2:
        return 0.0, 0.0
    half = degrees[positive] / 2
    logs = np.log(variances[positive]) - special.digamma(half) + np.log(half)
    mean = logs.mean()
    excess = logs.var(ddof=1) - special.polygamma(1, half).mean()
    if excess <= 0:
        weights = degrees[positive]
        return math.inf, float(np.average(variances[positive], weights=weights))
    # trigamma falls from infinity to zero.
    prior_half = optimize.brentq(
        lambda log: float(special.polygamma(1, math.exp(log))) - excess, -30.0, 30.0
    )
    half_degrees = math.exp(prior_half)
    variance = math.exp(mean + special.digamma(half_degrees) - math.log(half_degrees))
    return 2 * half_degrees, variance
