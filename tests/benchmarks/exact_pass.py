"""Compare one exact pass with `faiss.knn` per dimension and with one full-dimension product.

`python -m tests.benchmarks.exact_pass` prints both ratios, medians over interleaved rounds.
`--scale` measures time and memory with a corpus on disk at N and 10 N instead.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np
from threadpoolctl import threadpool_limits

from bench.exact.one_pass import exact_topk

DIMENSIONS = (32, 64, 100, 128, 256, 384, 512, 768)
BLOCK = 16_384
K = 100


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def compare(n: int, n_queries: int, threads: int, rounds: int) -> tuple[float, ...]:
    """Time the pass, faiss and the product in turn; return medians, s, and the printed ratios."""
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((n, DIMENSIONS[-1]), dtype=np.float32)
    corpus /= np.linalg.norm(corpus, axis=1, keepdims=True)
    queries = rng.standard_normal((n_queries, DIMENSIONS[-1]), dtype=np.float32)
    faiss.omp_set_num_threads(threads)

    def product() -> None:
        for start in range(0, n, BLOCK):
            queries @ corpus[start : start + BLOCK].T

    def neighbours(d: int) -> tuple[float, np.ndarray]:
        x, q = np.ascontiguousarray(corpus[:, :d]), np.ascontiguousarray(queries[:, :d])
        faiss.normalize_L2(x)
        faiss.normalize_L2(q)
        begun = time.perf_counter()
        ids = faiss.knn(q, x, K, metric=faiss.METRIC_INNER_PRODUCT)[1]
        return time.perf_counter() - begun, ids

    exact_topk(queries, corpus[:BLOCK], DIMENSIONS, K, threads=threads)
    taken, same = [], {}
    for _ in range(rounds):
        begun = time.perf_counter()
        found = exact_topk(queries, corpus, DIMENSIONS, K, threads=threads)
        ours = time.perf_counter() - begun
        with threadpool_limits(threads, user_api="blas"):
            single = _seconds(product)
        theirs = 0.0
        for d in DIMENSIONS:
            seconds, ids = neighbours(d)
            theirs += seconds
            same[d] = float(
                np.mean(
                    [len(np.intersect1d(a, b)) / K for a, b in zip(ids, found[d][0], strict=True)]
                )
            )
        taken.append((ours, theirs, single))
    ours, theirs, single = np.median(np.array(taken), axis=0)
    by_faiss, by_product = np.median([(t / o, o / p) for o, t, p in taken], axis=0)
    print(
        f"{n:,} × {DIMENSIONS[-1]}, {n_queries} queries, k = {K}, {threads} threads, "
        f"{rounds} rounds"
    )
    print(f"one pass, {len(DIMENSIONS)} dimensions   {ours:.3f} s")
    print(f"faiss.knn per dimension   {theirs:.3f} s: the pass is {by_faiss:.2f} times faster")
    print(
        f"single product at {DIMENSIONS[-1]} d     {single:.3f} s: "
        f"the pass takes {by_product:.2f} times as long"
    )
    print("same neighbours as faiss:", ", ".join(f"{d} d {share:.5f}" for d, share in same.items()))
    return ours, theirs, single, by_faiss, by_product


def _anonymous_mib() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    return float("nan")


def scale(sizes: list[int], dimension: int, n_queries: int, threads: int) -> None:
    """Time a corpus on disk at several sizes; memory excludes the mapped file."""
    import threading

    rng = np.random.default_rng(0)
    queries = rng.standard_normal((n_queries, dimension), dtype=np.float32)
    steps = [dimension // 8, dimension // 4, dimension // 2, dimension]
    with tempfile.TemporaryDirectory() as folder:
        for n in sizes:
            path = Path(folder) / f"{n}.npy"
            corpus = np.lib.format.open_memmap(path, "w+", np.float32, (n, dimension))
            for start in range(0, n, 100_000):
                rng.standard_normal(dtype=np.float32, out=corpus[start : start + 100_000])
            corpus.flush()
            del corpus
            mapped = np.load(path, mmap_mode="r")
            exact_topk(queries, mapped[:BLOCK], steps, K, threads=threads)
            before, peak, stop = _anonymous_mib(), [0.0], threading.Event()

            def watch(peak: list[float] = peak, stop: threading.Event = stop) -> None:
                while not stop.wait(0.05):
                    peak[0] = max(peak[0], _anonymous_mib())

            watcher = threading.Thread(target=watch)
            watcher.start()
            seconds = _seconds(
                lambda mapped=mapped: exact_topk(queries, mapped, steps, K, threads=threads)
            )
            stop.set()
            watcher.join()
            gib = n * dimension * 4 / 2**30
            print(
                f"{n:>12,} × {dimension} ({gib:.1f} GiB on disk): {seconds:.2f} s, "
                f"{1e6 * seconds / n:.3f} s per million, "
                f"{peak[0] - before:.0f} MiB above the start"
            )
            path.unlink()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=int, nargs="*", metavar="N")
    arguments = parser.parse_args()
    if arguments.scale is None:
        compare(arguments.n, arguments.queries, arguments.threads, arguments.rounds)
    else:
        scale(arguments.scale or [1_000_000, 10_000_000], 256, arguments.queries, arguments.threads)
