"""Truncation and normalisation: the arithmetic that all other modules share."""

from __future__ import annotations

import numpy as np


def normalise(vectors: np.ndarray) -> np.ndarray:
    """Return (n, d) float32 C-contiguous rows of unit length; a zero row stays zero, not NaN."""
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    lengths[lengths == 0] = 1.0
    return np.asarray(vectors / lengths[:, None], dtype=np.float32)


def truncate(embeddings: np.ndarray, dimension: int) -> np.ndarray:
    """Keep the first `dimension` coordinates of each row and renormalise.

    (n, D) of any float dtype → (n, dimension) float32, C-contiguous, unit length. A zero prefix
    stays zero. Raises ValueError if `dimension` is outside 1…D. Source: Kusupati et al., Matryoshka
    Representation Learning, 2022.
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2:
        raise ValueError(
            f"embeddings must have two dimensions (n, D), not shape {embeddings.shape}"
        )
    full = embeddings.shape[1]
    if (
        isinstance(dimension, bool)
        or not isinstance(dimension, int | np.integer)
        or not 1 <= dimension <= full
    ):
        raise ValueError(f"dimension {dimension} is outside 1…{full}")
    return normalise(embeddings[:, :dimension])
