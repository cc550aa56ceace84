"""A navigable small-world graph with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend


class FaissHnsw(FaissBackend):
    """HNSW graph over full vectors. Source: Malkov & Yashunin 2018; Douze et al. 2024."""

    name = "faiss-hnsw"
    summary = "HNSW graph of full vectors (faiss IndexHNSWFlat)"
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 32, 64, 128, 256]}

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        faiss = self.faiss()
        self.index = faiss.IndexHNSWFlat(vectors.shape[1], M, faiss.METRIC_INNER_PRODUCT)
        self.index.hnsw.efConstruction = ef_construction
        self.index.add(vectors)

    def configure(self, *, ef: int) -> None:
        self.index.hnsw.efSearch = ef

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        stats = self.faiss().cvar.hnsw_stats
        stats.reset()
        self.index.search(queries, k)
        return stats.ndis / len(queries) * self.index.d * 4
