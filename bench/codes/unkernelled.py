"""Codes that no library here has a kernel for: their quality and bytes, by numpy, never a time.

What is stored are packed codes and a few numbers per vector. A search unpacks one block of them
after the other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

_ROWS = 8192
"""Vectors encoded or unpacked at a time."""
_STEPS = 5
_PARALLEL = 0.9
"""Weight of the error along the vector, which changes the scores of its nearest queries most."""


class Packed(ABC):
    """Packed codes of a corpus, searched exhaustively."""

    def __init__(self) -> None:
        self.codes = np.empty((0, 0), dtype=np.uint8)

    @property
    def ntotal(self) -> int:
        """Number of stored vectors."""
        return len(self.codes)

    @abstractmethod
    def add(self, vectors: np.ndarray) -> None:
        """Store (n, d) float32 vectors, instead of those stored before."""

    @property
    @abstractmethod
    def code_size(self) -> int:
        """Bytes of one stored vector."""

    def size_bytes(self) -> int:
        """Return the bytes of the codes and of all that is stored beside them."""
        return self.ntotal * self.code_size

    @abstractmethod
    def blocks(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield (id of the first vector, scores (q, b)) of (q, d) queries for all vectors."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Return the ids of the k best, best first, (q, k) int64; -1 pads. Ties go to lower ids."""
        scores = np.full((len(queries), k), -np.inf)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        for start, block in self.blocks(queries):
            places = np.arange(start, start + block.shape[1])
            scores = np.concatenate([scores, block], axis=1)
            ids = np.concatenate([ids, np.tile(places, (len(queries), 1))], axis=1)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, ids = (np.take_along_axis(each, best, axis=1) for each in (scores, ids))
        return ids


class RoundedQueries(Packed):
    """Signs of the documents against a query rounded to whole numbers of `query_bits`.

    Source: the asymmetry of Elasticsearch's better binary quantization (2024).
    """

    def __init__(self, query_bits: int) -> None:
        super().__init__()
        self.query_bits = query_bits

    def add(self, vectors: np.ndarray) -> None:
        self.dimension = vectors.shape[1]
        self.codes = np.packbits(vectors > 0, axis=1)

    @property
    def code_size(self) -> int:
        return int(self.codes.shape[1])

    def blocks(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        rounded = self.rounded(queries).astype(np.float32)
        for start in range(0, self.ntotal, _ROWS):
            signs = np.unpackbits(self.codes[start : start + _ROWS], axis=1, count=self.dimension)
            yield start, rounded @ (2 * signs.astype(np.float32) - 1).T

    def rounded(self, queries: np.ndarray) -> np.ndarray:
        """Return (q, d) whole numbers: 2^bits - 1 of them lie evenly about zero."""
        most = 2 ** (self.query_bits - 1) - 1
        longest = np.abs(queries).max(axis=1, keepdims=True)
        return np.asarray(np.rint(queries * (most / np.where(longest > 0, longest, 1))))


class OptimisedScalar(Packed):
    """Optimised scalar quantisation: each centred vector has an interval of its own.

    Stored are the codes, the interval's ends, the product with the centre and the sum of the codes.
    Queries have at least four bits. Source: Veasey 2024, as in Lucene and Elasticsearch.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits, self.query_bits = bits, max(bits, 4)

    def add(self, vectors: np.ndarray) -> None:
        n, d = vectors.shape
        self.dimension = d
        self.centre = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
        self.codes = np.empty((n, -(-d * self.bits // 8)), dtype=np.uint8)
        self.ends = np.empty((n, 2), dtype=np.float32)
        self.products = np.empty(n, dtype=np.float32)
        self.sums = np.empty(n, dtype=np.min_scalar_type(d * (2**self.bits - 1)))
        for start in range(0, n, _ROWS):
            block = vectors[start : start + _ROWS]
            part = slice(start, start + len(block))
            codes, ends = encoded(block - self.centre, self.bits)
            self.codes[part], self.ends[part] = packed(codes, self.bits), ends
            self.products[part] = block @ self.centre
            self.sums[part] = codes.sum(axis=1)

    @property
    def code_size(self) -> int:
        ends, product = self.ends.itemsize * self.ends.shape[1], self.products.itemsize
        return int(self.codes.shape[1] + ends + product + self.sums.itemsize)

    def size_bytes(self) -> int:
        return int(super().size_bytes() + self.centre.nbytes)

    def blocks(self, queries: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        codes, ends = encoded(queries - self.centre, self.query_bits)
        low, step = ends[:, :1], self._steps(ends, self.query_bits)[:, None]
        total, asked = codes.sum(axis=1, keepdims=True), codes.astype(np.float32)
        for start in range(0, self.ntotal, _ROWS):
            part = slice(start, start + _ROWS)
            own_low, own_step = self.ends[part, 0], self._steps(self.ends[part], self.bits)
            stored = unpacked(self.codes[part], self.bits, self.dimension)
            yield (
                start,
                (
                    self.dimension * low * own_low
                    + low * own_step * self.sums[part]
                    + own_low * step * total
                    + own_step * step * (asked @ stored.astype(np.float32).T)
                    + self.products[part]
                ),
            )

    @staticmethod
    def _steps(ends: np.ndarray, bits: int) -> np.ndarray:
        return np.asarray((ends[:, 1] - ends[:, 0]) / (2**bits - 1))


NORMAL_ENDS = (0.798, 1.493, 2.051, 2.514, 2.916, 3.278, 3.611, 3.922)
"""Half the interval with the least squared error for the standard normal distribution, by bits."""


def encoded(vectors: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the codes of (n, d) centred vectors, (n, d) uint8, and their intervals, (n, 2).

    Each interval starts from the one for a normal distribution. Given the codes, the best ends have
    a closed form; given the ends, codes are the nearest. Both alternate while the loss falls.
    """
    vectors = vectors.astype(np.float64)
    start = np.stack([vectors.mean(axis=1)] * 2, axis=1)
    start += vectors.std(axis=1)[:, None] * np.array([-1, 1]) * NORMAL_ENDS[bits - 1]
    low, high = vectors.min(axis=1, keepdims=True), vectors.max(axis=1, keepdims=True)
    ends = np.clip(start, low, high)
    least = loss(vectors, ends, bits)
    falling = np.ones(len(vectors), dtype=bool)
    for _ in range(_STEPS):
        tried = _best_ends(vectors, places(vectors, ends, bits))
        reached = loss(vectors, tried, bits)
        falling &= reached < least  # never so if there is no solution, which is not a number
        ends[falling], least[falling] = tried[falling], reached[falling]
    codes = np.rint(places(vectors, ends, bits) * (2**bits - 1)).astype(np.uint8)
    return codes, ends


def places(vectors: np.ndarray, ends: np.ndarray, bits: int) -> np.ndarray:
    """Return where the codes of (n, d) vectors lie in their intervals, (n, d) from 0 to 1."""
    most = 2**bits - 1
    low, width = ends[:, :1], ends[:, 1:] - ends[:, :1]
    inside = np.clip((vectors - low) / np.where(width > 0, width, 1), 0, 1)
    return np.asarray(np.floor(inside * most + 0.5) / most)


def loss(vectors: np.ndarray, ends: np.ndarray, bits: int) -> np.ndarray:
    """Return the loss of (n, d) vectors in their intervals (n, 2), (n,).

    It weighs the squared error along the vector with `_PARALLEL`, and all of it with the rest.
    """
    at = places(vectors, ends, bits)
    error = vectors - (ends[:, :1] + at * (ends[:, 1:] - ends[:, :1]))
    squared = _squares(vectors, vectors)
    along = _squares(vectors, error) ** 2 / np.where(squared > 0, squared, 1)
    return np.asarray(_PARALLEL * along + (1 - _PARALLEL) * _squares(error, error))


def _best_ends(vectors: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the ends (n, 2) of least loss for codes that lie `at` (n, d) in their interval.

    The loss is a quadratic form of the ends, so they solve two linear equations.
    """
    squared = _squares(vectors, vectors)
    weight = _PARALLEL / np.where(squared > 0, squared, 1)
    low, high = _squares(vectors, 1 - at), _squares(vectors, at)
    rest = 1 - _PARALLEL
    a = weight * low**2 + rest * _squares(1 - at, 1 - at)
    b = weight * low * high + rest * _squares(1 - at, at)
    c = weight * high**2 + rest * _squares(at, at)
    determinant = a * c - b**2
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.stack([c * low - b * high, a * high - b * low], axis=1) / determinant[:, None]
    return np.asarray(found)


def _squares(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->i", left, right))


def packed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Return (n, d) codes of 1, 2, 4 or 8 bits as (n, ⌈d · bits / 8⌉) uint8, zero-padded."""
    single = np.unpackbits(codes[:, :, None], axis=2)[:, :, -bits:]
    return np.packbits(single.reshape(len(codes), -1), axis=1)


def unpacked(stored: np.ndarray, bits: int, d: int) -> np.ndarray:
    """Return the (n, d) codes that `packed` stored."""
    single = np.unpackbits(stored, axis=1, count=d * bits).reshape(len(stored), d, bits)
    return np.asarray(np.packbits(single, axis=2)[:, :, 0] >> (8 - bits))


def codec(name: str) -> Packed:
    """Return the empty codes of a precision without a kernel; KeyError for another."""
    return {
        **{f"binary_query{bits}": RoundedQueries(bits) for bits in (4, 8)},
        **{f"osq_{bits}bit": OptimisedScalar(bits) for bits in (1, 2, 4, 8)},
    }[name]
