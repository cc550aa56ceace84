"""What the queries show of each trial, on the half that is searched and on the other half."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty, keeps_all
from bench.quality.halves import searching
from bench.quality.intervals import Bootstrap


@dataclass(frozen=True)
class Kept:
    """Share of the full dimension's quality that a trial keeps, with a 95 % interval."""

    share: float
    low: float
    high: float

    def surely(self, room: float = 1.0) -> float:
        """Return the lower bound if the interval were `room` times as wide."""
        return self.share - room * (self.share - self.low)

    def __str__(self) -> str:
        if self.low == self.high == 1:
            return "keeps all by definition"
        return f"keeps {self.share:.1%} [{self.low:.1%}, {self.high:.1%}]"


ALL = Kept(1.0, 1.0, 1.0)
"""Exact search at the full dimension."""


class Half:
    """Some of the queries: intervals from them alone, each for one trial by itself."""

    def __init__(self, rows: np.ndarray, full: np.ndarray, groups: Sequence[str] | None) -> None:
        """`rows` (q,) bool chooses among queries; `full` (q,) is the full dimension's quality."""
        self._rows = rows
        self._full = full[rows]
        own = None if groups is None else [g for g, r in zip(groups, rows, strict=True) if r]
        self._bootstrap = Bootstrap(int(rows.sum()), groups=own)
        self._known: dict[str, Kept] = {}

    @property
    def size(self) -> int:
        """Number of queries."""
        return len(self._full)

    @property
    def units(self) -> int:
        """Number of queries, or of groups of them, that are drawn independently."""
        return self._bootstrap.n_units

    def kept(self, trial_id: str, values: np.ndarray) -> Kept:
        """Return what `values` (q,) float64, the quality of all queries, show for a trial."""
        if trial_id not in self._known:
            self._known[trial_id] = self._measured(values[self._rows])
        return self._known[trial_id]

    def _measured(self, values: np.ndarray) -> Kept:
        if not self._full.any() or np.isnan(values).any():
            return Kept(0.0, 0.0, 0.0)
        bounds = self._bootstrap.ratios(values[None], self._full)
        return Kept(float(bounds.estimate[0]), float(bounds.low[0]), float(bounds.high[0]))


class Evidence:
    """The quality of every query of one dataset and encoder, in two halves.

    Everything is chosen by `searched`. `confirmed` looks at the other queries, which had no part in
    the choice, so a chance gain of the search is not confirmed.
    """

    def __init__(self, seed: int = 0) -> None:
        """`seed` draws the halves, as the measurements' own does."""
        self._seed = seed
        self._certainty: Certainty | None = None
        self._full: frozenset[str] = frozenset()

    def read(self, frame: pd.DataFrame, queries: pd.DataFrame) -> None:
        """Take in all trials so far, of one dataset and encoder, with their per-query rows."""
        first = self._certainty is None
        self._certainty = certainty = Certainty(frame, queries)
        self._full = frozenset(frame.loc[keeps_all(frame), "trial_id"])
        if first and certainty.n_queries:
            half = searching(certainty.query_ids, certainty.groups, self._seed)
            self.search = Half(half, certainty.full, certainty.groups)
            self.confirm = Half(~half, certainty.full, certainty.groups)

    def searched(self, trial_id: str) -> Kept:
        """Return what the half that is searched on shows."""
        return self._shown(trial_id, self.search)

    def confirmed(self, trial_id: str) -> Kept:
        """Return what the other half shows."""
        return self._shown(trial_id, self.confirm)

    def needed(self, trial_id: str, keep: float) -> int | None:
        """Return how many queries would probably show that a trial keeps `keep`; None for none."""
        assert self._certainty is not None
        found = self._certainty.needed(trial_id, keep, _CRITICAL)
        # Each half must show it.
        return None if found is None else 2 * found

    def _shown(self, trial_id: str, half: Half) -> Kept:
        if trial_id in self._full:
            return ALL
        assert self._certainty is not None
        values = self._certainty.values([trial_id])[0]
        return half.kept(trial_id, values)


_CRITICAL = 1.96
"""Standard errors between an estimate and the lower end of its own 95 % interval."""
