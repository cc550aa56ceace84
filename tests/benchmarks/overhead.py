"""Measure the overhead of the harness: `python -m tests.benchmarks.overhead [rounds]`.

Compares the median single-query latency of a trial with a bare loop around the library's method.
Both have the same index and queries and take turns. Prints median, minimum and maximum of the
rounds' ratios.
"""

from __future__ import annotations

import os
import sys

from bench import machine
from bench.measuring import clock

os.environ |= machine.thread_environment(1)

import time

import numpy as np

from bench.backends import get_backend
from bench.vectors import normalise

N, QUERIES = 10_000, 500


def recorded_milliseconds(backend, singles, k):
    """Median that a trial records."""
    latency = clock.time_queries(lambda i: backend.search(singles[i], k), len(singles), 1, 60)
    return float(np.median(latency.nanoseconds)) / 1e6


def bare_milliseconds(backend, singles, k):
    """Median of a loop that only calls the library."""
    index = backend.index
    taken = []
    for query in singles:
        before = time.perf_counter_ns()
        index.search(query, k)
        taken.append(time.perf_counter_ns() - before)
    return float(np.median(taken)) / 1e6


def measure(rounds: int):
    """Yield backend, dimension, bare median latency in ms, and median and ends of the ratios."""
    machine.pin(machine.usable_cores()[-1:])
    rng = np.random.default_rng(0)
    for name, build, search in (
        ("faiss-flat", {}, {}),
        ("faiss-hnsw", {"M": 16, "ef_construction": 100}, {"ef": 32}),
    ):
        for d in (32, 128, 256):
            vectors, queries = (normalise(rng.standard_normal((n, d))) for n in (N, QUERIES))
            backend = get_backend(name)()
            backend.build(vectors, **build)
            backend.configure(**search)
            singles = [queries[i : i + 1] for i in range(QUERIES)]
            ratios = []
            for round_ in range(rounds):
                sides = (recorded_milliseconds, bare_milliseconds)
                times = {
                    side: side(backend, singles, 10)
                    for side in (sides if round_ % 2 else sides[::-1])
                }
                ratios.append(times[recorded_milliseconds] / times[bare_milliseconds])
            middle = float(np.median(ratios))
            yield name, d, times[bare_milliseconds], middle, min(ratios), max(ratios)


def main(rounds: int = 15) -> None:
    print(
        f"{N:,} vectors, {QUERIES} queries, {rounds} rounds, one thread: "
        "recorded / bare median latency"
    )
    for name, d, bare, middle, low, high in measure(rounds):
        print(f"{name:10} {d:4} d  {bare:.4f} ms  ratio {middle:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
