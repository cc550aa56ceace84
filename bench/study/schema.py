"""The keys of a study file, and what each may hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from bench.backends import Backend
from bench.reducers import PLAIN

SHORTLIST, DIMENSION, FUNNEL, VECTORS, NATIVE = (
    "shortlist",
    "dimension",
    "funnel",
    "vectors",
    "native",
)
"""The keys of `stages` in a study."""
MEMORY, DISK = "memory", "disk"


GRID, PARETO = "grid", "pareto"


def listed(value: Any) -> Any:
    """Return a list as it is, and anything else as a list of one."""
    return value if isinstance(value, list) else [value]


def _listed_values(value: Any) -> Any:
    return {k: listed(v) for k, v in value.items()} if isinstance(value, dict) else value


Strings = Annotated[list[str], BeforeValidator(listed), Field(min_length=1)]
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
PositiveInts = Annotated[list[PositiveInt], BeforeValidator(listed), Field(min_length=1)]
Swept = Annotated[dict[str, list[Any]], BeforeValidator(_listed_values)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReducerChoice(_Strict):
    """A reducer with parameters of one's own: ``{ name = "random_subset", seed = [0, 1] }``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str


Reducers = Annotated[list[str | ReducerChoice], BeforeValidator(listed), Field(min_length=1)]


class Stages(_Strict):
    """What follows the index's own search; each list in it is swept."""

    shortlist: PositiveInts
    """How many the index is asked for."""
    dimension: PositiveInts | None = None
    """What the last step scores at; the full dimension when left out."""
    funnel: Annotated[list[bool], BeforeValidator(listed), Field(min_length=1)] = [False]
    """Whether the dimension is doubled and the list halved on the way."""
    vectors: Annotated[
        list[Literal["memory", "disk"]], BeforeValidator(listed), Field(min_length=1)
    ] = ["memory"]
    """Where the vectors that are rescored lie."""
    native: Annotated[list[bool], BeforeValidator(listed)] | None = None
    """Whether the backend rescores by itself; both ways are measured when left out and it can."""

    def swept(self, backend: type[Backend]) -> list[dict[str, Any]]:
        """Return each combination for `backend`, without what is at its default."""
        grid: dict[str, list[Any]] = {
            SHORTLIST: list(self.shortlist),
            DIMENSION: [*self.dimension] if self.dimension else [None],
            FUNNEL: list(self.funnel),
            VECTORS: list(self.vectors),
        }
        native = self.native or ([True, False] if backend.native_stages else [False])
        combined = product({**grid, NATIVE: native if backend.native_stages else [False]})
        # Its own rescore is one step, at the full dimension, from where it keeps its vectors.
        fit = [
            s
            for s in combined
            if not s[NATIVE] or (not s[FUNNEL] and s[DIMENSION] is None and s[VECTORS] == MEMORY)
        ]
        return [
            {key: value for key, value in stages.items() if value not in (None, False, MEMORY)}
            for stages in fit
        ]


class Configuration(_Strict):
    """One ``[[configurations]]`` table; each list in it is swept."""

    backend: Strings
    reducer: Reducers = [PLAIN]
    precision: Strings | None = None
    """The backend's first one when left out: float32 where it has that."""
    build: Swept = {}
    search: Swept = {}
    stages: Stages | None = None
    dimensions: PositiveInts | None = None
    clients: PositiveInts = [1]
    """How many processes ask a server at once."""


class Study(_Strict):
    """What is swept. See the README for each key."""

    name: str
    dataset: Strings
    encoder: Annotated[list[str | None], BeforeValidator(listed)] = [None]
    dimensions: PositiveInts
    reducers: Reducers = [PLAIN]
    k: PositiveInts = [10]
    threads: PositiveInts = [1]
    queries: PositiveInt | None = None
    repeats: PositiveInt = 3
    sweep: Literal["grid", "pareto"] = "grid"
    """``grid`` measures every trial; ``pareto`` leaves out what a few queries show to be beaten."""
    seed: Annotated[int, Field(ge=0)] = 0
    timeout_seconds: Annotated[float, Field(gt=0)] = 600.0
    memory_gib: Annotated[float, Field(gt=0)] | None = None
    configurations: list[Configuration] = []

    @property
    def all_dimensions(self) -> list[int]:
        """Every dimension that is searched, ascending."""
        own = (d for c in self.configurations for d in c.dimensions or [])
        return sorted({*self.dimensions, *own})

    @property
    def stage_dimensions(self) -> list[int]:
        """Every dimension that a later stage scores at, ascending; the full one left out."""
        stages = [c.stages for c in self.configurations if c.stages]
        return sorted({d for s in stages for d in s.dimension or []})

    @property
    def shortlists(self) -> list[int]:
        """Every length of a shortlist, ascending."""
        stages = [c.stages for c in self.configurations if c.stages]
        return sorted({n for s in stages for n in s.shortlist})


def product(grid: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    """Return every combination of one value per key."""
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
