"""Finding what can be plugged in: a new file in a folder, or another package's entry point, is enough.

A family is a folder of `bench` (``backends``, ``datasets``, ``encoders``, ``reducers``) with a base class; its members
are the concrete subclasses in the folder's files, and the classes named by the entry-point group
``matryoshka_bench.<family>``.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from importlib.metadata import entry_points
from types import ModuleType
from typing import TypeVar

from bench.errors import UsageError, near_miss

T = TypeVar("T")


@functools.cache
def modules(family: str) -> dict[str, ModuleType]:
    """Import every file of the folder ``bench/<family>`` and return them by name."""
    package = importlib.import_module(f"bench.{family}")
    return {
        m.name: importlib.import_module(f"bench.{family}.{m.name}")
        for m in pkgutil.iter_modules(package.__path__)
        if not m.name.startswith("_")
    }


def found(family: str, base: type[T]) -> dict[str, type[T]]:
    """Return the members of a family by their ``name``, those of other packages included, sorted by name.

    Raises UsageError when an entry point cannot be loaded or two members share a name.
    """
    members: dict[str, type[T]] = {}

    def add(cls: type[T]) -> None:
        name = cls.name  # type: ignore[attr-defined]
        if members.setdefault(name, cls) is not cls:
            raise UsageError(f"two {family} are called '{name}': {members[name].__module__} and {cls.__module__}")

    for module in modules(family).values():
        for _, cls in inspect.getmembers(module, inspect.isclass):
            if issubclass(cls, base) and cls.__module__ == module.__name__ and "name" in vars(cls):
                add(cls)
    for point in entry_points(group=f"matryoshka_bench.{family}"):
        try:
            add(point.load())
        except (ImportError, AttributeError) as error:
            raise UsageError(f"the entry point '{point.name}' of {family} cannot be loaded: {error}") from error
    return dict(sorted(members.items()))


def get(family: str, base: type[T], name: str) -> type[T]:
    """Return the member called `name`; raises UsageError that offers the near miss."""
    members = found(family, base)
    if name not in members:
        raise UsageError(f"no {family.removesuffix('s')} is called '{name}'{near_miss(name, members)}")
    return members[name]


def split_name(spec: str) -> tuple[str, str]:
    """Split ``"beir:path/to"`` into ``("beir", "path/to")``; the argument is empty when there is no colon."""
    name, _, argument = spec.partition(":")
    return name, argument
