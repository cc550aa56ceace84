"""What the queries show of each trial, on the third that is searched and on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty, keeps_all
from bench.quality.intervals import Bootstrap
from bench.quality.parts import NARROWER, SEARCHED, searching


@dataclass(frozen=True)
class Kept:
    """Share of the full dimension's quality that a trial keeps, with a 95 % interval."""

    share: float
    low: float
    high: float

    def surely(self, room: float = NARROWER) -> float:
        """Return the lower bound if the interval were `room` times as wide.

        By default that is the bound to expect from the queries that confirm.
        """
        return self.share - room * (self.share - self.low)

    def __str__(self) -> str:
        if self.low == self.high == 1:
            return "keeps all by definition"
        return f"keeps {self.share:.1%} [{self.low:.1%}, {self.high:.1%}]"


ALL = Kept(1.0, 1.0, 1.0)
"""Exact search at the full dimension."""
_NOTHING = Kept(0.0, 0.0, 0.0)
"""A trial without the results of every query."""


class Part:
    """Some of the queries: intervals from them alone."""

    def __init__(self, rows: np.ndarray, full: np.ndarray, groups: Sequence[str] | None) -> None:
        """`rows` (q,) bool chooses among queries; `full` (q,) is the full dimension's quality."""
        self._rows = rows
        self._full = full[rows]
        own = None if groups is None else [g for g, r in zip(groups, rows, strict=True) if r]
        self._bootstrap = Bootstrap(int(rows.sum()), groups=own)

    @property
    def size(self) -> int:
        """Number of queries."""
        return len(self._full)

    @property
    def units(self) -> int:
        """Number of queries, or of groups of them, that are drawn independently."""
        return self._bootstrap.n_units

    def kept(self, values: np.ndarray, each: bool = True) -> list[Kept]:
        """Return what (K, q) float64 `values`, the quality of all queries, show of each row.

        The bounds are those of `each` row by itself, or hold for all K at once.
        """
        values = values[:, self._rows]
        known = ~np.isnan(values).any(axis=1) & bool(self._full.any())
        found = [_NOTHING] * len(values)
        if known.any():
            bounds = self._bootstrap.ratios(values[known], self._full, each=each)
            rows = zip(bounds.estimate, bounds.low, bounds.high, strict=True)
            for position, row in zip(np.flatnonzero(known), rows, strict=True):
                found[position] = Kept(*map(float, row))
        return found


class Evidence:
    """The quality of every query of one dataset and encoder, in two parts.

    Everything is chosen by `searched`. `confirmed` looks at the other queries, which had no part in
    the choice, so a chance gain of the search is not confirmed.
    """

    def __init__(self, seed: int = 0) -> None:
        """`seed` draws the parts, as the measurements' own does."""
        self._seed = seed
        self._certainty: Certainty | None = None
        self._full: frozenset[str] = frozenset()
        self._searched: dict[str, Kept] = {}

    def read(self, frame: pd.DataFrame, queries: pd.DataFrame) -> None:
        """Take in all trials so far, of one dataset and encoder, with their per-query rows."""
        first = self._certainty is None
        self._certainty = certainty = Certainty(frame, queries)
        self._full = frozenset(frame.loc[keeps_all(frame), "trial_id"])
        if first and certainty.n_queries:
            part = searching(certainty.query_ids, certainty.groups, self._seed)
            self.search = Part(part, certainty.full, certainty.groups)
            self.confirm = Part(~part, certainty.full, certainty.groups)
        new = [trial for trial in certainty.trials if trial not in self._searched]
        if new:
            self._searched |= zip(new, self.search.kept(certainty.values(new)), strict=True)

    def searched(self, trial_id: str) -> Kept:
        """Return what the queries that are searched with show."""
        if trial_id in self._full:
            return ALL
        return self._searched.get(trial_id, _NOTHING)

    def confirmed(self, trials: Sequence[str]) -> list[Kept]:
        """Return what the other queries show, with bounds that hold for all `trials` at once."""
        assert self._certainty is not None
        tested = [trial for trial in trials if trial not in self._full]
        values = self._certainty.values(tested)
        found = dict(zip(tested, self.confirm.kept(values, each=False), strict=True))
        return [found.get(trial, ALL) for trial in trials]

    def needed(self, trial_id: str, keep: float) -> int | None:
        """Return how many queries would probably show that a trial keeps `keep`; None for none."""
        assert self._certainty is not None
        found = self._certainty.needed(trial_id, keep, _CRITICAL)
        # The queries that confirm must show it.
        return None if found is None else round(found / (1 - SEARCHED))


_CRITICAL = 1.96
"""Standard errors between an estimate and the lower end of its own 95 % interval."""
