"""Code in a model's repository: it runs only for a model that the user has named."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.libraries import TRUST_VARIABLE


class UntrustedCode(Exception):
    """A model's repository holds code that the user has not named; the message says how to."""

    def __init__(self, model: str) -> None:
        super().__init__(
            "it runs code of its own, from its repository: read that, then set "
            f"{TRUST_VARIABLE}={model}"
        )


def trusted(model: str) -> bool:
    """Return whether the user lets the code of `model` run, by its name as the study has it."""
    return model in [name.strip() for name in os.environ.get(TRUST_VARIABLE, "").split(",") if name]


@contextmanager
def only_trusted_code(model: str) -> Iterator[None]:
    """Raise UntrustedCode within the block where the code of `model` would run, unless trusted.

    For loaders that trust a repository without being asked to.
    """
    if trusted(model):
        yield
        return
    loading: Any = importlib.import_module("transformers.dynamic_module_utils")

    def refuse(*_: Any, **__: Any) -> None:
        raise UntrustedCode(model)

    # The one function of the library that runs a file of a repository.
    run = loading.get_class_in_module
    loading.get_class_in_module = refuse
    try:
        yield
    finally:
        loading.get_class_in_module = run
