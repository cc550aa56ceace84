"""Everything that could be deployed, and how good each could still be."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.labels import variant
from bench.backends import (
    LIBRARY,
    REFERENCE,
    Backend,
    backends,
    exhaustive_backends,
    get_backend,
)
from bench.backends.precisions import FLOAT32
from bench.errors import UsageError
from bench.results.rows import timed, untimed
from bench.study.plan import EXACT, canonical, index_class, parameters, reducer_grid
from bench.study.schema import DISK, MEMORY, SHORTLIST, VECTORS, ReducerChoice, product

USUAL = (REFERENCE, "faiss-ivf", "faiss-hnsw")
"""Backends that are tried by default: those of the core."""
_STEPS = 4
"""Widths tried between one value of a backend's own grid and the next."""
_CAREFUL = 0.75
"""Share of a time known from another dimension that an unmeasured index may reach."""
_SCAN = 0.9
"""The same where every vector is compared, of a time known from as many bytes per vector."""
_FASTEST_MS = 0.005
"""A time that no index undercuts, for a backend without any measured row."""


@dataclass(frozen=True)
class Cell:
    """A reducer, a dimension, a precision and a rescore, whose quality without an index is known.

    An index over it finds at most as much, chance aside.
    """

    trial_id: str
    """The row of its quality."""
    reducer: str
    reducer_params: str
    dim: int
    precision: str
    shortlist: int
    """Candidates that are rescored at the full dimension; 0 for no rescore."""

    @property
    def code_bytes(self) -> float:
        """Bytes of one stored vector, without the index and what a rescore reads."""
        bits = index_class(EXACT).precision_of(self.precision).bits
        return self.dim * (bits or 32) / 8


@dataclass(frozen=True)
class Candidate:
    """One index that could be built over a cell."""

    cell: Cell
    backend: str
    precision: str
    """That of the cell, or the backend's own (such as product codes) over float32."""
    build: str
    place: str
    """Where a rescore reads its vectors: ``memory`` or ``disk``; empty without a rescore."""

    @property
    def stages(self) -> str:
        """The later steps, as a row of the trials table has them."""
        if not self.cell.shortlist:
            return ""
        place = {VECTORS: DISK} if self.place == DISK else {}
        return canonical({SHORTLIST: self.cell.shortlist, **place})

    @property
    def key(self) -> tuple[Any, ...]:
        """What the rows over this index share."""
        cell = self.cell
        own = (self.backend, self.precision, self.build, self.stages)
        return (cell.reducer, cell.reducer_params, cell.dim, *own)

    def __str__(self) -> str:
        cell = self.cell
        reducer = variant(cell.reducer, cell.reducer_params)
        words = [self.backend, f"{cell.dim} d", reducer, self.precision]
        words += [f"rescore {cell.shortlist} from {self.place}"] if cell.shortlist else []
        return " ".join(words)

    def table(self) -> dict[str, Any]:
        """Return the study's ``[[configurations]]`` table that measures it."""
        cell, build = self.cell, parameters(self.build)
        table: dict[str, Any] = {
            "backend": self.backend,
            "reducer": reducer_choice(cell.reducer, cell.reducer_params),
            "dimensions": cell.dim,
            "precision": self.precision,
        }
        if build:
            table["build"] = build
        if widths := ladder(get_backend(self.backend)):
            table["search"] = widths
        if cell.shortlist:
            table["stages"] = parameters(self.stages)
        return table


def reducer_choice(name: str, params: str) -> str | dict[str, Any]:
    """Return a reducer as a study names it."""
    chosen = {k: v for k, v in parameters(params).items() if v != ""}
    return {"name": name, **chosen} if chosen else name


def best_first(
    choices: Sequence[str | dict[str, Any]], rows: pd.DataFrame, shares: Sequence[float]
) -> list[str | dict[str, Any]]:
    """Return reducers, as a study names them, those first that keep the most over all dimensions.

    `shares` are what the `rows` of the exact pass keep.
    """
    pairs = zip(rows["reducer"], rows["reducer_params"].fillna(""), shares, strict=True)
    kept = pd.DataFrame(pairs).groupby([0, 1])[2].mean()

    def of(choice: str | dict[str, Any]) -> float:
        named = choice if isinstance(choice, str) else ReducerChoice.model_validate(choice)
        return float(kept.get(reducer_grid(named)[0], 0.0))

    return sorted(choices, key=of, reverse=True)


def ladder(backend: type[Backend]) -> dict[str, list[Any]]:
    """Return the backend's search grid with `_STEPS` widths for one of its own, ascending.

    Only the first parameter is refined; the others keep their values.
    """
    grid = {name: list(values) for name, values in backend.search_grid.items()}
    if not grid:
        return {}
    name, values = next(iter(grid.items()))
    if len(values) < 2 or not all(type(value) in (int, float) for value in values):
        return grid
    found: list[Any] = []
    for low, high in itertools.pairwise(values):
        even = low <= 0 or type(low) is float
        between = (np.linspace if even else np.geomspace)(low, high, _STEPS + 1)
        found += [type(low)(round(float(value), 0 if type(low) is int else 4)) for value in between]
    return {**grid, name: sorted(set(found))}


def usable(names: Sequence[str] | None) -> list[str]:
    """Return the backends to try; ``all`` are the libraries installed here.

    Raises UsageError for an unknown name, or one that is not installed.
    """
    if not names:
        return list(USUAL)
    if list(names) == ["all"]:
        every = backends().items()
        return [name for name, b in every if b.kind == LIBRARY and b.available()]
    for name in names:
        backend = get_backend(name)
        if not backend.available():
            raise UsageError(f"backend '{name}' is not installed: {backend.install}")
    return list(dict.fromkeys(names))


def exhaustive(rows: pd.DataFrame) -> set[str]:
    """Return the ids of the rows whose backend compares every vector."""
    return set(rows.loc[rows["backend"].isin(exhaustive_backends()), "trial_id"])


def cells(frame: pd.DataFrame) -> list[Cell]:
    """Return every cell whose quality was measured, of one dataset and encoder."""
    rows = untimed(frame)
    columns = ["trial_id", "reducer", "reducer_params", "dim", "precision", "stages"]
    return [
        Cell(
            row.trial_id,
            row.reducer,
            row.reducer_params or "",
            int(row.dim),
            row.precision,
            int(parameters(row.stages).get(SHORTLIST, 0)),
        )
        for row in rows[columns].fillna("").itertuples()
    ]


def candidates(found: Iterable[Cell], backends: Sequence[str], full_dim: int) -> list[Candidate]:
    """Return every index that can be built over the cells."""
    listed = []
    for cell in found:
        places = [MEMORY, DISK] if cell.shortlist else [""]
        for name in backends:
            backend = get_backend(name)
            if backend.full_width and cell.dim != full_dim:
                continue
            for precision in _precisions(backend, cell):
                for build in product(backend.build_grid):
                    if any(build[p] > cell.dim for p in backend.dimension_parameters if p in build):
                        continue
                    listed += [
                        Candidate(cell, name, precision, canonical(build), place)
                        for place in places
                    ]
    return listed


def one_each(listed: Sequence[Candidate]) -> list[Candidate]:
    """Return the first of each backend, in order."""
    found: dict[str, Candidate] = {}
    for candidate in listed:
        found.setdefault(candidate.backend, candidate)
    return list(found.values())


def _precisions(backend: type[Backend], cell: Cell) -> list[str]:
    """Return the backend's precisions that store this cell's vectors."""
    own = [p.name for p in backend.precisions if p.name == cell.precision]
    if cell.precision == FLOAT32.name:
        own += [p.name for p in backend.precisions if p.bits is None]
    return own


class Prospects:
    """How small and how fast an index could be, from those measured so far; never pessimistic."""

    def __init__(self, frame: pd.DataFrame, full_dim: int) -> None:
        """`frame` holds the trials of one dataset and encoder."""
        self._full_dim = full_dim
        self._overhead: dict[tuple[str, str], float] = {}
        """Bytes per vector beyond its code, by backend and build parameters.

        Without parameters it is the least of the backend: what one build adds, others add too.
        """
        self._measured: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
        """(bytes of a code, ms of the index alone), by backend, precision and build parameters."""
        self._rescored: dict[str, float] = {}
        """Least ms per candidate of a shortlist, by where the vectors are."""
        for row in timed(frame).fillna({"stages": "", "build_params": ""}).itertuples():
            self._learn(row)

    def _learn(self, row: Any) -> None:
        stages = parameters(row.stages)
        bits = FLOAT32.bits if pd.isna(row.component_bits) else row.component_bits
        code = row.dim * bits / 8
        if not pd.isna(row.bytes_per_vector):
            over = row.bytes_per_vector - self.resident(stages) - code
            for build in (row.build_params, ""):
                least = self._overhead.get((row.backend, build), np.inf)
                self._overhead[row.backend, build] = min(over, least)
        own = float(row.latency_ms_p50)
        if stages and not pd.isna(row.rescore_ms_p50):
            place = stages.get(VECTORS, MEMORY)
            each = row.rescore_ms_p50 / stages[SHORTLIST]
            self._rescored[place] = min(each, self._rescored.get(place, np.inf))
            own = max(_FASTEST_MS, own - row.rescore_ms_p50)
            if place == DISK:  # reads leave the caches cold: another index may be far faster
                return
        for build in (row.build_params, ""):
            alike = row.backend, row.precision, build
            self._measured.setdefault(alike, []).append((code, own))

    def resident(self, stages: Mapping[str, Any]) -> float:
        """Return the bytes per vector that a rescore keeps in memory."""
        return 4.0 * self._full_dim if stages and stages.get(VECTORS) != DISK else 0.0

    def bytes(self, candidate: Candidate) -> float:
        """Return the fewest bytes per vector that an index may take."""
        bits = get_backend(candidate.backend).precision_of(candidate.precision).bits
        # Product codes and the like are as small as their parameters say: a bit per component here.
        code = candidate.cell.dim * (bits or 1) / 8
        over = self._over(candidate) if bits else 0.0
        return max(1.0, code + over) + self.resident(parameters(candidate.stages))

    def _over(self, candidate: Candidate) -> float:
        of_backend = self._overhead.get((candidate.backend, ""), 0.0)
        return self._overhead.get((candidate.backend, candidate.build), of_backend)

    def disk(self, candidate: Candidate) -> float:
        """Return the bytes per vector that a rescore reads from disk."""
        return 4.0 * self._full_dim if candidate.place == DISK else 0.0

    def ms(self, candidate: Candidate, slower: float = 1.0) -> float:
        """Return the lowest median latency that an index may have, ms.

        `slower` is how many times as long the index takes at the size wanted; a rescore does not.
        """
        rescored = self._rescored.get(candidate.place, 0.0) * candidate.cell.shortlist
        return self._index_ms(candidate) * slower + _CAREFUL * rescored

    def _index_ms(self, candidate: Candidate) -> float:
        backend = get_backend(candidate.backend)
        code = candidate.cell.dim * (backend.precision_of(candidate.precision).bits or 32) / 8
        for build in (candidate.build, ""):
            if points := self._measured.get((candidate.backend, candidate.precision, build)):
                near, taken = min(points, key=lambda p: (abs(np.log(p[0] / code)), p[1]))
                # The width that an index needs, and its time with it, may be far smaller elsewhere.
                alike = backend.exact and 1 / 2 < code / near < 2
                return float(taken * min(1.0, code / near) ** 0.8 * (_SCAN if alike else _CAREFUL))
        return _FASTEST_MS
