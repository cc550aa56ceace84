"""Inverted lists of product codes with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends import needs_vectors
from bench.backends._faiss import FaissBackend, faiss, with_every_cell
from bench.backends.faiss_ivf import n_lists


class FaissIvfPq(FaissBackend):
    """k-means cells of product codes of the residuals; `pq4` scans them in registers. Source: Jégou et al. 2011; André et al. 2015."""

    name = "faiss-ivf-pq"
    summary = "inverted lists of product codes (faiss IndexIVFPQFastScan, IndexIVFPQ)"
    precisions = ("pq4", "pq")
    build_grid = {"lists_per_sqrt_n": [1.0], "components_per_code": [2, 4]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64]}

    def build(
        self, vectors: np.ndarray, *, lists_per_sqrt_n: float, components_per_code: int
    ) -> None:
        library, (n, d) = faiss(), vectors.shape
        codes = n_codes(d, components_per_code)
        self.quantiser = library.IndexFlatIP(d)
        arguments = (self.quantiser, d, n_lists(n, lists_per_sqrt_n), codes, *self._bits())
        self.index = (
            library.IndexIVFPQFastScan(*arguments)
            if self.precision == "pq4"
            else library.IndexIVFPQ(*arguments)
        )
        self.index.cp.min_points_per_centroid = self.index.pq.cp.min_points_per_centroid = 1
        self.index.train(trainable(vectors))
        self.index.add(vectors)

    def _bits(self) -> tuple[int, int]:
        return (4 if self.precision == "pq4" else 8), faiss().METRIC_INNER_PRODUCT

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return with_every_cell(self.index, lambda: self.search(queries, k))


def n_codes(d: int, components: int) -> int:
    """Return how many codes a vector of `d` components gets; raises ValueError where they do not come out even."""
    if d % components:
        raise ValueError(f"components_per_code = {components} does not divide the dimension {d}")
    return d // components


def trainable(vectors: np.ndarray) -> np.ndarray:
    """Return what codes of 8 bits can be trained on: fewer vectors than centroids cannot be, so each is taken again."""
    needs_vectors(vectors)
    return vectors if len(vectors) >= 256 else np.resize(vectors, (256, vectors.shape[1]))
