"""Reducers: D → d dimensions. One file a method.

Every reducer here is *nested*: it maps the full vectors once (a rotation, a permutation, a learned map, nothing), and its
d-dimensional reduction is the prefix of length d of the mapped vectors. So one pass of `bench.exact.one_pass` over the mapped
vectors serves all dimensions, and a vector stored once serves every stage of a search.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from bench import registry
from bench.vectors import normalise
from bench.vectors import truncate as prefix

_BLOCK = 16_384


class Reducer(ABC):
    """Maps full vectors so that their prefixes are the reduced vectors. Fitted on corpus vectors only."""

    name: ClassVar[str]
    summary: ClassVar[str]
    grid: ClassVar[dict[str, list[Any]]] = {}
    """Parameters and the values swept when a study does not say; a value that a study gives replaces the list."""
    argument: ClassVar[str] = ""
    """The parameter that what follows a colon in a study sets: ``adaptor:PATH``; empty for none."""

    def __init__(self, encoder: str = "", **parameters: Any) -> None:
        """`encoder`: whose vectors are reduced, named as in a study. What `parameters` leaves out is the first of the grid."""
        self.encoder = encoder
        self.parameters = {name: values[0] for name, values in self.grid.items()} | parameters

    @property
    def identity(self) -> str:
        """What the map depends on besides the parameters and the corpus, such as the digest of a file of weights."""
        return ""

    def check(self, full_dim: int) -> None:
        """Raise UsageError where vectors of `full_dim` dimensions cannot be mapped; called before anything is measured."""

    def caution(self, dimension: int) -> str:
        """Why a careful person would not choose this reducer at `dimension`, as known from its making; empty for nothing."""
        return ""

    @abstractmethod
    def fit(self, corpus: np.ndarray) -> None:
        """Learn the map from `corpus`, (n, D) float32 of any length, possibly a memory map. Deterministic."""

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


def moments(corpus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (D,) and the second moments (D, D) of the corpus as unit vectors, float64, read in blocks."""
    full = corpus.shape[1]
    total, second = np.zeros(full), np.zeros((full, full))
    for start in range(0, len(corpus), _BLOCK):
        block = normalise(corpus[start : start + _BLOCK]).astype(np.float64)
        second += block.T @ block
        total += block.sum(axis=0)
    return total / len(corpus), second / len(corpus)
