"""What needs a library of an extra shares."""

from __future__ import annotations

import importlib
from types import ModuleType

from bench.errors import UsageError


def extra(module: str, what: str, name: str = "mteb") -> ModuleType:
    """Import a library of the extra `name`; raises UsageError that says how to install it for `what`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{what} needs {module}: pip install 'matryoshka-bench[{name}]' (or make install-all)"
        ) from error
