"""A random subset of coordinates, the control that truncation must beat.

The exact pass ranks truncation among many of them by itself (`bench.measuring.subsets`).
"""

from __future__ import annotations

import numpy as np

from bench.reducers import BASELINE, Reducer


class RandomSubset(Reducer):
    """d coordinates drawn at random, nested for each seed.

    Source: Takeshita et al., arXiv 2508.17744.
    """

    name = "random_subset"
    kind = BASELINE
    fitted = ("order",)
    summary = "d coordinates drawn at random, five seeds"
    grid = {"seed": [0, 1, 2, 3, 4]}

    def fit(self, corpus: np.ndarray) -> None:
        self.order = np.random.default_rng(self.parameters["seed"]).permutation(corpus.shape[1])

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(vectors[:, self.order])

    def code(self) -> str:
        return 'vectors[:, MAP["order"]]'
