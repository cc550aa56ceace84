"""Expand a study into its trials: every combination of its swept values."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.backends import Backend, get_backend
from bench.backends._exhaustive import Exhaustive
from bench.backends.precisions import FLOAT32
from bench.errors import DamagedFile, StudyError, near_miss
from bench.harmless import shown
from bench.reducers import PLAIN, get_reducer
from bench.registry import split_name
from bench.study.schema import (
    DIMENSION,
    NATIVE,
    Configuration,
    ReducerChoice,
    Study,
    listed,
    product,
)

EXACT = "exact"
"""Value of the column `backend` for the exact pass: quality of every reducer, no times."""
BM25 = "bm25"
"""Value of the column `backend` for BM25: the words alone, without vectors, and no times."""
EXACT_DEPTH = 100
"""Results per query of the exact pass: enough for every quality figure."""
CLOSED = 0.0
"""Value of `Trial.arrival` if each client asks as soon as it has its last answer."""
_MOST_TRIALS = 1_000_000


@dataclass(frozen=True)
class Trial:
    """One configuration, without its data. Parameters are canonical JSON text."""

    reducer: str
    reducer_params: str
    dim: int
    precision: str
    backend: str
    build_params: str
    search_params: str
    stages: str
    k: int
    threads: int
    clients: int = 1
    arrival: float = CLOSED
    """Arrivals per second, as a share of the throughput of the closed loop."""

    @property
    def is_load(self) -> bool:
        """Whether client processes query it: several at once, or at a fixed rate."""
        return self.clients > 1 or self.arrival != CLOSED

    @property
    def is_exact_pass(self) -> bool:
        """Whether it is exact search in float32, whose results are kept in a file."""
        return self.backend == EXACT and self.precision == FLOAT32.name and not self.stages

    @property
    def build_key(self) -> tuple[Any, ...]:
        """Trials with the same key share one built index."""
        return (
            self.reducer,
            self.reducer_params,
            self.dim,
            self.precision,
            self.backend,
            self.build_params,
            self.threads,
        )


def canonical(parameters: Mapping[str, Any]) -> str:
    """Return JSON text that is the same for the same parameters; empty for none."""
    return json.dumps(dict(parameters), sort_keys=True) if parameters else ""


def parameters(text: object) -> dict[str, Any]:
    """Parse the text of `canonical`; empty if a table's cell is empty or null.

    Raises DamagedFile for what is no JSON object, and for signs that would act where it is shown.
    """
    if not isinstance(text, str) or not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    # In JSON a sign that acts is an escape; without one there is nothing to look for.
    acts = "\\u" in text and any(shown(each) != each for each in _texts(found))
    if not isinstance(found, dict) or acts:
        raise DamagedFile(f"the parameters of a trial are damaged: {text[:60]!r}")
    return found


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a JSON value, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from _texts(each)


def index_class(name: str) -> type[Backend]:
    """Return the class behind a table's `backend`; ``exact`` compares every vector.

    Raises UsageError with the near miss of an unknown name.
    """
    return Exhaustive if name == EXACT else get_backend(name)


def exact_reducers(study: Study) -> list[tuple[str, str]]:
    """Return (reducer, reducer_params) of the exact pass, truncation first."""
    choices = itertools.chain([PLAIN], study.reducers, *(c.reducer for c in study.configurations))
    return list(dict.fromkeys(pair for choice in choices for pair in reducer_grid(choice)))


def plan(study: Study) -> list[Trial]:
    """Return the trials of a study's tables in running order, each once, grouped by index.

    The exact pass in float32, which every study has, is not among them.

    Raises StudyError for more than a million: the list alone would fill the memory.
    """
    expanded = (
        trial for configuration in study.configurations for trial in _expand(configuration, study)
    )
    trials = list(itertools.islice(expanded, _MOST_TRIALS + 1))
    if len(trials) > _MOST_TRIALS:
        raise StudyError(
            f"study '{study.name}' expands to more than {_MOST_TRIALS:,} trials: sweep fewer values"
        )
    unique = list(dict.fromkeys(trials))
    first: dict[tuple[Any, ...], int] = {}
    for position, trial in enumerate(unique):
        first.setdefault(trial.build_key, position)
    return sorted(unique, key=lambda trial: first[trial.build_key])


def reducer_grid(choice: str | ReducerChoice) -> list[tuple[str, str]]:
    """Return (reducer, reducer_params) of each combination of parameters that `choice` sweeps.

    Raises StudyError for an unknown reducer or parameter.
    """
    name, argument = split_name(choice if isinstance(choice, str) else choice.name)
    given = (
        {}
        if isinstance(choice, str)
        else {k: listed(v) for k, v in (choice.model_extra or {}).items()}
    )
    reducer = get_reducer(name)
    grid = reducer.grid
    if argument:
        if not reducer.argument:
            raise StudyError(f"reducer '{name}' takes no argument, so not '{argument}'")
        given[reducer.argument] = [argument]
    for parameter, values in given.items():
        if parameter not in grid:
            raise StudyError(
                f"reducer '{name}' has no parameter '{parameter}'{near_miss(parameter, grid)}"
            )
        default = grid[parameter][0]
        fit = (float, int) if type(default) is float else (type(default),)
        if bad := [value for value in values if type(value) not in fit]:
            raise StudyError(
                f"reducer '{name}': {parameter} = {bad[0]!r} is not of the kind of {default!r}"
            )
    return [(name, canonical(values)) for values in product({**grid, **given})]


def _expand(configuration: Configuration, study: Study) -> Iterable[Trial]:
    reducers = [pair for choice in configuration.reducer for pair in reducer_grid(choice)]
    dimensions = configuration.dimensions or study.dimensions
    for name, (reducer, reducer_params), threads, dim in itertools.product(
        configuration.backend, reducers, study.threads, dimensions
    ):
        backend = index_class(name)
        precisions = configuration.precision or backend.precision_names()[:1]
        builds = product({**backend.build_grid, **configuration.build})
        searches = product({**backend.search_grid, **configuration.search})
        stages = configuration.stages.swept(backend) if configuration.stages else [{}]
        # A second stage no longer than the first adds nothing.
        stages = [stage for stage in stages if stage.get(DIMENSION, dim + 1) > dim]
        arrivals = [CLOSED, *configuration.arrivals]
        for precision, build, stage, search, k, clients, arrival in itertools.product(
            precisions, builds, stages, searches, study.k, configuration.clients, arrivals
        ):
            trial = Trial(
                reducer,
                reducer_params,
                dim,
                precision,
                name,
                canonical(build),
                canonical(search),
                canonical(stage),
                k,
                threads,
                clients,
                arrival,
            )
            if trial.is_load and stage and not stage.get(NATIVE):
                continue  # a rescore outside the server is the application's own, not a load on it
            if trial.backend == EXACT and precision == FLOAT32.name and not stage:
                continue  # the exact pass has it at every dimension
            yield trial
