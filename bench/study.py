"""A study file: TOML → validated Study → plan of trials."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bench.backends import SERVER, Backend, get_backend
from bench.errors import UsageError, near_miss
from bench.reducers import get_reducer
from bench.registry import split_name
from bench.stages import DIMENSION, FUNNEL, MEMORY, NATIVE, SHORTLIST, VECTORS

EXACT = "exact"
"""What stands in the column `backend` for the exact pass over every reducer and dimension: quality, no times."""
EXACT_DEPTH = 100
"""Depth of the exact pass's results, so that every quality figure can be given."""


def _listed(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _listed_values(value: Any) -> Any:
    return {k: _listed(v) for k, v in value.items()} if isinstance(value, dict) else value


Strings = Annotated[list[str], BeforeValidator(_listed), Field(min_length=1)]
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
PositiveInts = Annotated[list[PositiveInt], BeforeValidator(_listed), Field(min_length=1)]
Swept = Annotated[dict[str, list[Any]], BeforeValidator(_listed_values)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReducerChoice(_Strict):
    """A reducer with parameters of one's own: ``{ name = "random_subset", seed = [0, 1] }``."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str


Reducers = Annotated[list[str | ReducerChoice], BeforeValidator(_listed), Field(min_length=1)]


class Stages(_Strict):
    """What follows the index's own search; each list in it is swept."""

    shortlist: PositiveInts
    """How many the index is asked for."""
    dimension: PositiveInts | None = None
    """What the last step scores at; the full dimension when left out."""
    funnel: Annotated[list[bool], BeforeValidator(_listed), Field(min_length=1)] = [False]
    """Whether the dimension is doubled and the list halved on the way."""
    vectors: Annotated[list[Literal["memory", "disk"]], BeforeValidator(_listed), Field(min_length=1)] = ["memory"]
    """Where the vectors that are rescored lie."""
    native: Annotated[list[bool], BeforeValidator(_listed)] | None = None
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
        combined = _product({**grid, NATIVE: native if backend.native_stages else [False]})
        # Its own rescore is one step, at the full dimension, from where it keeps its vectors.
        fit = [
            s for s in combined if not s[NATIVE] or (not s[FUNNEL] and s[DIMENSION] is None and s[VECTORS] == MEMORY)
        ]
        return [{key: value for key, value in stages.items() if value not in (None, False, MEMORY)} for stages in fit]


class Configuration(_Strict):
    """One ``[[configurations]]`` table; each list in it is swept."""

    backend: Strings
    reducer: Reducers = ["truncate"]
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
    encoder: Annotated[list[str | None], BeforeValidator(_listed)] = [None]
    dimensions: PositiveInts
    reducers: Reducers = ["truncate"]
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


@dataclass(frozen=True)
class Trial:
    """One configuration, before it meets an embeddings set. Parameters are canonical JSON text."""

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


def parameters(text: str) -> dict[str, Any]:
    """Return what `canonical` wrote."""
    return json.loads(text) if text else {}


def load_study(path: str | Path, overrides: Sequence[str] = ()) -> Study:
    """Read and validate a study file, or one that ships (by its name); ``overrides`` are ``key=value`` in TOML's form.

    Raises UsageError with the file, the key and the near miss.
    """
    source = _find(path)
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    try:
        study = Study.model_validate(table)
    except ValidationError as error:
        raise UsageError(f"{path}: {_one_line(error)}") from error
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", study.name) or ".." in study.name:
        raise UsageError(
            f"{path}: the name '{study.name}' becomes a folder: use letters, digits, '.', '_' and '-' only"
        )
    for configuration in study.configurations:
        _check(configuration, path)
    for choice in study.reducers:
        _reducer_grid(choice)
    return study


def shipped() -> list[str]:
    """Return the names of the study files that ship."""
    return sorted(
        f.name.removesuffix(".toml") for f in resources.files("bench.studies").iterdir() if f.name.endswith(".toml")
    )


def exact_reducers(study: Study) -> list[tuple[str, str]]:
    """Return (reducer, reducer_params) of everything the exact pass measures; plain truncation is always among them."""
    choices = itertools.chain(["truncate"], study.reducers, *(c.reducer for c in study.configurations))
    return list(dict.fromkeys(pair for choice in choices for pair in _reducer_grid(choice)))


def plan(study: Study) -> list[Trial]:
    """Return the timed trials of a study in the order they are run, each once; those that share an index together."""
    trials = (trial for configuration in study.configurations for trial in _expand(configuration, study))
    unique = list(dict.fromkeys(trials))
    first: dict[tuple[Any, ...], int] = {}
    for position, trial in enumerate(unique):
        first.setdefault(trial.build_key, position)
    return sorted(unique, key=lambda trial: first[trial.build_key])


def _find(path: str | Path) -> Path:
    path = Path(path)
    if path.is_file():
        return path
    if str(path) in shipped():
        return Path(str(resources.files("bench.studies") / f"{path}.toml"))
    kind = "is a folder, not" if path.is_dir() else "is not"
    raise UsageError(f"{path} {kind} a study file, nor one that ships ({', '.join(shipped())})")


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set takes key=value, not '{override}'")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise UsageError(f"--set {key}: '{parent}' is not a table that has keys")
    table[last] = value


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    index = next((part for part in first["loc"] if isinstance(part, int)), None)
    if first["loc"][0] == "configurations" and index is not None:
        where = where.replace("configurations", f"configurations[{index + 1}]", 1)
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = Study
        if first["loc"][0] == "configurations":
            model = Stages if "stages" in first["loc"] else Configuration
        return f"unknown key '{where}'{near_miss(str(first['loc'][-1]), model.model_fields)}"
    if first["type"] == "missing":
        return f"the key '{where}' is missing"
    return f"{where} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _check(configuration: Configuration, path: str | Path) -> None:
    for name in configuration.backend:
        backend = get_backend(name)
        for kind, given, known in (
            ("build", configuration.build, backend.build_grid),
            ("search", configuration.search, backend.search_grid),
        ):
            for parameter in given:
                if parameter not in known:
                    has = "" if known else f"; '{name}' has none"
                    raise UsageError(
                        f"{path}: backend '{name}' has no {kind} parameter '{parameter}'{has or near_miss(parameter, known)}"
                    )
        for given, known in ((configuration.build, backend.build_grid), (configuration.search, backend.search_grid)):
            for parameter, values in given.items():
                wanted = type(known[parameter][0])
                for value in values:
                    if type(value) is not wanted and not (wanted is float and type(value) is int):
                        raise UsageError(
                            f"{path}: backend '{name}': {parameter} = {value!r} is not {_article(wanted.__name__)}, as {known[parameter][0]!r} is"
                        )
        if max(configuration.clients) > 1 and backend.kind != SERVER:
            raise UsageError(
                f"{path}: clients = {max(configuration.clients)} is for servers, and '{name}' is none: leave it out"
            )
        for precision in configuration.precision or ():
            if precision not in backend.precisions:
                raise UsageError(
                    f"{path}: backend '{name}' has no precision '{precision}'{near_miss(precision, backend.precisions)}"
                )
    for choice in configuration.reducer:
        _reducer_grid(choice)


def _article(kind: str) -> str:
    return {"int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false"}.get(kind, kind)


def _reducer_grid(choice: str | ReducerChoice) -> list[tuple[str, str]]:
    name, argument = split_name(choice if isinstance(choice, str) else choice.name)
    given = {} if isinstance(choice, str) else {k: _listed(v) for k, v in (choice.model_extra or {}).items()}
    reducer = get_reducer(name)
    grid = reducer.grid
    if argument:
        if not reducer.argument:
            raise UsageError(f"reducer '{name}' takes no argument, so not '{argument}'")
        given[reducer.argument] = [argument]
    for parameter in given:
        if parameter not in grid:
            raise UsageError(f"reducer '{name}' has no parameter '{parameter}'{near_miss(parameter, grid)}")
    return [(name, canonical(values)) for values in _product({**grid, **given})]


def _product(grid: Mapping[str, Iterable[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def _expand(configuration: Configuration, study: Study) -> Iterable[Trial]:
    reducers = [pair for choice in configuration.reducer for pair in _reducer_grid(choice)]
    dimensions = configuration.dimensions or study.dimensions
    for name, (reducer, reducer_params), threads, dim in itertools.product(
        configuration.backend, reducers, study.threads, dimensions
    ):
        backend: type[Backend] = get_backend(name)
        precisions = configuration.precision or backend.precisions[:1]
        builds = _product({**backend.build_grid, **configuration.build})
        searches = _product({**backend.search_grid, **configuration.search})
        stages = configuration.stages.swept(backend) if configuration.stages else [{}]
        # A second stage no longer than the first adds nothing.
        stages = [stage for stage in stages if stage.get(DIMENSION, dim + 1) > dim]
        for precision, build, stage, search, k, clients in itertools.product(
            precisions, builds, stages, searches, study.k, configuration.clients
        ):
            if clients > 1 and stage and not stage.get(NATIVE):
                continue  # a rescore outside the server is the application's own, not a load on it
            yield Trial(
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
            )
