"""Honest measuring: latency, throughput, memory, and the machine's own limits."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

WARM_UP = 50
PAIRED_ROUNDS = 15
PAIRED_SECONDS = 0.02
"""Aim for the length of one side of a paired round."""

Search = Callable[[int], np.ndarray]
"""The search for the query at a position; everything but the search was done before."""


@dataclass(frozen=True)
class Latency:
    """Single-query latencies, nanoseconds, (repeats, q) int64, and the ids of the first repeat."""

    nanoseconds: np.ndarray
    results: list[np.ndarray]


def time_queries(
    search: Search, n_queries: int, repeats: int, budget_seconds: float, before: Callable[[], object] | None = None
) -> Latency:
    """Time each query by itself, `repeats` times over; no further repeat is begun once the budget is spent.

    Only the call of `search` is inside the clock; `before` is called ahead of each query, outside of it. Garbage collection waits, as in the standard library's timeit.
    """
    for position in range(min(WARM_UP, n_queries)):
        search(position)
    clock = time.perf_counter_ns
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
    search: Search, reference: Search, n_queries: int, seed: int, before: Callable[[], object] | None = None
) -> np.ndarray:
    """Return how many times faster `search` is than `reference`, one figure a round, (rounds,) float64.

    In each round both answer the same few queries, one after the other, the order of the two changing from round to
    round: what slows the machine down slows both. Each side's first query warms the caches and is not counted. `before` is
    called ahead of each query of `search`, outside the clock.
    """
    order = np.random.default_rng(seed).permutation(n_queries)
    clock = time.perf_counter_ns
    reference(0)
    start = clock()
    reference(0)
    size = int(np.clip(PAIRED_SECONDS * 1e9 / max(clock() - start, 1), 1, 20))

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


def unique_bytes() -> int:
    """Return this process's unique set size (USS) after free memory went back to the system, bytes."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
    return int(psutil.Process().memory_full_info().uss)


def reset_peak() -> None:
    """Begin a new peak of the resident set size, where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int | None:
    """Return the peak of the resident set size since `reset_peak`, bytes; None where the kernel does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def threads_running() -> int:
    """Return how many threads this process has."""
    return int(psutil.Process().num_threads())


def memory_bandwidth(megabytes: int = 256, repeats: int = 5) -> float:
    """Return the bytes a second that one thread reads from main memory, the best of `repeats`.

    A dot product reads two arrays far larger than any cache and writes nothing. Source: the read kernel of STREAM.
    """
    count = megabytes * 1_000_000 // 8
    left, right = np.ones(count, np.float32), np.ones(count, np.float32)
    best = float("inf")
    for _ in range(repeats):
        before = time.perf_counter_ns()
        np.dot(left, right)
        best = min(best, (time.perf_counter_ns() - before) / 1e9)
    return (left.nbytes + right.nbytes) / best


def pin(cores: Sequence[int]) -> None:
    """Keep this process, and what it starts, on `cores`, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, set(cores))


def usable_cores() -> list[int]:
    """Return the processors that this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def machine() -> str:
    """Return what makes times comparable, one line: processor, usable cores, memory, system."""
    model = ""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    except OSError:
        pass
    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{model or platform.processor() or platform.machine()}, {len(usable_cores())} cores, {memory} GiB, {platform.system()} {platform.machine()}"


THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
)


def thread_environment(threads: int) -> dict[str, str]:
    """Return the environment that holds every thread pool at `threads`; it must be set before a library is loaded."""
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), "TOKENIZERS_PARALLELISM": "false"}
