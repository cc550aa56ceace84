"""Principal components, the classical alternative to Matryoshka training."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh

from bench.reducers import Reducer, moments
from bench.vectors import normalise


class Pca(Reducer):
    """The d leading eigenvectors of the corpus's second moments, uncentred unless `center` is true.

    Uncentred, it is a rotation: it keeps every cosine at the full dimension. `whiten` divides each
    component by its standard deviation. Source: Pearson 1901; Jolliffe 2002; Su et al. 2021
    (whitening of sentence embeddings).
    """

    name = "pca"
    fitted = ("mean", "axes")
    summary = "the d principal components of the corpus (uncentred; center and whiten are choices)"
    grid = {"center": [False], "whiten": [False]}

    def fit(self, corpus: np.ndarray) -> None:
        full = corpus.shape[1]
        mean, second = moments(corpus)
        self.mean = mean if self.parameters["center"] else np.zeros(full)
        variances, axes = eigh(second - np.outer(self.mean, self.mean))
        variances, axes = variances[::-1], axes[:, ::-1]
        # An eigenvector's sign is arbitrary; fixing it keeps the map the same on every machine.
        axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(full)])
        if self.parameters["whiten"]:
            # Whitening a direction without variance would amplify noise.
            alive = variances > 1e-10 * variances[0]
            axes = axes * np.where(alive, 1 / np.sqrt(np.where(alive, variances, 1)), 0)
        self.axes = axes.astype(np.float32)

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return np.asarray((normalise(vectors) - self.mean.astype(np.float32)) @ self.axes)

    def code(self) -> str:
        centred = '(vectors - MAP["mean"])' if self.parameters["center"] else "vectors"
        return f'{centred} @ MAP["axes"]'
