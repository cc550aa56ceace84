"""Where queries lie in memory: every one begins at a cache line of its own.

A query that straddles cache lines costs a search a tenth of its time, once for each document. Where
numpy puts an array is luck, so two copies of one query would not be equally fast.
"""

from __future__ import annotations

import numpy as np

LINE = 64
"""Bytes of a cache line, and of the widest vector load."""


def aligned(vectors: np.ndarray) -> np.ndarray:
    """Return a copy of (q, d) `vectors` in one C-contiguous block that begins at a cache line."""
    size = vectors.size * vectors.itemsize
    copy = _buffer(size)[:size].view(vectors.dtype).reshape(vectors.shape)
    copy[:] = vectors
    return copy


def singles(vectors: np.ndarray) -> list[np.ndarray]:
    """Return each of (q, d) `vectors` as a C-contiguous (1, d) array that begins at a cache line.

    They are copies, in one block with gaps between the rows.
    """
    count, dimension = vectors.shape
    width = dimension * vectors.itemsize
    stride = -(-width // LINE) * LINE
    rows = _buffer(count * stride)[: count * stride].reshape(count, stride)
    found = []
    for row, vector in zip(rows, vectors, strict=True):
        single = row[:width].view(vectors.dtype).reshape(1, dimension)
        single[0] = vector
        found.append(single)
    return found


def _buffer(size: int) -> np.ndarray:
    """Return at least `size` bytes that begin at a cache line, uint8."""
    raw = np.empty(size + LINE, np.uint8)
    return raw[-raw.ctypes.data % LINE :]
