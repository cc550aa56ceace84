"""Columns computed from measured ones: one declaration and one function each.

`bench.load` adds them to the frame. They are never stored, so that a new definition applies to old
results too. The page, the terminal and a recommendation's limits use them like measured ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.results.columns import Column
from bench.results.schema import COLUMNS
from bench.results.spread import widened

if TYPE_CHECKING:  # the completion of a shell needs the names alone
    import pandas as pd


@dataclass(frozen=True)
class Derived:
    """A column and the function that computes it from the trials, (n rows) → (n values)."""

    column: Column
    of: Callable[[pd.DataFrame], pd.Series]


def _end_to_end(frame: pd.DataFrame) -> pd.Series:
    return frame["encode_ms_p50"] + frame["latency_ms_p50"]


DERIVED = (
    Derived(
        Column(
            "end_to_end_ms_p50",
            "float",
            "time",
            "median time to encode and search one query, ms: `encode_ms_p50 + latency_ms_p50`; "
            "empty for ready vectors",
            better="lower",
            page=True,
        ),
        _end_to_end,
    ),
)

ALL_COLUMNS = COLUMNS | {each.column.name: each.column for each in DERIVED}
"""Every column of the frame that `bench.load` returns, measured and derived, by name."""


def with_derived(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with bounds that cover another run, and every derived column added."""
    frame = widened(frame)
    return frame.assign(**{each.column.name: each.of(frame) for each in DERIVED})
