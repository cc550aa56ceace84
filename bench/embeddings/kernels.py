"""The compiled loop that looks at every vector once; it releases the interpreter's lock."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def squared_lengths(vectors: np.ndarray, squares: np.ndarray) -> None:
    """Write the squared length of each of `vectors` (n, D) float32 to `squares` (n,) float64.

    It is not finite if a number is not, and zero only for a zero vector: no finite float32 over- or
    underflows in double precision.
    """
    for i in range(len(vectors)):
        total = 0.0
        for c in range(vectors.shape[1]):
            value = np.float64(vectors[i, c])
            total += value * value
        squares[i] = total


@njit(nogil=True, cache=True)
def row_hashes(words: np.ndarray, hashes: np.ndarray) -> None:
    """Write a hash of each row of `words` (n, D) uint32 to `hashes` (n,) uint64.

    Two different rows of ten million share one with a probability of three in a million. Each step
    is Knuth's multiplicative hashing and a shift, as in MurmurHash and its like.
    """
    for i in range(len(words)):
        mixed = np.uint64(words.shape[1])
        for c in range(words.shape[1]):
            mixed = (mixed ^ np.uint64(words[i, c])) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        hashes[i] = mixed
