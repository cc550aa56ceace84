"""Exhaustive search at every precision: what the quality of the exact pass is found with."""

from __future__ import annotations

import numpy as np

from bench.backends.faiss_flat import FaissFlat
from bench.codes.table import BY_NAME, unkernelled
from bench.codes.unkernelled import Packed, codec


class Exhaustive(FaissFlat):
    """As the reference; numpy searches the codes that no library here has a kernel for."""

    name = "exact"
    precisions = (*FaissFlat.precisions, *unkernelled())
    index: Packed

    @property
    def has_products(self) -> bool:
        """Whether `stored` and `compared` give vectors whose products are the scores."""
        return self.coding is None

    def build(self, vectors: np.ndarray) -> None:
        if is_timed(self.precision):
            super().build(vectors)
        else:
            self.index = codec(self.precision)
            self.index.add(vectors)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return (
            super().search(queries, k)
            if is_timed(self.precision)
            else self.index.search(queries, k)
        )

    @property
    def code_bytes(self) -> int:
        return super().code_bytes if is_timed(self.precision) else self.index.code_size

    def size_bytes(self) -> int:
        return super().size_bytes() if is_timed(self.precision) else self.index.size_bytes()


def is_timed(precision: str) -> bool:
    """Return whether an index of the precision can be timed: whether a library has a kernel."""
    coding = BY_NAME.get(precision)
    return coding is None or bool(coding.shapes)
