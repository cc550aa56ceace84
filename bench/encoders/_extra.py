"""What the encoders and datasets of the extra `mteb` share."""

from __future__ import annotations

import importlib
from types import ModuleType

from bench.errors import UsageError


def extra(module: str, what: str) -> ModuleType:
    """Import a library of the extra; raises UsageError that says how to install it for `what`."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{what} needs {module}: pip install 'matryoshka-bench[mteb]' (or make install-all)"
        ) from error
