"""The share of quality that a configuration keeps in a corpus of another size than measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from bench.projection import project
from bench.reducers import PREFIX
from bench.results.rows import UNCOMPRESSED, exhaustive_rows
from bench.study.plan import parameters
from bench.study.schema import SHORTLIST

_SHORTLISTS = (10, 20, 50, 100)
"""Lengths whose recall is projected."""


@dataclass(frozen=True)
class Change:
    """What the size of the corpus does to the share that a configuration keeps."""

    factor: float
    """Share kept at that size over the share kept as measured; NaN if it is refused."""
    low: float
    high: float
    """Bounds of `factor`: 95 %, by the queries and by the error of the projection."""
    refused: str = ""
    """Why there is no figure."""
    caution: str = ""
    """What it rests on."""

    def applied(self, share: float, low: float, high: float) -> tuple[float, float, float]:
        """Return the share kept at that size, with its bounds, from those at the size measured.

        The errors of both parts add up in squares. All NaN if it is refused.
        """
        if not share > 0 or not self.factor > 0:
            return (math.nan,) * 3 if self.refused else (share * self.factor,) * 3
        found = share * self.factor
        below, above = (
            math.hypot(own / share - 1, moved / self.factor - 1)
            for own, moved in ((low, self.low), (high, self.high))
        )
        return found, max(0.0, found * (1 - below)), found * (1 + above)


UNCHANGED = Change(1.0, 1.0, 1.0)
"""At the measured size, and of the full dimension, which all is compared with."""


class AtSize:
    """How much of the share kept is left in a corpus of another size, by reducer and dimension.

    Without a rescore that is what the projection of exact search says. With one, it is what the
    projection says of the recall of the shortlist, since the order within it is that of the full
    dimension. A precision that was searched exhaustively has ranks, and a projection, of its own.
    Any other, and an index, are taken to lose what they lose at the measured size: published curves
    show int8 to lose no more up to a hundred million documents, and single bits somewhat more
    (Caspari et al., CoRECT, 2025).
    """

    def __init__(self, frame: pd.DataFrame, queries: pd.DataFrame, documents: int) -> None:
        """`frame` holds trials of one dataset and encoder; `queries` their per-query rows."""
        self.documents = documents
        self._exhaustive = exhaustive_rows(frame)
        self.measured = int(frame["n_corpus"].max()) if len(frame) else documents
        self._queries = queries
        self._of = cache(self._projected)

    def change(self, row: Mapping[Any, Any] | pd.Series) -> Change:
        """Return the change for a row of the trials table."""
        if self.documents == self.measured:
            return UNCHANGED
        shortlist = int(parameters(row["stages"]).get(SHORTLIST, 0))
        is_full = row["reducer_kind"] == PREFIX and row["dim"] == row["full_dim"]
        measure = "ndcg_at_10"
        if shortlist:
            measure = f"recall_at_{max(s for s in _SHORTLISTS if s <= max(10, shortlist))}"
        known, key = self._of(measure), (*_key(row), row["precision"])
        if is_full and (key not in known or row["precision"] == UNCOMPRESSED):
            return UNCHANGED
        found = known.get(key) or known.get((*_key(row), UNCOMPRESSED))
        return found or Change(float("nan"), 0.0, 0.0, "this dimension was not searched exactly")

    def _projected(self, measure: str) -> dict[tuple[object, ...], Change]:
        sizes = [self.measured, self.documents]
        table = project(self._exhaustive, self._queries, sizes, measure)
        found = {}
        for _, part in table.groupby("trial_id", sort=False):
            here, there = (part[part["documents"] == n].iloc[-1] for n in sizes)
            if there["refused"] or not here["kept"] > 0:
                change = Change(float("nan"), 0.0, 0.0, there["refused"] or "it finds nothing")
            else:
                kept, low, high = (
                    float(there[c] / here["kept"]) for c in ("kept", "kept_low", "kept_high")
                )
                change = Change(kept, low, high, caution=there["caution"])
            row = part.iloc[0]
            # Without ranks of its own, a precision is judged by those of float32.
            if not change.refused or row["precision"] == UNCOMPRESSED:
                found[*_key(row), row["precision"]] = change
        return found


def _key(row: Mapping[Any, Any] | pd.Series) -> tuple[object, ...]:
    params = row["reducer_params"]
    return row["reducer"], params if isinstance(params, str) else "", int(row["dim"])
