"""The last coordinates, the other end of the vector: a control that truncation must beat."""

from __future__ import annotations

import numpy as np

from bench.reducers import BASELINE, Reducer


class Trailing(Reducer):
    """The last d coordinates, in reverse order, so that they are nested as prefixes are.

    A model that was trained for its prefixes keeps less at this end; one that was not treats both
    ends alike. Source: Takeshita et al., arXiv 2508.17744.
    """

    name = "trailing"
    kind = BASELINE
    fitted = ()
    summary = "the last d coordinates"

    def fit(self, corpus: np.ndarray) -> None:
        """Do nothing: the order of coordinates is the model's."""

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(vectors[:, ::-1])

    def code(self) -> str:
        return "vectors[:, ::-1]"
