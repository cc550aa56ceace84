"""Compare recorded throughput with a bare script and with vicinity's `evaluate`.

``python -m tests.benchmarks.side_by_side [rounds]``. The three take turns with the same vectors and
parameters on one thread. Single queries are compared with the bare script, batches with both:
vicinity times one batch. Needs ``pip install vicinity hnswlib``.
"""

from __future__ import annotations

import os
import sys

from bench import machine

os.environ |= machine.thread_environment(1)

import tempfile
import time
from pathlib import Path

import faiss
import hnswlib
import numpy as np
from vicinity import Backend, Vicinity

import bench
from bench.embeddings import embed
from bench.vectors import truncate

K, D, EF, M = 10, 256, 512, 16
"""A search of a third of a millisecond, so that what each runner itself takes does not decide."""


class Hnswlib:
    """hnswlib, by hand and by vicinity."""

    name, ef_construction, backend, arguments = (
        "hnswlib",
        200,
        Backend.HNSW,
        {"m": M, "ef_construction": 200},
    )

    def index(self, vectors):
        index = hnswlib.Index(space="ip", dim=D)
        index.init_index(len(vectors), ef_construction=self.ef_construction, M=M, random_seed=100)
        index.set_num_threads(1)
        index.add_items(vectors)
        index.set_ef(EF)
        return index

    def search(self, index, queries):
        return index.knn_query(queries, k=K, num_threads=1)[0]

    def tune(self, index):
        index.set_num_threads(1)
        index.set_ef(EF)


class FaissHnsw:
    """faiss's HNSW, by hand and by vicinity, which leaves ef_construction at faiss's 40."""

    name, ef_construction, backend, arguments = (
        "faiss-hnsw",
        40,
        Backend.FAISS,
        {"index_type": "hnsw", "m": M},
    )

    def index(self, vectors):
        index = faiss.IndexHNSWFlat(D, M, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.ef_construction
        index.add(vectors)
        index.hnsw.efSearch = EF
        return index

    def search(self, index, queries):
        return index.search(queries, K)[1]

    def tune(self, index):
        index.hnsw.efSearch = EF


def recorded(kind, folder: Path) -> dict[str, float]:
    """Return the figures that a run of a study records."""
    study = folder / "study.toml"
    study.write_text(
        f'name = "s"\ndataset = "pydoc"\nencoder = "wordllama"\ndimensions = [{D}]\nrepeats = 1\n'
        f'[[configurations]]\nbackend = "{kind.name}"\nsearch = {{ ef = {EF} }}\n'
        f"build = {{ M = {M}, ef_construction = {kind.ef_construction} }}\n"
    )
    frame = bench.run(study, folder / "out", progress=False)
    row = frame[frame["backend"] == kind.name].iloc[0]
    return {"single": row["qps"], "batch": row["batch_qps"], "recall": row["ann_recall_at_10"]}


def bare(kind, vectors, queries) -> dict[str, float]:
    """Return the figures of a script that only calls the library."""
    index = kind.index(vectors)
    singles = [queries[i : i + 1] for i in range(len(queries))]
    for query in singles[:50]:
        kind.search(index, query)
    taken = []
    for query in singles:
        begun = time.perf_counter()
        kind.search(index, query)
        taken.append(time.perf_counter() - begun)
    begun = time.perf_counter()
    found = kind.search(index, queries)
    batch = len(queries) / (time.perf_counter() - begun)
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :K]
    recall = np.mean(
        [len(set(a) & set(b)) / K for a, b in zip(found.tolist(), true.tolist(), strict=True)]
    )
    return {"single": 1 / float(np.mean(taken)), "batch": batch, "recall": float(recall)}


def by_vicinity(kind, vectors, queries) -> dict[str, float]:
    """Return the figures of vicinity's `evaluate`."""
    built = Vicinity.from_vectors_and_items(
        vectors,
        [str(i) for i in range(len(vectors))],
        backend_type=kind.backend,
        metric="cosine",
        **kind.arguments,
    )
    kind.tune(built.backend.index)
    built.query(queries[:50], k=K)
    qps, recall = built.evaluate(vectors, queries, k=K)
    return {"batch": qps, "recall": recall}


def main(rounds: int = 5) -> None:
    """Print the median figures of each, and the median ratios of recorded figures to the others."""
    data = embed("pydoc", "wordllama")
    vectors, queries = truncate(data.corpus, D), truncate(data.queries, D)
    cores = machine.usable_cores()
    print(
        f"{len(vectors):,} × {D} vectors of pydoc, {len(queries)} queries, "
        f"ef {EF}, M {M}, one thread, {rounds} rounds"
    )
    for kind in (Hnswlib(), FaissHnsw()):
        rows = []
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as folder:
                machine.pin(cores)
                row = {"recorded": recorded(kind, Path(folder))}
            machine.pin(cores[-1:])
            row |= {
                "bare": bare(kind, vectors, queries),
                "vicinity": by_vicinity(kind, vectors, queries),
            }
            rows.append(row)
        for who in ("recorded", "bare", "vicinity"):
            figures = ", ".join(
                f"{what} {np.median([r[who][what] for r in rows]):,.3f}" for what in rows[0][who]
            )
            print(f"{kind.name:11} {who:9} {figures}")
        for what, who in (("single", "bare"), ("batch", "bare"), ("batch", "vicinity")):
            ratios = [row["recorded"][what] / row[who][what] for row in rows]
            print(
                f"{kind.name:11} {what} queries per second, recorded / {who}: "
                f"{np.median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
