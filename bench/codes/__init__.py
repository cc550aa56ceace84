"""Codes: what a precision stores of each vector, and the kernel that searches it.

A coding names a recipe of `bench.codes.recipes`, plain functions over faiss. The same functions
build the index that is measured and are the code of its deployment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from bench.backends.precisions import Precision

FLAT, IVF, HNSW = "flat", "ivf", "hnsw"
ALL = (FLAT, IVF, HNSW)


@dataclass(frozen=True)
class Coding:
    """How vectors are stored and searched at one precision."""

    precision: Precision
    family: str
    """What the table of the precisions lists it under."""
    what: str
    """What is stored, in a few words."""
    source: str
    recipe: str = ""
    """Name of a function in `recipes`; empty if no kernel exists (`bench.codes.unkernelled`)."""
    given: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the recipe."""
    shapes: tuple[str, ...] = ALL
    """Indexes that have the codes."""
    documents: str = ""
    """Function in `recipes` that maps the vectors before they are added; empty for none."""
    turn: str = ""
    """Function in `recipes` that learns what `turned` applies before the signs are taken. The codes
    are then signs, compared by Hamming distance."""
    is_product: bool = False
    """Whether a graph of it needs `scored_by_product`."""
    by_cell: bool = False
    """Whether cells store residuals: other codes than exhaustive search compares."""

    @property
    def name(self) -> str:
        """The precision's name."""
        return self.precision.name

    def mapped(self, vectors: np.ndarray) -> np.ndarray:
        """Return what is added to the index for (n, d) vectors."""
        found = getattr(loaded(), self.documents)(vectors) if self.documents else vectors
        return np.asarray(found)


def loaded() -> ModuleType:
    """Import and return the recipes; they load faiss."""
    from bench.codes import recipes

    return recipes
