"""Reducers: D → d dimensions. One file a method.

Every reducer here is linear and *nested*: it maps the full vectors once (a rotation, a permutation, nothing), and its
d-dimensional reduction is the prefix of length d of the mapped vectors. So one pass of `bench.exact` over the mapped
vectors serves all dimensions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from bench import registry
from bench.vectors import truncate as prefix


class Reducer(ABC):
    """Maps full vectors so that their prefixes are the reduced vectors. Fitted on corpus vectors only."""

    name: ClassVar[str]
    summary: ClassVar[str]
    grid: ClassVar[dict[str, list[Any]]] = {}
    """Parameters and the values swept when a study does not say; a value that a study gives replaces the list."""

    def __init__(self, **parameters: Any) -> None:
        self.parameters = parameters

    @abstractmethod
    def fit(self, corpus: np.ndarray) -> None:
        """Learn the map from `corpus`, (n, D) float32, unit length or zero, possibly a memory map. Deterministic."""

    @abstractmethod
    def map(self, vectors: np.ndarray) -> np.ndarray:
        """Return the mapped vectors, (n, D) → (n, D) float32."""

    def reduce(self, vectors: np.ndarray, dimension: int) -> np.ndarray:
        """Return (n, D) → (n, dimension) float32, unit length. Raises ValueError outside 1…D."""
        return prefix(self.map(vectors), dimension)


def reducers() -> dict[str, type[Reducer]]:
    """Return every reducer by name."""
    return registry.found("reducers", Reducer)


def get_reducer(name: str) -> type[Reducer]:
    """Return the reducer's class; raises UsageError, with the near miss of an unknown name."""
    return registry.get("reducers", Reducer, name)
