"""Truncation, the use that a Matryoshka model is trained for."""

from __future__ import annotations

import numpy as np

from bench.reducers import PLAIN, PREFIX, Reducer


class Truncate(Reducer):
    """The first d coordinates.

    Source: Kusupati et al., Matryoshka Representation Learning, 2022.
    """

    name = PLAIN
    kind = PREFIX
    fitted = ()
    summary = "the first d coordinates"

    def fit(self, corpus: np.ndarray) -> None:
        """Do nothing: truncation has no parameters."""

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return vectors

    def code(self) -> str:
        return "vectors"
