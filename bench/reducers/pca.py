"""Principal components: what one would have used before Matryoshka training."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from bench.reducers import Reducer
from bench.vectors import normalise

_BLOCK = 16_384


class Pca(Reducer):
    """The d leading eigenvectors of the corpus's second moments, uncentred unless `center` is true.

    Uncentred, it is a rotation: at the full dimension every cosine is unchanged. Source: Pearson 1901; Jolliffe 2002.
    """

    name = "pca"
    summary = "the d principal components of the corpus (uncentred)"
    grid = {"center": [False]}

    def fit(self, corpus: np.ndarray) -> None:
        full = corpus.shape[1]
        moments = np.zeros((full, full))
        total = np.zeros(full)
        for start in range(0, len(corpus), _BLOCK):
            block = normalise(corpus[start : start + _BLOCK]).astype(np.float64)
            moments += block.T @ block
            total += block.sum(axis=0)
        self.mean = total / len(corpus) if self.parameters["center"] else np.zeros(full)
        _, axes = eigh(moments / len(corpus) - np.outer(self.mean, self.mean))
        axes = axes[:, ::-1]
        # An eigenvector's sign is arbitrary; fixing it keeps the map the same on every machine.
        signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(full)])
        self.axes = (axes * signs).astype(np.float32)

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return (normalise(vectors) - self.mean.astype(np.float32)) @ self.axes
