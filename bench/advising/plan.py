"""The study that a search writes out, so that the same can be run again and extended."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w

from bench.errors import UsageError

PLAN = "plan.toml"
"""Its file in the results folder."""


def earlier_tables(folder: Path, keep: float) -> list[dict[str, Any]]:
    """Return the tables of an earlier search in a results folder, which is made if it is not there.

    Raises UsageError if that search was for another share of the quality than `keep`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = tomllib.loads((folder / PLAN).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be used: {error}") from error
    if held.get("keep") != keep:
        raise UsageError(
            f"{folder} holds a search for {held.get('keep', 0):.1%} of the quality: choose another "
            f"--out for {keep:.1%}"
        )
    return list(held.get("configurations", []))


def write_plan(folder: Path, study: Mapping[str, Any]) -> None:
    """Write the study of a search into its results folder."""
    (folder / PLAN).write_text(tomli_w.dumps(study), encoding="utf-8")
