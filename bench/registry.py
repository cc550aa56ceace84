"""Plug-ins: a new file in a folder, or another package's entry point, is enough.

A family is a folder of `bench` (``backends``, ``datasets``, ``encoders``, ``reducers``) with a base
class. Its members are the concrete subclasses in the folder's files and the classes named by the
entry-point group ``matryoshka_bench.<family>``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from bench.errors import UsageError, near_miss

T = TypeVar("T")
PART = "@"
"""Stands between the name of a dataset and the number of its documents that are used."""


@functools.cache
def modules(family: str) -> dict[str, ModuleType]:
    """Import every file of the folder ``bench/<family>`` and return the modules by name."""
    package = importlib.import_module(f"bench.{family}")
    return {
        m.name: importlib.import_module(f"bench.{family}.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
        if not m.name.startswith("_")
    }


def file_names(family: str) -> list[str]:
    """Return the names of the files of ``bench/<family>`` and of its entry points; import none."""
    folder = str(Path(__file__).parent / family)
    ours = (m.name for m in pkgutil.iter_modules([folder]) if not m.name.startswith("_"))
    return sorted({*ours, *entry_points(group=f"matryoshka_bench.{family}").names})


def plugged_in(family: str) -> dict[str, Any]:
    """Return what other packages offer for a family, by the entry point's name.

    Raises UsageError if an entry point cannot be loaded.
    """
    return _plugged_in(family, tuple(sys.path))


def found(family: str, base: type[T]) -> dict[str, type[T]]:
    """Return the members of a family by their ``name``, sorted, those of other packages included.

    Raises UsageError if an entry point cannot be loaded or two members share a name.
    """
    kind: Any = base
    return dict(_found(family, kind, tuple(sys.path)))


def get(family: str, base: type[T], name: str) -> type[T]:
    """Return the member called `name`; raises UsageError with the near miss."""
    members = found(family, base)
    if name not in members:
        kind = family.removesuffix("s")
        raise UsageError(f"no {kind} is called '{name}'{near_miss(name, members)}")
    return members[name]


def split_name(spec: str) -> tuple[str, str]:
    """Split ``"beir:path/to"`` into ``("beir", "path/to")``; no colon gives an empty argument."""
    name, _, argument = spec.partition(":")
    return name, argument


def whole_dataset(name: str) -> str:
    """Return the dataset that a part belongs to: ``pydoc@3000`` → ``pydoc``."""
    base, mark, size = name.rpartition(PART)
    return base if mark and size.isdigit() else name


# Scanning the installed distributions takes milliseconds, and a study looks up a name per trial.
# What is installed changes only with the import path.
@functools.cache
def _plugged_in(family: str, path: tuple[str, ...]) -> dict[str, Any]:
    loaded: dict[str, Any] = {}
    for point in entry_points(group=f"matryoshka_bench.{family}"):
        try:
            offered = point.load()
        except (ImportError, AttributeError) as error:
            raise UsageError(
                f"the entry point '{point.name}' of {family} cannot be loaded: {error}"
            ) from error
        if loaded.setdefault(point.name, offered) is not offered:
            raise UsageError(f"two packages offer {family} under the name '{point.name}'")
    return loaded


@functools.cache
def _found(family: str, base: Any, path: tuple[str, ...]) -> dict[str, Any]:
    members: dict[str, Any] = {}

    def add(cls: Any) -> None:
        name = cls.name
        if members.setdefault(name, cls) is not cls:
            raise UsageError(
                f"two {family} are called '{name}': {members[name].__module__} and {cls.__module__}"
            )

    for module in modules(family).values():
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and cls.__module__ == module.__name__ and "name" in vars(cls):
                add(cls)
    for cls in plugged_in(family).values():
        add(cls)
    return dict(sorted(members.items()))
