"""The adaptor that a search may use: one that ships, one of an earlier search, or a new one."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.embeddings import embed
from bench.errors import UsageError
from bench.reducers.adaptor import Adaptor

_FOLDER = "trained"
"""Folder of an adaptor in that of the results; its name stands in labels."""


def ready_adaptor(encoder: str, full_dim: int, out: Path) -> str | dict[str, Any] | None:
    """Return the adaptor that ships for an encoder, or that an earlier search left in `out`."""
    try:
        Adaptor(encoder).check(full_dim)
        return Adaptor.name
    except UsageError:
        return _named(out / _FOLDER) if (out / _FOLDER / "adaptor.json").exists() else None


def trained_adaptor(
    dataset: str, encoder: str, out: Path, say: Callable[[str], object]
) -> dict[str, Any] | None:
    """Train an adaptor into `out` if the dataset has training pairs and torch is installed."""
    if find_spec("torch") is None:
        return None
    from bench.training.adaptor import train

    try:
        if embed(dataset, encoder or None, split="train", progress=False).qrels is None:
            return None
        say("training an adaptor on the training pairs")
        train(dataset, encoder, out / _FOLDER)
    except UsageError as error:
        say(f"no adaptor: {error}")
        return None
    return _named(out / _FOLDER)


def _named(folder: Path) -> dict[str, Any]:
    return {"name": Adaptor.name, "path": str(folder)}
