"""What is asked for: the quality to keep, the limits, the objective, the time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bench.errors import UsageError

Objective = Literal["memory", "latency", "cost"]
MEMORY, LATENCY, COST = OBJECTIVES = ("memory", "latency", "cost")

_BYTES = {"": 1, "B": 1}
_BYTES |= {f"{p}B": 1000**i for i, p in enumerate(("k", "M", "G", "T"), 1)}
_BYTES |= {f"{p}iB": 1024**i for i, p in enumerate(("K", "M", "G", "T"), 1)}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}
_LEAST_BUDGET = 10.0


@dataclass(frozen=True)
class Wanted:
    """What a configuration must do, and what it should do best."""

    keep: float = 0.98
    """Least share of the quality of exact search at the full dimension."""
    objective: Objective = "memory"
    """``memory``: fewest bytes per vector. ``latency``: lowest median. ``cost``: least money."""
    max_p95_ms: float | None = None
    """Highest 95th percentile of the latency, ms."""
    max_memory: float | None = None
    """Most memory for all documents, bytes."""
    documents: int | None = None
    """Number of documents that it will serve; those of the dataset by default."""
    queries_per_second: float = 10.0
    """Load that the money is for."""

    def __post_init__(self) -> None:
        """Raise UsageError for a value out of range."""
        if not 0 < self.keep <= 1:
            raise UsageError(f"--keep is a share above 0 and at most 1, not {self.keep:g}")
        if self.objective not in OBJECTIVES:
            raise UsageError(
                f"--objective is one of {', '.join(OBJECTIVES)}, not '{self.objective}'"
            )
        for name, value in (
            ("--max-p95-ms", self.max_p95_ms),
            ("--max-memory", self.max_memory),
            ("--documents", self.documents),
            ("--qps", self.queries_per_second),
        ):
            if value is not None and not 0 < value < float("inf"):
                raise UsageError(f"{name} is a number above 0, not {value:g}")


def bytes_of(text: str) -> float:
    """Return bytes from ``32GiB``, ``500 MB`` or ``1e9``; raises UsageError."""
    return _scaled(text, _BYTES, "a size such as 32GiB")


def seconds_of(text: str) -> float:
    """Return seconds from ``10m``, ``90s``, ``1h`` or ``600``; raises UsageError."""
    seconds = _scaled(text, _SECONDS, "a time such as 10m")
    if seconds < _LEAST_BUDGET:
        raise UsageError(f"a budget of {seconds:g} s measures nothing: give {_LEAST_BUDGET:g} s")
    return seconds


def count_of(text: str) -> int:
    """Return a whole number from ``20000000``, ``20e6`` or ``20,000,000``; raises UsageError."""
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        value = float("nan")
    if not 1 <= value < 1e13 or value != int(value):
        raise UsageError(f"'{text}' is not a number of documents, such as 20e6")
    return int(value)


def _scaled(text: str, units: dict[str, int], example: str) -> float:
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)\s*", text)
    names = {name.lower(): scale for name, scale in units.items()}
    try:
        value = float(found[1]) * names[found[2].lower()] if found else 0.0
    except (KeyError, ValueError):
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"'{text}' is not {example}")
    return value
