"""Read a study file: TOML to a validated `Study`; each error is one clear line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel, ValidationError

from bench.backends import SERVER, Backend
from bench.encoders._names import check_name
from bench.errors import StudyError, UsageError, near_miss
from bench.files import make_folder, whole, writing
from bench.harmless import is_name, shown
from bench.study.plan import index_class, reducer_grid
from bench.study.schema import Configuration, EncoderChoice, Stages, Study

STUDIES = "studies"
"""Folder of the study files in a results folder."""
_SHIPPED = resources.files("bench.study") / "shipped"


def load_study(path: str | Path, overrides: Iterable[str] = ()) -> Study:
    """Read and validate a study file, or one that ships (by its name).

    `overrides` are ``key=value``, the value as in TOML. Raises StudyError with the file, the key
    and the nearest known name.
    """
    source = _find(path)
    try:
        table = tomllib.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:  # also of a number with too many digits
        raise StudyError(f"{path} is not TOML: {error}") from error
    for override in overrides:
        _override(table, override)
    try:
        study = Study.model_validate(table)
    except ValidationError as error:
        raise StudyError(f"{path}: {_one_line(error)}") from error
    try:
        _check_name(study.name)
        _check_shown([*study.dataset, *filter(None, study.encoder)])
        for name in filter(None, study.encoder):
            check_name(name)
        for configuration in study.configurations:
            _check(configuration)
        for choice in study.reducers:
            reducer_grid(choice)
    except UsageError as error:
        raise StudyError(f"{path}: {error}") from error
    return study


def write_study(study: Study, folder: Path) -> None:
    """Write a study as ``studies/NAME.toml`` in a results folder, to be run again."""
    path = folder / STUDIES / f"{study.name}.toml"
    with writing(path):
        make_folder(path.parent)
        with whole(path) as partial:
            partial.write_text(tomli_w.dumps(as_table(study)), encoding="utf-8")


def as_table(study: Study) -> dict[str, Any]:
    """Return what a study file holds: the keys whose value is not the default."""
    return study.model_dump(mode="json", exclude_none=True, exclude_defaults=True)


def shipped() -> list[str]:
    """Return the names of the study files that ship."""
    return sorted(
        f.name.removesuffix(".toml") for f in _SHIPPED.iterdir() if f.name.endswith(".toml")
    )


def _find(path: str | Path) -> Path:
    path = Path(path)
    try:
        if path.is_file():
            return path
    except OSError as error:  # a name too long, a folder that may not be entered
        raise StudyError(f"{path} cannot be read: {error.strerror or error}") from error
    if str(path) in shipped():
        return Path(str(_SHIPPED / f"{path}.toml"))
    kind = "is a folder, not" if path.is_dir() else "is not"
    raise StudyError(f"{path} {kind} a study file, nor one that ships ({', '.join(shipped())})")


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise StudyError(f"--set takes key=value, not '{override}'")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # also of a number with too many digits
        value = text
    *parents, last = key.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise StudyError(f"--set {key}: '{parent}' is not a table")
    table[last] = value


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    if not first["loc"]:  # a key that is no Unicode
        return first["msg"][0].lower() + first["msg"][1:]
    where = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
    index = next((part for part in first["loc"] if isinstance(part, int)), None)
    if first["loc"][0] == "configurations" and index is not None:
        where = where.replace("configurations", f"configurations[{index + 1}]", 1)
    if first["type"] == "extra_forbidden":
        model: type[BaseModel] = EncoderChoice if first["loc"][0] == "encoder" else Study
        if first["loc"][0] == "configurations":
            model = Stages if "stages" in first["loc"] else Configuration
        return f"unknown key '{where}'{near_miss(str(first['loc'][-1]), model.model_fields)}"
    if first["type"] == "missing":
        return f"the key '{where}' is missing"
    return f"{where} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _check_name(name: str) -> None:
    if not is_name(name):
        raise StudyError(
            f"the name '{name}' becomes a folder: use letters, digits, '.', '_' and '-' only"
        )


def _check_shown(names: Iterable[str]) -> None:
    for name in names:
        if shown(name) != name:
            raise StudyError(f"the name '{name}' holds a control or direction sign: rename it")


def _check(configuration: Configuration) -> None:
    for name in configuration.backend:
        backend = index_class(name)
        check_parameters(backend, "build", configuration.build)
        check_parameters(backend, "search", configuration.search)
        for precision in configuration.precision or ():
            backend.precision_of(precision)
        clients = max(configuration.clients)
        if clients > 1 and backend.kind != SERVER:
            raise StudyError(
                f"clients = {clients} is for servers, and '{name}' is none: leave it out"
            )
        if configuration.arrivals and backend.kind != SERVER:
            raise StudyError(f"arrivals are for servers, and '{name}' is none: leave them out")
    for choice in configuration.reducer:
        reducer_grid(choice)


def check_parameters(backend: type[Backend], kind: str, given: dict[str, list[Any]]) -> None:
    """Raise StudyError unless a backend takes each parameter, with each value that it is given.

    `kind` is ``build`` or ``search``.
    """
    known = backend.build_grid if kind == "build" else backend.search_grid
    for parameter, values in given.items():
        if parameter not in known:
            missed = near_miss(parameter, known) if known else f"; '{backend.name}' has none"
            raise StudyError(
                f"backend '{backend.name}' has no {kind} parameter '{parameter}'{missed}"
            )
        default = known[parameter][0]
        for value in values:
            if type(value) is type(default) or (type(default) is float and type(value) is int):
                continue
            raise StudyError(
                f"backend '{backend.name}': {parameter} = {value!r} is not "
                f"{_NOUNS.get(type(default), type(default).__name__)}, as {default!r} is"
            )


_NOUNS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
