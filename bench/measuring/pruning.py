"""Finding the Pareto front without timing every configuration: what a few queries show to be beaten is not timed.

Quality is cheap (a batch of queries), latency is dear (all queries, repeated, paired). So the configurations over an index
answer a sample of the queries that doubles from round to round, and one is dropped when another, of the same index or
measured before, is surely no worse in quality at five sixths of its time or less and no more bytes. In the last round all
queries are asked: then the quality is what it would be measured to be, and no doubt is left but about the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.measuring import jobs

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Shares of the queries asked, round by round."""
LEAST = 40
"""Fewest queries that decide anything."""
MARGIN = 1.2
"""How many times slower than another a configuration must be to be beaten by it: times of a few queries are rough."""
_Z = 1.96


@dataclass(frozen=True)
class Rival:
    """A configuration measured before, that newcomers must beat in something."""

    by_query: np.ndarray
    """(q,) float64: the quality of each query."""
    ms: float
    bytes: float


@dataclass(frozen=True)
class Dropped:
    """Why a configuration was not timed."""

    quality: float
    queries: int
    reason: str


def prune(
    candidates: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    costs: Mapping[str, tuple[float, float]],
    rivals: Sequence[Rival],
    n_queries: int,
    seed: int,
) -> dict[str, Dropped]:
    """Return which of `candidates` need not be timed, by name.

    A candidate maps positions of queries (r,) int64 to their quality (r,) float64; `costs` has its milliseconds a query and
    its bytes a vector; a rival's `by_query` is in the order of all `n_queries`. Source: Jamieson & Talwalkar 2016 (rounds of
    doubling budgets); the rejection is by a paired 95 % interval.
    """
    order = np.random.default_rng(seed).permutation(n_queries)
    sizes = sorted({max(LEAST, int(share * n_queries)) for share in SHARES})
    known: dict[str, np.ndarray] = {name: np.empty(0) for name in candidates}
    dropped: dict[str, Dropped] = {}
    for size in (s for s in sizes if s <= n_queries):
        alive = [name for name in candidates if name not in dropped]
        for name in alive:
            rows = order[len(known[name]) : size]
            known[name] = np.concatenate([known[name], candidates[name](rows)])
        # The slowest first: what drops out beats nobody any more, and of two that beat each other the faster stays.
        for name in sorted(alive, key=lambda n: costs[n], reverse=True):
            ms, size_bytes = costs[name]
            others = [
                *(
                    Rival(known[other], *costs[other])
                    for other in alive
                    if other != name and other not in dropped
                ),
                *(Rival(rival.by_query[order[:size]], rival.ms, rival.bytes) for rival in rivals),
            ]
            cheaper = [o for o in others if o.ms * MARGIN <= ms and o.bytes <= size_bytes]
            if any(
                _no_worse(other.by_query, known[name], sure=size < n_queries) for other in cheaper
            ):
                quality = float(known[name].mean())
                dropped[name] = Dropped(
                    quality, size, f"not timed: after {size} queries (quality {quality:.3f}, about {ms:.3f} ms) another was no "
                    f"worse at {1 / MARGIN:.0%} of its time or less and no more bytes",
                )  # fmt: skip
    return dropped


def _no_worse(other: np.ndarray, own: np.ndarray, sure: bool) -> bool:
    difference = other - own
    # As if one query more had told against it: that a few queries see no difference does not mean that there is none.
    spread = (difference.var(ddof=1) + 1 / len(difference)) ** 0.5
    doubt = _Z * spread / len(difference) ** 0.5 if sure else 0.0
    return bool(difference.mean() - doubt >= 0)


def undominated(rivals: Sequence[jobs.Rival]) -> list[jobs.Rival]:
    """Return the rivals that no other beats: at least as good in all three and better in one."""
    costs = [(-float(np.mean(r.by_query)), r.ms, r.bytes) for r in rivals]
    values = np.array(costs).reshape(-1, 3)
    kept = []
    for rival, own in zip(rivals, values, strict=True):
        beats = (values <= own).all(axis=1) & (values < own).any(axis=1)
        if not beats.any():
            kept.append(rival)
    return kept
