"""Searches of more than one step: a shortlist at a low dimension, rescored at the full one."""

from __future__ import annotations

import numpy as np

from bench.backends import Backend


class TwoStage:
    """A backend's shortlist, rescored with the full vectors. Source: Kusupati et al. 2022, adaptive retrieval."""

    def __init__(self, backend: Backend, full_vectors: np.ndarray, shortlist: int) -> None:
        """`full_vectors` (n, D) float32 unit length."""
        self.backend, self.full_vectors, self.shortlist = backend, full_vectors, shortlist

    def search(self, queries: np.ndarray, full_queries: np.ndarray, k: int) -> np.ndarray:
        """`queries` (q, d) and `full_queries` (q, D), unit length → ids (q, k) int64, best first, -1 pads."""
        return rescore(self.backend.search(queries, max(self.shortlist, k)), self.full_vectors, full_queries, k)


def rescore(shortlists: np.ndarray, full_vectors: np.ndarray, full_queries: np.ndarray, k: int) -> np.ndarray:
    """Order each query's shortlist by its score at the full dimension and keep the k best.

    (q, s) int64 with -1 pads → (q, k) int64; equal scores keep the shortlist's order.
    """
    result = np.empty((len(shortlists), k), dtype=np.int64)
    for row, (candidates, query) in enumerate(zip(shortlists, full_queries, strict=True)):
        scores = full_vectors[candidates] @ query
        scores[candidates < 0] = -np.inf
        result[row] = candidates[np.argsort(-scores, kind="stable")[:k]]
    return result
