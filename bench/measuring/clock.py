"""The clock: single-query latency, and paired speed-ups."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

WARM_UP = 50
"""Queries asked before the first one is timed."""
PAIRED_ROUNDS = 15
PAIRED_SECONDS = 0.02
"""Length aimed at for one side of a paired round."""
PAIRED_MOST = 20
"""Most queries in one side of a paired round."""

Search = Callable[[int], np.ndarray]
"""The search for the query at a position; everything but the search was done before."""
Clock = Callable[[], int]
"""Nanoseconds since some moment, never falling."""
Before = Callable[[], object] | None
"""Called ahead of each query, outside the clock."""


@dataclass(frozen=True)
class Latency:
    """Single-query latencies, ns, (repeats, q) int64, and the ids found in the first repeat."""

    nanoseconds: np.ndarray
    results: list[np.ndarray]


def time_queries(
    search: Search,
    n_queries: int,
    repeats: int,
    budget_seconds: float,
    before: Before = None,
    clock: Clock = time.perf_counter_ns,
) -> Latency:
    """Time each query by itself, `repeats` times over; no repeat begins once the budget is spent.

    Only the call of `search` is inside the clock. Garbage collection waits, as in the standard
    library's timeit.
    """
    for position in range(min(WARM_UP, n_queries)):
        search(position)
    taken: list[list[int]] = []
    results: list[np.ndarray] = []
    begun = clock()
    collecting = gc.isenabled()
    gc.disable()
    try:
        for repeat in range(repeats):
            if repeat and clock() - begun > budget_seconds * 1e9:
                break
            row = []
            for position in range(n_queries):
                if before is not None:
                    before()
                start = clock()
                found = search(position)
                row.append(clock() - start)
                if repeat == 0:
                    results.append(found)
            taken.append(row)
    finally:
        if collecting:
            gc.enable()
    return Latency(np.array(taken, dtype=np.int64), results)


def paired_speedup(
    search: Search,
    reference: Search,
    n_queries: int,
    seed: int,
    before: Before = None,
    clock: Clock = time.perf_counter_ns,
) -> np.ndarray:
    """Return how many times faster `search` is than `reference`, one ratio per round, float64.

    In each round both answer the same few queries, one side after the other. The side that begins
    alternates, so that what slows the machine down slows both. Each side's first query warms the
    caches and is not counted. `before` is called ahead of each query of `search`.
    """
    order = np.random.default_rng(seed).permutation(n_queries)
    reference(0)
    start = clock()
    reference(0)
    size = int(np.clip(PAIRED_SECONDS * 1e9 / max(clock() - start, 1), 1, PAIRED_MOST))

    def block(run: Search, positions: Sequence[int]) -> int:
        run(positions[0])
        if before is not None and run is search:
            taken = 0
            for position in positions:
                before()
                start = clock()
                run(position)
                taken += clock() - start
            return taken
        start = clock()
        for position in positions:
            run(position)
        return clock() - start

    ratios = []
    for round_ in range(PAIRED_ROUNDS):
        positions = [int(order[(round_ * size + i) % n_queries]) for i in range(size)]
        sides = (search, reference) if round_ % 2 else (reference, search)
        times = {side: block(side, positions) for side in sides}
        ratios.append(times[reference] / times[search] if search is not reference else 1.0)
    return np.array(ratios)
