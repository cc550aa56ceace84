"""What is asked for: the quality to keep, the limits, the objective, the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import UsageError

Objective = Literal["memory", "latency", "cost"]
MEMORY, LATENCY, COST = OBJECTIVES = ("memory", "latency", "cost")


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
