"""HNSW whose upper levels live at fewer dimensions than the graph below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend
from bench.backends._faiss import FaissBackend, faiss
from bench.source import Code, Deployment, written
from bench.vectors import truncate

_TOGETHER = 2
"""faiss's search type that walks from all entries at once."""


class PrefixHnsw(FaissBackend):
    """The way down is found over prefixes of `entry_dimension`, the rest at the trial's dimension.

    The vectors above the lowest level of faiss's graph have a graph of their own, of prefixes. What
    is nearest in it is where the search of the lowest level begins. A trial of fewer dimensions
    than `entry_dimension` uses all it has. Source: Malkov & Yashunin 2018; after the idea of Rege
    et al. 2023, parts of an index at fewer dimensions.
    """

    name = "prefix-hnsw"
    summary = "HNSW graph entered over prefixes (faiss IndexHNSWFlat twice)"
    build_grid = {"entry_dimension": [32], "M": [16], "ef_construction": [200]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("entry_dimension", "M", "ef")
    dimension_parameters = ("entry_dimension",)

    def build(
        self, vectors: np.ndarray, *, entry_dimension: int, M: int, ef_construction: int
    ) -> None:
        library, d = faiss(), vectors.shape[1]
        self.index = _graph(d, M, ef_construction)
        self.index.add(vectors)
        levels = library.vector_to_array(self.index.hnsw.levels)
        # faiss counts levels from 1. A small corpus may have a single one.
        above = np.flatnonzero(levels > 1)
        self.above = (above if len(above) else np.arange(min(1, len(vectors)))).astype(np.int32)
        self.upper = _graph(min(entry_dimension, d), M, ef_construction)
        self.upper.add(truncate(vectors[self.above], self.upper.d))
        self._prepare()

    def _prepare(self) -> None:
        storage = faiss().downcast_index(self.index.storage)
        numbers = faiss().rev_swig_ptr(storage.get_xb(), self.index.ntotal * self.index.d)
        self.vectors = numbers.reshape(-1, self.index.d)

    def configure(self, *, ef: int) -> None:
        self.index.hnsw.efSearch = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        pointer = faiss().swig_ptr
        # Scaling a query does not change the order of inner products, so prefixes stay as they are.
        nearest = self.upper.search(np.ascontiguousarray(queries[:, : self.upper.d]), 1)[1]
        entries = np.ascontiguousarray(self.above[nearest])
        scores = np.einsum("qd,qd->q", queries, self.vectors[entries[:, 0]])[:, None]
        found = np.empty((len(queries), k), dtype=np.float32)
        ids = np.empty((len(queries), k), dtype=np.int64)
        self.index.search_level_0(
            len(queries), pointer(queries), k, pointer(entries), pointer(scores), pointer(found),
            pointer(ids), 1, _TOGETHER,
        )  # fmt: skip
        return ids

    def save(self, folder: Path) -> None:
        super().save(folder)
        faiss().write_index(self.upper, str(folder / "upper"))
        np.save(folder / "above.npy", self.above)

    def restore(self, folder: Path) -> None:
        super().restore(folder)
        self.upper = faiss().read_index(str(folder / "upper"))
        self.above = np.load(folder / "above.npy", allow_pickle=False)
        self._prepare()

    def size_bytes(self) -> int | None:
        return Backend.size_bytes(self)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        stats = faiss().cvar.hnsw_stats
        stats.reset()
        self.upper.search(np.ascontiguousarray(queries[:, : self.upper.d]), 1)
        above = stats.ndis
        stats.reset()
        self.search(queries, k)
        below = stats.ndis - above + len(queries)
        return float((above * self.upper.d + below * self.index.d) * 4 / len(queries))

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        text = written(_CODE, deployment)
        return Code(text, ("import faiss",), ("faiss-cpu",), deployment.parameters())


def _graph(d: int, neighbours: int, ef_construction: int) -> Any:
    graph = faiss().IndexHNSWFlat(d, neighbours, faiss().METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = ef_construction
    return graph


_CODE = '''
def graph(vectors):
    """Return the HNSW graph of (n, d) float32 vectors."""
    index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.add(vectors)
    index.hnsw.efSearch = EF
    return index


def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    faiss.omp_set_num_threads(THREADS)
    index = graph(vectors)
    # The vectors above the lowest level get a graph of their own, of prefixes.
    above = np.flatnonzero(faiss.vector_to_array(index.hnsw.levels) > 1).astype(np.int32)
    upper = graph(normalise(vectors[above, :ENTRY_DIMENSION]))
    upper.hnsw.efSearch = 16
    return vectors, index, above, upper


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    vectors, index, above, upper = index
    entries = above[upper.search(queries[:, :ENTRY_DIMENSION].copy(), 1)[1]]
    scores = np.einsum("qd,qd->q", queries, vectors[entries[:, 0]])[:, None]
    found, ids = np.empty((len(queries), k), np.float32), np.empty((len(queries), k), np.int64)
    pointers = [faiss.swig_ptr(each) for each in (entries, scores, found, ids)]
    index.search_level_0(len(queries), faiss.swig_ptr(queries), k, *pointers, 1, 2)
    return ids
'''
