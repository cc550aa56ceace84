"""Compare searches that read prefixes first, at no loss, with exact search and with our funnels.

``python -m tests.benchmarks.prefixes [DATASET ENCODER]``. An encoder may be left out for ready
vectors. All take turns on one thread, ten queries each. Ratios are medians of these rounds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

from bench import machine

if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
    # Before numpy is loaded: its threads would wait for each other on one core.
    os.execve(
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        os.environ | machine.thread_environment(1),
    )

import numpy as np

from bench.backends import get_backend
from bench.embeddings import embed
from bench.measuring.stages import MultiStage, Step
from bench.reducers import get_reducer
from bench.vectors import truncate

K, QUERIES, BLOCK = 10, 300, 10
Search = Callable[[np.ndarray], np.ndarray]


def indexed(name: str, vectors: np.ndarray, **build: int) -> object:
    """Return a backend that holds `vectors`."""
    backend = get_backend(name)("float32", vectors.shape[1])
    backend.load()
    backend.build(vectors, **build)
    return backend


def funnels(
    vectors: np.ndarray, queries: np.ndarray, true: np.ndarray
) -> list[tuple[str, Search, float]]:
    """Return the funnel with the shortest list without loss at each dimension: name, search, bytes.

    No loss is measured, on these queries: it is no promise, as it is of the others.
    """
    n, full = vectors.shape
    found = []
    for low in (full // 8, full // 4, full // 2):
        first = indexed("faiss-flat", truncate(vectors, low))
        for shortlist in (50, 100, 200, 400, 800, 1600):
            stage = MultiStage(first, vectors, shortlist, [Step(full, K)], unit=True)

            def search(q: np.ndarray, stage: MultiStage = stage, low: int = low) -> np.ndarray:
                return stage.search(np.ascontiguousarray(q[:, :low]), q)

            if same(search(queries), true) == 1:
                read = float(n * low * 4 + shortlist * full * 4)
                found.append((f"{low} d, {shortlist}", search, read))
                break
    return found


def same(ids: np.ndarray, true: np.ndarray) -> float:
    """Return the share of the true neighbours that is found."""
    rows = zip(ids.tolist(), true.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / K for a, b in rows]))


def main(dataset: str = "pydoc", encoder: str = "") -> None:
    """Print latency and bytes of each, as shares of those of exact search."""
    encoder = encoder or ("" if dataset.startswith(("vectors:", "synthetic:")) else "wordllama")
    data = embed(dataset, encoder)
    full = data.full_dim
    corpus, queries = truncate(data.corpus, full), truncate(data.queries[:QUERIES], full)
    machine.pin(machine.usable_cores()[-1:])
    reference = indexed("faiss-flat", corpus)
    true = reference.search(queries, K)
    whole = float(corpus.nbytes)
    searches: dict[str, tuple[Search, float]] = {
        "exact, faiss-flat": (lambda q: reference.search(q, K), whole)
    }
    axes = get_reducer("pca")()
    axes.fit(corpus)
    turned = np.ascontiguousarray(axes.map(corpus))
    rotation = np.ascontiguousarray(axes.axes)
    for order, vectors in (("as encoded", corpus), ("pca", turned)):
        # The time and the bytes of turning a query are those of the search.
        turn = (lambda q: q @ rotation) if order == "pca" else (lambda q: q)
        more, asked = (
            (rotation.nbytes if order == "pca" else 0),
            np.ascontiguousarray(turn(queries)),
        )
        builds = [("faiss-panorama", {"levels": 8, "batch": b}) for b in (128, 1024)]
        builds += [("prefix-scan", {"levels": levels}) for levels in (2, 3, 4)]
        for name, build in builds:
            index = indexed(name, vectors, **build)
            said = ", ".join(f"{key} {value}" for key, value in build.items())
            searches[f"{name}, {order}, {said}"] = (
                lambda q, index=index, turn=turn: index.search(turn(q), K),
                index.bytes_read(asked[:100], K) + more,
            )
        for said, search, read in funnels(vectors, asked, true):
            searches[f"funnel, {order}, {said}"] = (
                lambda q, search=search, turn=turn: search(turn(q)),
                read + more,
            )
    taken = {name: [] for name in searches}
    for start in range(0, len(queries) - BLOCK + 1, BLOCK):
        for name, (search, _) in searches.items():
            search(queries[start : start + 1])
            for i in range(start, start + BLOCK):
                begun = time.perf_counter_ns()
                search(queries[i : i + 1])
                taken[name].append(time.perf_counter_ns() - begun)
    blocks = {
        name: np.median(np.reshape(each, (-1, BLOCK)), axis=1) for name, each in taken.items()
    }
    exact = blocks["exact, faiss-flat"]
    print(f"{dataset}: {len(corpus):,} × {full}, exact search {np.median(exact) / 1e6:.3f} ms")
    print("| search | × the speed | bytes | found |\n| --- | --- | --- | --- |")
    for name, (search, read) in searches.items():
        share = same(np.concatenate([search(q[None]) for q in queries]), true)
        faster = np.median(exact / blocks[name])
        print(f"| {name} | {faster:.2f} | {read / whole:.0%} | {share:.2%} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
