"""The clock: latency of single queries, warm and from cold caches, beside exact search."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle, islice, pairwise

import numpy as np

WARM_UP = 100
"""Most queries asked ahead of a timed block, all of them others than the block's."""
WARM_UP_SECONDS = 0.003
"""No further query is asked to warm up after this long. A search that is longer reads so much that
a few leave the caches as many would."""
LEAST_WARM_UP = 2
ROUNDS = 10
"""Least number of rounds aimed at. Each is a block of the search and one of the reference."""
LEAST_BLOCK = 20
"""Fewest queries in a block of the search, if there are as many."""
REFERENCE_SECONDS = 0.01
"""Length aimed at for a block of the reference."""
REFERENCE_MOST, REFERENCE_LEAST = 20, 2
"""Bounds of the number of queries in a block of the reference."""
COLD_QUERIES = 20
COLD_LEAST = 6
"""Fewest queries whose median has a 95 % interval."""
COLD_SECONDS = 0.05
"""No further query is asked from cold caches after this long, beyond the fewest."""

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


@dataclass(frozen=True)
class Paired(Latency):
    """The same, with the reference timed in between."""

    rounds: np.ndarray
    """(rounds, 2) float64: median ns of the reference and of the search in each round."""

    @property
    def speedups(self) -> np.ndarray:
        """How many times faster the search is than the reference, (rounds,) float64."""
        return np.asarray(self.rounds[:, 0] / self.rounds[:, 1])


def time_queries(
    search: Search,
    n_queries: int,
    repeats: int,
    budget_seconds: float,
    before: Before = None,
    clock: Clock = time.perf_counter_ns,
    warm_up: bool = True,
) -> Latency:
    """Time each query by itself, `repeats` times over; no repeat begins once the budget is spent.

    Queries are asked to warm up first, unless the caller has done so.

    Only the call of `search` is inside the clock. Garbage collection waits, as in the standard
    library's timeit.
    """
    everything = range(n_queries)
    if warm_up:
        _warm_up(search, everything, clock)
    taken: list[list[int]] = []
    results: list[np.ndarray] = []
    with _no_collection():
        while len(taken) < repeats and (not taken or _seconds(taken) <= budget_seconds):
            keep = [] if taken else results
            taken.append(_block(search, everything, before, clock, keep))
    return Latency(np.array(taken, dtype=np.int64), results)


def time_beside(
    search: Search,
    reference: Search,
    n_queries: int,
    repeats: int,
    budget_seconds: float,
    before: Before = None,
    clock: Clock = time.perf_counter_ns,
) -> Paired:
    """Do as `time_queries`, in blocks between which `reference` answers some of the same queries.

    So the latencies and the speed-up come from the same searches, and what slows the machine down
    slows both. The side that begins a round alternates. Ahead of each block up to `WARM_UP` other
    queries fill the caches, outside the clock: at least two, and none more once `WARM_UP_SECONDS`
    are over, so that warming a slow scan does not take minutes. They are the queries that come
    before the block's own. `before` is called ahead of each timed query of `search`.
    """
    own = _duration(search, n_queries, clock)
    other = _duration(reference, n_queries, clock)
    expected = min(repeats, 1 + int(budget_seconds / max(own * n_queries, 1e-9)))
    size = max(-(-n_queries * expected // ROUNDS), LEAST_BLOCK)
    edges = [*range(0, n_queries, size), n_queries]
    few = int(np.clip(REFERENCE_SECONDS / max(other, 1e-9), REFERENCE_LEAST, REFERENCE_MOST))
    taken: list[list[int]] = []
    results: list[np.ndarray] = []
    rounds: list[tuple[float, float]] = []
    with _no_collection():
        while len(taken) < repeats and (not taken or _seconds(taken) <= budget_seconds):
            row: list[int] = []
            for start, stop in pairwise(edges):
                block = range(start, stop)
                count = min(WARM_UP, n_queries - len(block))
                others = [(start - count + i) % n_queries for i in range(count)] or block
                keep = [] if taken else results
                times: dict[bool, list[int]] = {}
                for is_search in (True, False) if len(rounds) % 2 else (False, True):
                    side = search if is_search else reference
                    _warm_up(side, others, clock)
                    if is_search:
                        times[True] = _block(search, block, before, clock, keep)
                    else:
                        times[False] = _block(reference, block[:few], None, clock, [])
                row += times[True]
                rounds.append((float(np.median(times[False])), float(np.median(times[True]))))
            taken.append(row)
    return Paired(np.array(taken, dtype=np.int64), results, np.array(rounds))


def time_cold(
    search: Search,
    n_queries: int,
    evict: Callable[[], object],
    seed: int,
    before: Before = None,
    clock: Clock = time.perf_counter_ns,
) -> np.ndarray:
    """Time a few queries, each once, right after `evict` emptied the caches; ns, (c,) int64.

    A seeded sample of at most `COLD_QUERIES`; once `COLD_SECONDS` are over, no more than
    `COLD_LEAST`.
    """
    order = np.random.default_rng(seed).permutation(n_queries)
    taken: list[int] = []
    begun = clock()
    with _no_collection():
        for position in order[:COLD_QUERIES].tolist():
            if len(taken) >= COLD_LEAST and clock() - begun > COLD_SECONDS * 1e9:
                break
            if before is not None:
                before()
            evict()
            taken += _block(search, [position], None, clock, [])
    return np.array(taken, dtype=np.int64)


def _block(
    search: Search,
    positions: Sequence[int],
    before: Before,
    clock: Clock,
    results: list[np.ndarray],
) -> list[int]:
    """Return the time of each query, ns; what they found is added to `results`."""
    taken = []
    for position in positions:
        if before is not None:
            before()
        start = clock()
        found = search(position)
        taken.append(clock() - start)
        results.append(found)
    return taken


def _warm_up(search: Search, others: Sequence[int], clock: Clock) -> float:
    """Ask the last of `others`, again and again if they are few; return the seconds a query."""
    done, begun, spent = 0, clock(), 0
    for position in islice(cycle(others[-WARM_UP:]), WARM_UP):
        search(position)
        done, spent = done + 1, clock() - begun
        if done >= LEAST_WARM_UP and spent > WARM_UP_SECONDS * 1e9:
            break
    return spent / 1e9 / done


def _duration(search: Search, n_queries: int, clock: Clock) -> float:
    """Return roughly how long a query takes, s; a first one, which may compile, does not count."""
    search(0)
    return _warm_up(search, range(n_queries), clock)


def _seconds(taken: list[list[int]]) -> float:
    return sum(map(sum, taken)) / 1e9


@contextmanager
def _no_collection() -> Iterator[None]:
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
