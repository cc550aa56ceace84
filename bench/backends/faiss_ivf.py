"""Inverted lists with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend, bits, faiss, train_alone


class FaissIvf(FaissBackend):
    """k-means cells of which `nprobe` are scanned. Source: Jégou et al. 2011; Douze et al. 2024."""

    name = "faiss-ivf"
    summary = "inverted lists (faiss IndexIVFFlat, IndexIVFScalarQuantizer, IndexBinaryIVF)"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    precisions = ("float32", "float16", "bfloat16", "int8", "int4", "binary")

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        library = faiss()
        n, d = vectors.shape
        lists = n_lists(n, lists_per_sqrt_n)
        if self.precision == "binary":
            vectors = bits(vectors)
            self.quantiser = library.IndexBinaryFlat(8 * vectors.shape[1])
            self.index = library.IndexBinaryIVF(self.quantiser, 8 * vectors.shape[1], lists)
        else:
            self.quantiser = library.IndexFlatIP(d)
            if self.precision == "float32":
                self.index = library.IndexIVFFlat(
                    self.quantiser, d, lists, library.METRIC_INNER_PRODUCT
                )
            else:
                # The components themselves, not what is left of them in a cell: the ranges are those of exhaustive search.
                self.index = self.ranged(
                    library.IndexIVFScalarQuantizer(
                        self.quantiser, d, lists, self.scalar(), library.METRIC_INNER_PRODUCT, False
                    )
                )
        # faiss warns on standard error below 39 vectors a cell; sqrt(n) cells of a small corpus have fewer, by choice.
        self.index.cp.min_points_per_centroid = 1
        train_alone(self.index, vectors)
        self.index.add(vectors)

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def bytes_read(self, queries: np.ndarray, k: int) -> float | None:
        stats = faiss().cvar.indexIVF_stats
        stats.reset()
        self.search(queries, k)
        if not stats.ndis:
            return None
        centroid = self.index.d // 8 if self.precision == "binary" else self.index.d * 4
        return stats.ndis / len(queries) * self.code_bytes + self.index.nlist * centroid


def n_lists(n: int, per_sqrt_n: float) -> int:
    """Return the number of cells for `n` vectors."""
    return max(1, min(n, round(per_sqrt_n * n**0.5)))
