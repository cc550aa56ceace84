"""Inverted lists with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend


class FaissIvf(FaissBackend):
    """k-means cells of which `nprobe` are scanned. Source: Jégou et al. 2011; Douze et al. 2024."""

    name = "faiss-ivf"
    summary = "inverted lists of full vectors (faiss IndexIVFFlat)"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64]}

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        faiss = self.faiss()
        n, d = vectors.shape
        lists = max(1, min(n, round(lists_per_sqrt_n * n**0.5)))
        self.quantiser = faiss.IndexFlatIP(d)
        self.index = faiss.IndexIVFFlat(self.quantiser, d, lists, faiss.METRIC_INNER_PRODUCT)
        # faiss warns on standard error below 39 vectors a cell; sqrt(n) cells of a small corpus have fewer, by choice.
        self.index.cp.min_points_per_centroid = 1
        self.index.train(vectors)
        self.index.add(vectors)

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        stats = self.faiss().cvar.indexIVF_stats
        stats.reset()
        self.index.search(queries, k)
        return (stats.ndis / len(queries) + self.index.nlist) * self.index.d * 4
