"""Percentiles of times with intervals that count queries, not samples."""

from __future__ import annotations

import numpy as np

from bench.quality.intervals import LEVEL

PERCENTS = (50, 95, 99)


def percentiles(nanoseconds: np.ndarray, independent: int | None = None) -> dict[str, float | None]:
    """Return the columns of the percentiles of (repeats, q) `nanoseconds`, with their intervals."""
    milliseconds = nanoseconds / 1e6
    found: dict[str, float | None] = {}
    for percent in PERCENTS:
        low, high = quantile_interval(milliseconds, percent / 100, independent)
        value = float(np.percentile(milliseconds, percent))
        found |= bounded(f"latency_ms_p{percent}", value, low, high)
    return found


def quantile_interval(
    values: np.ndarray, share: float, independent: int | None = None
) -> tuple[float | None, float | None]:
    """Return the 95 % interval of a quantile of (repeats, q) `values`, as if q were drawn again.

    The bounds are order statistics (binomial; Conover 1999). A bound is None if too few queries lie
    beyond the quantile to give one: the 99th percentile of 100 queries has no upper bound. Samples
    of one query are not independent, so the count is that of the queries, raised only as far as
    their samples disagree about which side of the quantile they lie on (the design effect of
    clusters; Woodruff 1952). `independent`: the count itself, if it is known.
    """
    repeats, queries = values.shape
    if independent is None:
        below = (values <= np.quantile(values, share)).mean(axis=0)
        variance = float(below.var(ddof=1)) if queries > 1 else 0.0
        spread = share * (1 - share) / variance if variance > 0 else 1.0
        independent = int(queries * np.clip(spread, 1, repeats))
    tail = (1 - LEVEL) / 2
    cumulative = _binomial(independent, share)
    first = int(np.searchsorted(cumulative, tail))
    last = int(np.searchsorted(cumulative, 1 - tail)) + 1
    ranked = np.sort(values, axis=None)

    def at(rank: int) -> float:
        return float(ranked[max(-(-rank * len(ranked) // independent) - 1, 0)])

    return (at(first) if first > 0 else None), (at(last) if last <= independent else None)


def _binomial(count: int, share: float) -> np.ndarray:
    """Return the distribution function at 0…count, float64.

    Not scipy's, whose import takes a worker longer than a trial.
    """
    ranks = np.arange(count + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(ranks[1:]))])
    chosen = factorials[count] - factorials - factorials[::-1]
    logs = chosen + ranks * np.log(share) + ranks[::-1] * np.log1p(-share)
    return np.asarray(np.cumsum(np.exp(logs)))


def bounded(
    name: str, value: float, low: float | None, high: float | None
) -> dict[str, float | None]:
    """Return a column with those of its two bounds."""
    return {name: value, f"{name}_low": low, f"{name}_high": high}
