"""Installed libraries: their versions, optional imports, and errors without secrets."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import re
import sys
from functools import cache
from types import ModuleType

from bench import __version__
from bench.errors import NotInstalled


def versions(*modules: str) -> dict[str, str]:
    """Return the versions of Python, this package and the distributions of `modules`, by name."""
    found = {"python": ".".join(map(str, sys.version_info[:3])), "matryoshka-bench": __version__}
    for module in sorted(set(modules)):
        found |= installed(module)
    return found


def installed(module: str) -> dict[str, str]:
    """Return the distributions that provide `module`, with versions; empty if not installed."""
    found = {}
    for distribution in _distributions().get(module, [module]):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[distribution] = importlib.metadata.version(distribution)
    return found


def without_secrets(text: str) -> str:
    """Return `text` without passwords in URLs and without the server keys in the environment."""
    for name, value in os.environ.items():
        if name.startswith("MATRYOSHKA_BENCH_") and name.endswith("_KEY") and value:
            text = text.replace(value, "…")
    return re.sub(r"://[^/@\s]*@", "://…@", text)


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(importlib.metadata.packages_distributions())


def extra(module: str, what: str, name: str = "mteb") -> ModuleType:
    """Import a library of the extra `name`, which `what` needs.

    Raises NotInstalled with the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotInstalled(
            f"{what} needs {module}: pip install 'matryoshka-bench[{name}]' (or make install-all)"
        ) from error
