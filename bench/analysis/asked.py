"""What a configuration must keep to, and what is minimised among those that do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from bench.analysis.money import cost_per_month
from bench.analysis.serving import NEED, REFUSED, Sizing, Target

OBJECTIVES = ("memory", "latency", "cost")
"""What may be minimised: bytes per vector, median latency, money per month."""
VALUE = "value"
"""Column of what is minimised."""
KEPT = ["share", "low", "high"]
"""Columns of `Certainty.kept`."""


@dataclass(frozen=True)
class Asked:
    """What a configuration of one dataset and encoder must keep to."""

    retain: float
    limits: Mapping[str, float]
    objective: str
    target: Target | None = None

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return timed rows where they will serve, with `NEED`, `REFUSED` and `VALUE`."""
        if self.target is None:
            found = rows.assign(**{NEED: self.retain, REFUSED: ""})
        else:
            found = self.target.rows(rows, self.retain)
        if self.objective == "cost" and self.target:
            served = self.target.served
            found[VALUE] = cost_per_month(found, served.prices, served.queries_per_second)
        else:
            found[VALUE] = found["latency_ms_p50" if self.by_latency else "bytes_per_vector"]
        return found

    @property
    def by_latency(self) -> bool:
        """Whether latency is minimised."""
        return self.objective == "latency"

    @property
    def cheaper(self) -> str:
        """The word for a lower value."""
        return "faster" if self.by_latency else "cheaper"

    @property
    def otherwise(self) -> tuple[str, str]:
        """The column to be good in besides, and when that counts, in words."""
        if self.by_latency:
            return "bytes_per_vector", "memory matters more than speed"
        return "latency_ms_p50", f"speed matters more than {self.objective}"

    @property
    def max_memory(self) -> float | None:
        """Most memory for all documents, bytes."""
        return self.target.served.max_memory if self.target else None

    @property
    def among(self) -> str:
        """The number of documents if it is not the one measured, in words."""
        beyond = self.target is not None and self.target.is_beyond
        return f" among {self.target.documents:,} documents" if self.target and beyond else ""

    def sizing(self, rows: pd.DataFrame, row: pd.Series) -> Sizing | None:
        """Return what `row` takes; `rows` holds it as measured."""
        if self.target is None:
            return None
        share, low, high = (float(row[c]) for c in KEPT)
        return self.target.sizing(rows.loc[row.name], (share, low, high), row[NEED])
