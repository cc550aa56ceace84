"""A random projection, which needs neither training nor data."""

from __future__ import annotations

import numpy as np

from bench.reducers import Reducer


class RandomProjection(Reducer):
    """Inner products with d Gaussian directions, nested for each seed.

    Source: Johnson & Lindenstrauss 1984.
    """

    name = "random_projection"
    fitted = ("directions",)
    summary = "d Gaussian random directions"
    grid = {"seed": [0]}

    def fit(self, corpus: np.ndarray) -> None:
        full = corpus.shape[1]
        # Same generator and order as scikit-learn's GaussianRandomProjection, so that both give the
        # same directions.
        self.directions = (
            np.random.RandomState(self.parameters["seed"])
            .standard_normal((full, full))
            .astype(np.float32)
        )

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return vectors @ self.directions.T

    def code(self) -> str:
        return 'vectors @ MAP["directions"].T'
