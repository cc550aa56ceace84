"""Exhaustive search with faiss."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import batches, needs_vectors, packed_signs
from bench.backends._faiss import RANGES, SCALAR, FaissBackend, faiss, faiss_code, train_alone
from bench.backends.precisions import (
    BFLOAT16,
    BINARY,
    BINARY_ASYMMETRIC,
    FLOAT16,
    FLOAT32,
    INT4,
    INT8,
)
from bench.codes import FLAT
from bench.codes.deployed import coded
from bench.codes.table import BY_NAME, precisions
from bench.source import Code, Deployment, written

_ROWS = 16_384
"""Vectors encoded at a time."""


class FaissFlat(FaissBackend):
    """Compares every vector: the exact result at its precision, limited by memory bandwidth.

    int8 is symmetric: each component's range is fitted on the corpus and folded into the query,
    which is rounded to int8 too. binary compares signs by Hamming distance; binary_asymmetric
    scores the float32 query against the documents' signs. Source: Douze et al. 2024.
    """

    name = "faiss-flat"
    summary = "exhaustive (faiss IndexFlatIP, scalar quantisers, IndexBinaryFlat)"
    precisions = (
        *(FLOAT32, FLOAT16, BFLOAT16, INT8, INT4, BINARY, BINARY_ASYMMETRIC),
        *precisions(FLAT),
    )
    exact = True
    in_place: np.ndarray | None = None

    def build(self, vectors: np.ndarray) -> None:
        library, (n, d) = faiss(), vectors.shape
        product = library.METRIC_INNER_PRODUCT
        if self.coding:
            self.build_coded(self.coding, vectors)
        elif self.precision == "binary":
            self.index = library.IndexBinaryFlat(8 * (-(-d // 8)))
            self._fill(self.index.xb, n, packed_signs, vectors)
        elif self.precision == "int8":
            kind = library.ScalarQuantizer.QT_8bit_direct_signed
            self.index = library.IndexScalarQuantizer(d, kind, product)
            low, high = vectors.min(axis=0), vectors.max(axis=0)
            self.step, self.centre = (high - low) / 254, (low + high) / 2
            self._fill(self.index.codes, n, lambda block: self._levels(block) + 128, vectors)
        elif self.precision == "binary_asymmetric":
            needs_vectors(vectors)
            self.index = _signs(d + -d % 4)
            for _, block in batches(vectors, _ROWS):
                self.index.add(_padded(block))
        else:
            self.index = library.IndexFlatIP(d)
            if self.precision in SCALAR:
                self.index = self.ranged(library.IndexScalarQuantizer(d, self.scalar(), product))
            if not self.index.is_trained:
                train_alone(self.index, vectors)
            # In one call: an index that grows doubles its memory.
            self.index.add(vectors)

    def build_in_place(self, vectors: np.ndarray) -> None:
        self.in_place = vectors

    def _levels(self, block: np.ndarray) -> np.ndarray:
        """Quantise (b, d) vectors to int8: whole numbers from -127 to 127, in float."""
        step = np.where(self.step > 0, self.step, 1)
        return np.asarray(np.clip(np.rint((block - self.centre) / step), -127, 127))

    def _fill(
        self,
        codes: Any,
        n: int,
        encode: Callable[[np.ndarray], np.ndarray],
        vectors: np.ndarray,
    ) -> None:
        """Write the codes of (n, d) vectors into the index, block by block.

        `codes` is the index's own memory.
        """
        width = self.code_bytes
        codes.resize(n * width)
        self.index.ntotal = n
        if n:
            held = faiss().rev_swig_ptr(codes.data(), n * width).reshape(n, width)
            for start, block in batches(vectors, _ROWS):
                held[start : start + len(block)] = encode(block)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if self.in_place is not None:
            product = faiss().METRIC_INNER_PRODUCT
            return np.asarray(faiss().knn(queries, self.in_place, k, product)[1])
        if self.precision == "int8":
            queries = self._folded(queries)
        elif self.precision == "binary_asymmetric":
            queries = _padded(queries)
        return super().search(queries, k)

    def _folded(self, queries: np.ndarray) -> np.ndarray:
        """Round (q, d) queries to int8, after the steps of the documents are folded in.

        Neither the centre of the ranges nor the query's length changes the order of scores.
        """
        folded = queries * self.step
        longest = np.abs(folded).max(axis=1, keepdims=True)
        return np.asarray(np.rint(folded * (127 / np.where(longest > 0, longest, 1))))

    def compared(self, queries: np.ndarray) -> np.ndarray:
        """Return (q, d) float32: what the search compares in place of the queries.

        For the precisions that have no coding, as `stored`.
        """
        if self.precision == "int8":
            queries = self._folded(queries)
        elif self.precision == "binary":
            queries = _as_signs(queries)
        return queries.astype(np.float32)

    def stored(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, d) float32: what the codes of (n, d) vectors stand for in a score.

        The inner product of these with `compared` queries orders documents as the search does, but
        for ties. The index must have been built in this process.
        """
        if self.precision == "int8":
            return self._levels(vectors).astype(np.float32)
        if self.precision in ("binary", "binary_asymmetric"):
            return _as_signs(vectors)
        if self.precision in SCALAR:
            return np.asarray(self.index.sa_decode(self.index.sa_encode(vectors)))
        return vectors

    def size_bytes(self) -> int:
        scales = io.BytesIO()
        if self.precision == "int8":
            np.save(scales, self.step)
        return super().size_bytes() + scales.tell()

    def save(self, folder: Path) -> None:
        super().save(folder)
        if self.precision == "int8":
            np.save(folder / "step.npy", self.step)

    def restore(self, folder: Path) -> None:
        super().restore(folder)
        if self.precision == "int8":
            self.step = np.load(folder / "step.npy", allow_pickle=False)

    def stored_bytes(self) -> float:
        return float(self.code_bytes)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        return float(self.index.ntotal * self.code_bytes)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        if deployment.precision in BY_NAME:
            return coded(BY_NAME[deployment.precision], FLAT, deployment)
        if deployment.precision in _CODES:
            text = written(_CODES[deployment.precision], deployment)
            return Code(text, ("import faiss",), ("faiss-cpu",))
        return faiss_code(deployment, _BUILD)


def _as_signs(vectors: np.ndarray) -> np.ndarray:
    """Return +1 for components above zero and -1 for others, as bits of signs are compared."""
    return np.where(vectors > 0, np.float32(1), np.float32(-1))


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


_BUILD = (
    """\
{% if precision == "binary" %}
    vectors = packed_signs(vectors)
    index = faiss.IndexBinaryFlat(8 * vectors.shape[1])
{% elif precision == "float32" %}
    index = faiss.IndexFlatIP(DIMENSION)
{% else %}
    kind = faiss.ScalarQuantizer.{{ scalar }}
    index = faiss.IndexScalarQuantizer(DIMENSION, kind, faiss.METRIC_INNER_PRODUCT)
{% endif %}
{% if precision == "int4" %}
    quantiser = index.sq
"""
    + RANGES
    + """\
    index.train(vectors)
{% endif %}
    index.add(vectors)
"""
)
_INT8 = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    faiss.omp_set_num_threads(THREADS)
    # Each component has 255 levels over its range in the corpus.
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    step = (high - low) / 254
    levels = np.rint((vectors - (low + high) / 2) / np.where(step > 0, step, 1))
    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    index = faiss.IndexScalarQuantizer(DIMENSION, kind, faiss.METRIC_INNER_PRODUCT)
    index.add(np.clip(levels, -127, 127))
    return index, step


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    index, step = index
    # The steps are folded into the query, which is then rounded to int8 too.
    folded = queries * step
    longest = np.abs(folded).max(axis=1, keepdims=True)
    return index.search(np.rint(folded * (127 / np.where(longest > 0, longest, 1))), k)[1]
'''
_ASYMMETRIC = '''
def whole(vectors):
    """Pad (n, d) vectors with zeros to a multiple of four; scores do not change."""
    return np.pad(vectors, ((0, 0), (0, -DIMENSION % 4)))


def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    faiss.omp_set_num_threads(THREADS)
    # Product codes whose 16 centroids are the sign patterns of four components.
    vectors = whole(vectors)
    d = vectors.shape[1]
    index = faiss.IndexPQFastScan(d, d // 4, 4, faiss.METRIC_INNER_PRODUCT)
    codes = np.arange(16, dtype=np.uint8)[:, None]
    patterns = 2.0 * np.unpackbits(codes, axis=1, bitorder="little")[:, :4] - 1
    centroids = np.tile(patterns, (d // 4, 1)).astype(np.float32)
    faiss.copy_array_to_vector(centroids.ravel(), index.pq.centroids)
    index.is_trained = True
    index.add(vectors)
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    return index.search(whole(queries), k)[1]
'''
_CODES = {"int8": _INT8, "binary_asymmetric": _ASYMMETRIC}
"""Code of the precisions that take more than an index of faiss's."""
