"""The coordinates that vary most, the simplest use of the data."""

from __future__ import annotations

import numpy as np

from bench.reducers import Reducer, moments


class VarianceOrder(Reducer):
    """The d coordinates with the largest variance over the normalised corpus."""

    name = "variance_order"
    fitted = ("order",)
    summary = "the d coordinates that vary most over the corpus"

    def fit(self, corpus: np.ndarray) -> None:
        mean, second = moments(corpus)
        self.order = np.argsort(-(np.diag(second) - mean**2), kind="stable")

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(vectors[:, self.order])

    def code(self) -> str:
        return 'vectors[:, MAP["order"]]'
