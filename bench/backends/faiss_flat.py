"""Exhaustive search with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend


class FaissFlat(FaissBackend):
    """Every vector is compared: the exact answer, bound by memory bandwidth. Source: Douze et al. 2024."""

    name = "faiss-flat"
    summary = "exact: every vector is compared (faiss IndexFlatIP)"
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        faiss = self.faiss()
        self.index = faiss.IndexFlatIP(vectors.shape[1])
        self.index.add(vectors)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        return float(self.index.ntotal * self.index.d * 4)
