"""Reducers: D → d dimensions, one file per method.

Every reducer is *nested*. It maps the full vectors once, by a rotation, a permutation, a learned
map or not at all. The reduction to d dimensions is the prefix of length d of the mapped vectors.
So one pass of `bench.exact` over the mapped vectors serves all dimensions, and one stored vector
serves every stage of a search.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

import numpy as np

from bench import registry
from bench.errors import UsageError
from bench.vectors import normalise
from bench.vectors import truncate as prefix

PREFIX, BASELINE, ROTATION, LEARNED = KINDS = ("prefix", "baseline", "rotation", "learned")
"""How the analysis treats a reducer; see `Reducer.kind`."""
PLAIN = "truncate"
"""The reducer of kind `PREFIX`: a study's default, and the reference for the others."""
_BLOCK = 16_384


class Reducer(ABC):
    """Map full vectors so that their prefixes are the reduced vectors. Fitted on the corpus."""

    name: ClassVar[str]
    summary: ClassVar[str]
    kind: ClassVar[str] = ROTATION
    """One of `KINDS`.

    ``prefix``: the first d coordinates, nothing mapped. ``baseline``: a control, random or from the
    vector's other end, that truncation must beat before its training gets any credit. ``rotation``:
    a map fitted on the corpus or drawn at random, without training. ``learned``: a map trained
    beforehand.
    """
    fitted: ClassVar[tuple[str, ...] | None] = None
    """Names of the array attributes that `fit` sets; they are kept between processes.

    If it is None, the reducer is fitted again in every process.
    """
    needs_queries: ClassVar[bool] = False
    """True if `fit` reads `queries`. A dataset without training queries is then an error."""
    queries: np.ndarray | None = None
    """Training queries, (m, D) float32 of any length, set before `fit` if `needs_queries`.

    None of them is a query that is scored.
    """
    grid: ClassVar[dict[str, list[Any]]] = {}
    """Parameters with the values swept by default; a study can replace each list."""
    argument: ClassVar[str] = ""
    """The parameter that a study sets after a colon (``adaptor:PATH``); empty for none."""

    def __init__(self, encoder: str = "", **parameters: Any) -> None:
        """`encoder`: the source of the vectors, named as in a study.

        Parameters default to the first value of the grid.
        """
        self.encoder = encoder
        self.parameters = {name: values[0] for name, values in self.grid.items()} | parameters

    @property
    def identity(self) -> str:
        """Anything else that the map depends on, such as a digest of weights.

        Parameters, corpus and code are covered already.
        """
        return ""

    @property
    def key(self) -> str:
        """Digest of the reducer's code and `identity`: results of other maps are not reused."""
        return hashlib.blake2b(
            f"{_code(type(self))} {self.identity}".encode(), digest_size=8
        ).hexdigest()

    def check(self, full_dim: int) -> None:
        """Raise UsageError if vectors of `full_dim` dimensions cannot be mapped, before a run."""

    def caution(self, dimension: int) -> str:
        """Warning from training time against this reducer at `dimension`; empty for none."""
        return ""

    @property
    def note(self) -> str:
        """What a reader must know of this reducer's rows, one sentence; empty for nothing."""
        return ""

    @abstractmethod
    def fit(self, corpus: np.ndarray) -> None:
        """Learn the map from `corpus`, deterministically.

        `corpus` is (n, D) float32 with rows of any length, possibly a memory map.
        """

    @abstractmethod
    def map(self, vectors: np.ndarray) -> np.ndarray:
        """Return the mapped vectors, (n, D) → (n, D) float32."""

    def reduce(self, vectors: np.ndarray, dimension: int) -> np.ndarray:
        """Return (n, D) → (n, dimension) float32, unit length. Raises ValueError outside 1…D."""
        return prefix(self.map(vectors), dimension)

    def code(self) -> str:
        """Return Python for the mapped vectors, an expression, without this package.

        It reads ``vectors``, (n, D) float32 unit vectors, and the arrays of `code_arrays` as
        ``MAP["name"]``. Raises UsageError if the reducer does not offer its code.
        """
        raise UsageError(
            f"reducer '{self.name}' does not offer its code: its class needs the method `code`"
        )

    def code_arrays(self) -> dict[str, np.ndarray]:
        """Return the arrays that `code` may read, by name; by default those learned by `fit`."""
        return self.state() or {}

    def state(self) -> dict[str, np.ndarray] | None:
        """Return the arrays learned by `fit`, by name; None if `fitted` is None."""
        if self.fitted is None:
            return None
        return {name: np.asarray(getattr(self, name)) for name in self.fitted}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the arrays of `state` instead of fitting; raises KeyError if one is missing."""
        for name in self.fitted or ():
            setattr(self, name, state[name])


def reducers() -> dict[str, type[Reducer]]:
    """Return every reducer by name."""
    return registry.found("reducers", Reducer)


def get_reducer(name: str) -> type[Reducer]:
    """Return the class called `name`; raises UsageError with the near miss if there is none."""
    return registry.get("reducers", Reducer, name)


def moments(corpus: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (D,) and second moments (D, D) of the corpus as unit vectors, float64."""
    full = corpus.shape[1]
    total, second = np.zeros(full), np.zeros((full, full))
    for start in range(0, len(corpus), _BLOCK):
        block = normalise(corpus[start : start + _BLOCK]).astype(np.float64)
        second += block.T @ block
        total += block.sum(axis=0)
    return total / len(corpus), second / len(corpus)


@cache
def _code(cls: type[Reducer]) -> str:
    """Return a digest of the module that defines `cls`, without comments and docstrings."""
    try:
        source = inspect.getsource(inspect.getmodule(cls) or cls)
    except (OSError, TypeError):  # defined at a prompt, so new in each process
        return f"{cls.__module__} {id(cls)}"
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [  # type: ignore[attr-defined]
                part
                for part in body
                if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
            ]
    return hashlib.blake2b(ast.dump(tree).encode(), digest_size=8).hexdigest()
