"""Figures of this suite itself, from what a comparison of two versions of it noted by the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gate.duet import lines
from bench.gate.duet import noted as read_lines
from bench.gate.sides import BASE, HEAD

_TASKS = "tasks.jsonl"


def suite_figures(out: Path, pairs: Sequence[int]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the figures of `bench.analysis.regression.limits.SUITE` of base and head in each pair.

    Nothing if the sides ran the same code of this package.
    """
    noted = list(lines(out))
    if not any(line.get("imported") for line in noted):
        return []
    found = []
    for pair in pairs:
        own = [line for line in noted if line["pair"] == pair]
        base, head = (
            _figures(out / side / str(pair), [line for line in own if line["side"] == side])
            for side in (BASE, HEAD)
        )
        found.append((base, head))
    return found


def _figures(folder: Path, noted: Sequence[dict[str, Any]]) -> dict[str, Any]:
    tasks = list(read_lines(folder / _TASKS))
    exact = [_number(task, "seconds") for task in tasks if task.get("task") == "exact"]
    return {
        "import_seconds": next((n["imported"] for n in noted if n.get("imported")), None),
        # The first pass alone: only the first pair makes those of other reducers.
        "exact_pass_seconds": exact[0] if exact else None,
        "study_seconds": sum(line["seconds"] for line in noted),
        "worker_bytes": max((_number(task, "worker_bytes") for task in tasks), default=0.0),
    }


def _number(task: dict[str, Any], name: str) -> float:
    """Return a figure that was noted; 0 if it is missing or damaged."""
    value = task.get(name)
    return value if isinstance(value, int | float) else 0.0
