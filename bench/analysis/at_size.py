"""The share of quality that a configuration keeps in a corpus of another size than measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pandas as pd

from bench.projection import project
from bench.reducers import PREFIX
from bench.results.rows import UNCOMPRESSED, exhaustive_rows
from bench.study.plan import parameters
from bench.study.schema import SHORTLIST, reads_texts

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

    def __init__(
        self, frame: pd.DataFrame, queries: pd.DataFrame, documents: int | Sequence[int]
    ) -> None:
        """`frame` holds trials of one dataset and encoder; `queries` their per-query rows.

        `documents` are the sizes that will be asked for.
        """
        self.sizes = [documents] if isinstance(documents, int) else [*documents]
        self._exhaustive = exhaustive_rows(frame)
        self.measured = int(frame["n_corpus"].max()) if len(frame) else self.sizes[0]
        self._queries = queries
        self._of = cache(self._projected)

    def change(self, row: Mapping[Any, Any] | pd.Series, documents: int | None = None) -> Change:
        """Return the change for a row of the trials table, at the first size unless one is given.

        Rows with the same `alike` change alike.
        """
        documents = self.sizes[0] if documents is None else documents
        if documents == self.measured:
            return UNCHANGED
        is_full = row["reducer_kind"] == PREFIX and row["dim"] == row["full_dim"]
        measure, *key = self.alike(row)
        if not measure:
            why = "what words and readers find in a larger corpus is not projected"
            return Change(float("nan"), 0.0, 0.0, why)
        known = self._of(str(measure))[documents]
        if is_full and (tuple(key) not in known or row["precision"] == UNCOMPRESSED):
            return UNCHANGED
        found = known.get(tuple(key)) or known.get((*key[:-1], UNCOMPRESSED))
        return found or Change(float("nan"), 0.0, 0.0, "this dimension was not searched exactly")

    @staticmethod
    def alike(row: Mapping[Any, Any] | pd.Series) -> tuple[object, ...]:
        """Return what of a row the change depends on: the measure, the vector, its precision."""
        stages = parameters(row["stages"])
        shortlist = int(stages.get(SHORTLIST, 0))
        measure = "" if reads_texts(stages) else "ndcg_at_10"
        if measure and shortlist:
            measure = f"recall_at_{max(s for s in _SHORTLISTS if s <= max(10, shortlist))}"
        return measure, *_key(row), row["precision"]

    def _projected(self, measure: str) -> dict[int, dict[tuple[object, ...], Change]]:
        sizes = [self.measured, *self.sizes]
        table = project(self._exhaustive, self._queries, sizes, measure)
        found: dict[int, dict[tuple[object, ...], Change]] = {n: {} for n in self.sizes}
        for _, part in table.groupby("trial_id", sort=False):
            by_size = part.drop_duplicates("documents", keep="last").set_index("documents")
            here = by_size.loc[self.measured]
            for n in self.sizes:
                change = _change(here, by_size.loc[n])
                # Without ranks of its own, a precision is judged by those of float32.
                if not change.refused or here["precision"] == UNCOMPRESSED:
                    found[n][*_key(here), here["precision"]] = change
        return found


def _change(here: pd.Series, there: pd.Series) -> Change:
    """Return the change between two sizes that were projected for one row."""
    if there["refused"] or not here["kept"] > 0:
        return Change(float("nan"), 0.0, 0.0, there["refused"] or "it finds nothing")
    kept, low, high = (float(there[c] / here["kept"]) for c in ("kept", "kept_low", "kept_high"))
    return Change(kept, low, high, caution=there["caution"])


def _key(row: Mapping[Any, Any] | pd.Series) -> tuple[object, ...]:
    params = row["reducer_params"]
    return row["reducer"], params if isinstance(params, str) else "", int(row["dim"])
