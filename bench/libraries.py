"""Installed libraries: their versions, optional imports, and errors without secrets."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import json
import os
import re
import sys
from functools import cache
from types import ModuleType
from urllib.parse import quote, unquote

from bench import __version__
from bench.errors import NotInstalled
from bench.files import CACHE_VARIABLE

TRUST_VARIABLE = "MATRYOSHKA_BENCH_TRUST_REMOTE_CODE"
"""Environment variable with the models whose own code may run, separated by commas. No study can
say so: studies are passed on."""


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

    Of the variables ``MATRYOSHKA_BENCH_*`` a name that ends in ``_KEY`` holds a secret, others an
    address that may. Every part of a secret goes: a library that takes a ``/`` or ``@`` in a
    password for the end of it shows the rest as a host or a port.
    """
    secrets = {
        form
        for name, value in os.environ.items()
        if name.startswith("MATRYOSHKA_BENCH_") and name not in (CACHE_VARIABLE, TRUST_VARIABLE)
        for secret in ([value] if name.endswith("_KEY") else _secrets_of(value))
        for form in _forms(secret)
    }
    if secrets:
        longest_first = sorted(secrets, key=len, reverse=True)
        text = re.sub("|".join(map(re.escape, longest_first)), "…", text, flags=re.IGNORECASE)
    text = re.sub(r"://\S*@", "://…@", text)
    return _PASSWORD.sub(r"\1=…", text)


_NAMES = r"(?:pass(?:word|wd|file)?|pwd|token|secret|api_?key)"
_VALUE = r"(?:'(?:[^'\\]|\\.)*'|[^\s'&]+)"
_PASSWORD = re.compile(
    rf"({_NAMES})\s*=\s*({_VALUE}|'.*)",
    re.IGNORECASE | re.DOTALL,
)
"""A password in a connection string of PostgreSQL, or in the query of a URL."""
_IN_QUERY = re.compile(rf"{_NAMES}=([^&#]*)", re.IGNORECASE)
_URL = re.compile(
    r"[a-z][a-z0-9+.-]*://(?:(?P<user>[^:@/?#\s]*)(?::(?P<password>[^:@/?#\s]*))?@)?"
    r"(?:[\w.-]*|\[[0-9a-f:]+\])(?::\d*)?(?:/[^@?#\s]*)?(?P<query>\?[^@#\s]*)?",
    re.IGNORECASE,
)
_SETTINGS = re.compile(
    r"\s*(?:(?:host|hostaddr|port|dbname|user|password|passfile|connect_timeout|service|ssl[a-z_]+)"
    rf"\s*=\s*{_VALUE}(?:\s+|$))+",
    re.DOTALL,
)
_PLAIN = re.compile(r"[\w./-]*(?::\d*)?|:memory:")
"""A path, or a host and a port."""
_SHORTEST_PART = 3
"""Characters of a part of a secret that is hidden: shorter ones give little away."""


def _secrets_of(address: str) -> list[str]:
    """Return the passwords in a URL or a connection string; all of what is neither."""
    if url := _URL.fullmatch(address):
        # What stands alone before the host is a token.
        login = url["user"] if url["password"] is None else url["password"]
        return [value for value in (login, *_IN_QUERY.findall(url["query"] or "")) if value]
    if _SETTINGS.fullmatch(address):
        return [value.strip("'") for _, value in _PASSWORD.findall(address)]
    # Nobody can tell what of a broken address is the password.
    return [] if _PLAIN.fullmatch(address) else [address]


def _forms(secret: str) -> set[str]:
    """Return a secret as messages may show it: quoted, unquoted, escaped, and its parts."""
    bare = re.sub(r"\\(.)", r"\1", secret, flags=re.DOTALL)
    forms = {secret, bare, unquote(secret), quote(secret), quote(secret, safe="")}
    forms |= {repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    parts = {part for form in forms for part in re.findall(r"\w+", form)}
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
