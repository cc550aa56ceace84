"""Exhaustive search with faiss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import needs_vectors, packed_signs
from bench.backends._faiss import SCALAR, FaissBackend, faiss, train_alone
from bench.backends.precisions import (
    BFLOAT16,
    BINARY,
    BINARY_ASYMMETRIC,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
)


class FaissFlat(FaissBackend):
    """Compares every vector: the exact result at its precision, limited by memory bandwidth.

    int8 is symmetric: each component's range is fitted on the corpus and folded into the query,
    which is rounded to int8 too. binary compares signs by Hamming distance; binary_asymmetric
    scores the float32 query against the documents' signs. Source: Douze et al. 2024.
    """

    name = "faiss-flat"
    summary = "exhaustive (faiss IndexFlatIP, scalar quantisers, IndexBinaryFlat)"
    precisions = (FLOAT32, FLOAT16, BFLOAT16, INT8, INT4, BINARY, BINARY_ASYMMETRIC)
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        library, d = faiss(), vectors.shape[1]
        product = library.METRIC_INNER_PRODUCT
        if self.precision == "float32":
            self.index = library.IndexFlatIP(d)
        elif self.precision == "binary":
            vectors = packed_signs(vectors)
            self.index = library.IndexBinaryFlat(8 * vectors.shape[1])
        elif self.precision == "binary_asymmetric":
            needs_vectors(vectors)
            vectors = _padded(vectors)
            self.index = _signs(vectors.shape[1])
        elif self.precision == "int8":
            kind = library.ScalarQuantizer.QT_8bit_direct_signed
            self.index = library.IndexScalarQuantizer(d, kind, product)
            low, high = vectors.min(axis=0), vectors.max(axis=0)
            self.step = (high - low) / 254
            centred = vectors - (low + high) / 2
            vectors = np.clip(np.rint(centred / np.where(self.step > 0, self.step, 1)), -127, 127)
        elif self.precision in SCALAR:
            self.index = self.ranged(library.IndexScalarQuantizer(d, self.scalar(), product))
        if not self.index.is_trained:
            train_alone(self.index, vectors)
        self.index.add(vectors)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if self.precision == "int8":
            # Neither the centre of the ranges nor the query's length changes the order of scores.
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
    """Pad (n, d) vectors with zeros to a multiple of four; scores do not change."""
    return np.pad(vectors, ((0, 0), (0, -vectors.shape[1] % 4)))


def _signs(d: int) -> object:
    """Return an index of signs for float queries.

    It is product quantisation with the 16 sign patterns of four components as centroids. faiss's
    fast scan looks up the score of each pattern in a register, rounded to 8 bits.
    """
    library = faiss()
    index = library.IndexPQFastScan(d, d // 4, 4, library.METRIC_INNER_PRODUCT)
    codes = np.arange(16, dtype=np.uint8)[:, None]
    patterns = 2.0 * np.unpackbits(codes, axis=1, bitorder="little")[:, :4] - 1
    centroids = np.tile(patterns, (d // 4, 1)).astype(np.float32)
    library.copy_array_to_vector(centroids.ravel(), index.pq.centroids)
    index.is_trained = True
    return index
