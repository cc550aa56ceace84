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
from urllib.parse import quote, unquote

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
    """Return `text` without passwords: those of URLs, of ``password=…``, and of the environment.

    Of the variables ``MATRYOSHKA_BENCH_*`` a name that ends in ``_KEY`` or ``_TOKEN`` holds a
    secret, others an address that may. Every part of a secret goes: a library that takes a ``/`` or
    ``@`` in a password for the end of it shows the rest as a host or a port.
    """
    secrets = set()
    for name, value in os.environ.items():
        if name.startswith(_OURS):
            found = [value] if name.endswith(_SECRET_NAMES) else _secrets_of(value)
            secrets |= {form for secret in found for form in _forms(secret)}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    text = re.sub(r"://\S*@", "://…@", text)
    return re.sub(_ASSIGNED, r"\1=…", text)


_OURS, _SECRET_NAMES = "MATRYOSHKA_BENCH_", ("_KEY", "_TOKEN")
_ASSIGNED = re.compile(
    r"((?:pass(?:word|wd|file)?|pwd|token|secret|api_?key)[\"']?)\s*="
    r"\s*('(?:[^'\\]|\\.)*'?|[^\s&]+)",
    re.IGNORECASE | re.DOTALL,
)
"""A password in a connection string of PostgreSQL, or in the query of a URL."""
_SHORTEST_PART = 3
"""Characters of a part of a secret that is hidden: shorter ones give little away."""


def _secrets_of(address: str) -> list[str]:
    """Return the passwords in a URL or a connection string."""
    found = [match[2].strip("'") for match in _ASSIGNED.finditer(address)]
    if login := re.search(r"://([^:]*):(.*)@", address, re.DOTALL):
        found.append(login[2])
    elif alone := re.search(r"://(.*)@", address, re.DOTALL):  # a token without a user
        found.append(alone[1])
    return found


def _forms(secret: str) -> set[str]:
    """Return a secret as messages may show it: quoted, unquoted, escaped, and its parts."""
    forms = {secret, unquote(secret), quote(secret), quote(secret, safe=""), repr(secret)[1:-1]}
    forms |= {re.sub(r"\\(.)", r"\1", secret, flags=re.DOTALL)}
    parts = {part for form in forms for part in re.split(r"[\s/@:?#&\[\]%]", form)}
    return {form for form in forms if form} | {p for p in parts if len(p) >= _SHORTEST_PART}


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
