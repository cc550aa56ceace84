"""Find the Pareto front without timing every configuration: skip those that a few queries rule out.

Quality is cheap to measure (each query once); latency is not (all queries, repeated, paired). So
the configurations over an index answer a sample of the queries that doubles from round to round.
One is dropped if another dominates it: no worse in quality with 95 % confidence, in at most
1/`MARGIN` of its time, with no more bytes. The last round has all queries, so quality is known and
needs no confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

SHARES = (0.125, 0.25, 0.5, 1.0)
"""Share of the queries in each round."""
LEAST = 40
"""Fewest queries in a round."""
MARGIN = 1.2
"""Least slowdown of a dominated configuration: the times of few queries are rough."""
_Z = 1.96
"""Standard errors on each side of a 95 % interval."""


@dataclass(frozen=True)
class Rival:
    """A configuration that others are compared with."""

    by_query: np.ndarray
    """(q,) float64: the quality of each query."""
    ms: float
    """Median latency per query."""
    bytes: float
    """Bytes per vector."""


@dataclass(frozen=True)
class Dropped:
    """Why a configuration was not timed."""

    quality: float
    queries: int
    """Number of queries that decided."""
    reason: str


def prune(
    candidates: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    costs: Mapping[str, tuple[float, float]],
    rivals: Sequence[Rival],
    n_queries: int,
    seed: int,
) -> dict[str, Dropped]:
    """Return the dominated `candidates`, which need not be timed, by name.

    A candidate maps positions of queries (r,) int64 to their quality (r,) float64. `costs` holds
    its milliseconds per query and its bytes per vector. `rivals` were measured before: their
    `by_query` is in the order of all `n_queries`. Source: Jamieson & Talwalkar 2016 (rounds of
    doubling budgets); a candidate is rejected by a paired 95 % interval.
    """
    order = np.random.default_rng(seed).permutation(n_queries)
    sizes = sorted({max(LEAST, int(share * n_queries)) for share in SHARES})
    answers: dict[str, np.ndarray] = {name: np.empty(0) for name in candidates}
    dropped: dict[str, Dropped] = {}
    for size in (s for s in sizes if s <= n_queries):
        left = [name for name in candidates if name not in dropped]
        for name in left:
            rows = order[len(answers[name]) : size]
            answers[name] = np.concatenate([answers[name], candidates[name](rows)])
        earlier = [Rival(r.by_query[order[:size]], r.ms, r.bytes) for r in rivals]
        # Slowest first: a dropped configuration no longer eliminates others, and of two that
        # dominate each other the faster survives.
        for name in sorted(left, key=lambda n: costs[n], reverse=True):
            candidate = Rival(answers[name], *costs[name])
            others = [n for n in left if n != name and n not in dropped]
            current = [Rival(answers[other], *costs[other]) for other in others]
            if _is_dominated(candidate, [*current, *earlier], certain=size == n_queries):
                dropped[name] = _dropped(candidate)
    return dropped


def _is_dominated(candidate: Rival, others: Sequence[Rival], certain: bool) -> bool:
    """Return whether another is no worse; `certain`: its queries are all, not a sample."""
    return any(
        other.ms * MARGIN <= candidate.ms
        and other.bytes <= candidate.bytes
        and _no_worse(other.by_query, candidate.by_query, certain)
        for other in others
    )


def _no_worse(other: np.ndarray, own: np.ndarray, certain: bool) -> bool:
    difference = other - own
    # One more query counts as lost: a few equal queries do not prove equality.
    spread = (difference.var(ddof=1) + 1 / len(difference)) ** 0.5
    error = 0.0 if certain else _Z * spread / len(difference) ** 0.5
    return bool(difference.mean() - error >= 0)


def _dropped(candidate: Rival) -> Dropped:
    quality, queries = float(candidate.by_query.mean()), len(candidate.by_query)
    reason = (
        f"not timed: after {queries} queries (quality {quality:.3f}, about {candidate.ms:.3f} ms) "
        f"another was no worse at {1 / MARGIN:.0%} of its time or less and no more bytes"
    )
    return Dropped(quality, queries, reason)
