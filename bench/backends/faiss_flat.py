"""Exhaustive search with faiss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import needs_vectors
from bench.backends._faiss import SCALAR, FaissBackend, bits, faiss, train_alone


class FaissFlat(FaissBackend):
    """Every vector is compared: the exact answer of its precision, bound by memory bandwidth. Source: Douze et al. 2024.

    int8 is symmetric: each component's range is fitted on the corpus and folded into the query, which is rounded to int8 as
    well. binary compares signs by Hamming distance; binary_asymmetric scores the float32 query against the documents' signs.
    """

    name = "faiss-flat"
    summary = "exact: every vector is compared (faiss IndexFlatIP, its scalar quantisers and binary index)"
    precisions = ("float32", "float16", "bfloat16", "int8", "int4", "binary", "binary_asymmetric")
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        library, d = faiss(), vectors.shape[1]
        product = library.METRIC_INNER_PRODUCT
        if self.precision == "float32":
            self.index = library.IndexFlatIP(d)
        elif self.precision == "binary":
            vectors = bits(vectors)
            self.index = library.IndexBinaryFlat(8 * vectors.shape[1])
        elif self.precision == "binary_asymmetric":
            needs_vectors(vectors)
            vectors = _padded(vectors)
            self.index = _signs(vectors.shape[1])
        elif self.precision == "int8":
            self.index = library.IndexScalarQuantizer(
                d, library.ScalarQuantizer.QT_8bit_direct_signed, product
            )
            low, high = vectors.min(axis=0), vectors.max(axis=0)
            self.step = (high - low) / 254
            vectors = np.clip(
                np.rint((vectors - (low + high) / 2) / np.where(self.step > 0, self.step, 1)),
                -127,
                127,
            )
        elif self.precision in SCALAR:
            self.index = self.ranged(library.IndexScalarQuantizer(d, self.scalar(), product))
        if not self.index.is_trained:
            train_alone(self.index, vectors)
        self.index.add(vectors)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if self.precision == "int8":
            # The centre of a range adds the same to every score, and so does the query's length: neither changes an order.
            folded = queries * self.step
            longest = np.abs(folded).max(axis=1, keepdims=True)
            queries = np.rint(folded * (127 / np.where(longest > 0, longest, 1)))
        elif self.precision == "binary_asymmetric":
            queries = _padded(queries)
        return super().search(queries, k)

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.precision == "int8":
            np.save(folder / "step.npy", self.step)

    def restore(self, folder: Path) -> None:
        super().restore(folder)
        if self.precision == "int8":
            self.step = np.load(folder / "step.npy")

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        return float(self.index.ntotal * self.code_bytes)


def _padded(vectors: np.ndarray) -> np.ndarray:
    """Return (n, d) with zeros up to a multiple of four: they add nothing to a score."""
    return np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % 4)))


def _signs(d: int) -> object:
    """Return an index of signs for float queries: product quantisation whose centroids are all the signs of four components.

    faiss's fast scan looks the scores of 4 components up in a register, rounded to 8 bits.
    """
    library = faiss()
    index = library.IndexPQFastScan(d, d // 4, 4, library.METRIC_INNER_PRODUCT)
    patterns = (
        2.0
        * np.unpackbits(np.arange(16, dtype=np.uint8)[:, None], axis=1, bitorder="little")[:, :4]
        - 1
    )
    library.copy_array_to_vector(
        np.tile(patterns, (d // 4, 1)).astype(np.float32).ravel(), index.pq.centroids
    )
    index.is_trained = True
    return index
