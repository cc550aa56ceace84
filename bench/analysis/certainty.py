"""What the queries show: bounds that hold for all configurations chosen among, and power."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd

from bench.backends import exhaustive_backends
from bench.quality.intervals import Bootstrap, Bounds
from bench.reducers import PREFIX
from bench.results.rows import (
    UNCOMPRESSED,
    exact_rows,
    groups,
    plain,
    quality_of,
    two_stage,
)
from bench.study.plan import EXACT

_MILLION = 1_000_000


class Certainty:
    """The quality of every query of one dataset and encoder, and what it shows.

    Choosing among K configurations tests K hypotheses. So the bounds of `kept` and `differences`
    hold for all of a call's rows at once, in 95 % of samples of queries.
    """

    def __init__(self, frame: pd.DataFrame, queries: pd.DataFrame) -> None:
        """`frame` holds the trials of one dataset and encoder, `queries` their per-query rows."""
        column = quality_of(frame).column
        own = queries[queries["trial_id"].isin(frame["trial_id"])]
        trials, names = pd.factorize(own["trial_id"])
        asked, query_ids = pd.factorize(own["query_id"])
        by_query = np.full((len(names), len(query_ids)), np.nan)
        by_query[trials, asked] = own[column]
        self._position = {trial: row for row, trial in enumerate(names)}
        full = plain(exact_rows(frame))
        full = full[full["dim"] == full["full_dim"]]["trial_id"]
        known = [i for i in map(self._position.get, full) if i is not None]
        known = [i for i in known if not np.isnan(by_query[i]).all()]
        answered = ~np.isnan(by_query[known[-1]]) if known else np.zeros(len(query_ids), bool)
        self._by_query = by_query if answered.all() else by_query[:, answered]
        self._whole = ~np.isnan(self._by_query).any(axis=1)
        self._full = self._by_query[known[-1]] if known else np.empty(0)
        self.query_ids = query_ids[answered].tolist()
        self.groups = _groups(own, query_ids[answered])
        self._bootstrap = Bootstrap(len(self._full), groups=self.groups) if known else None
        self._known: dict[frozenset[str], tuple[dict[str, int], Bounds]] = {}

    @property
    def n_queries(self) -> int:
        """Queries that every bound rests on; 0 if the per-query results are missing."""
        return len(self._full)

    @property
    def trials(self) -> list[str]:
        """Ids of the trials with results per query."""
        return list(self._position)

    @property
    def full(self) -> np.ndarray:
        """The quality of each query at the full dimension, (q,) float64."""
        return self._full

    def values(self, trials: Iterable[str]) -> np.ndarray:
        """Return the quality of each query for each trial, (K, q) float64; NaN if unknown."""
        return np.array([self._row(trial) for trial in trials]).reshape(-1, self.n_queries)

    def _row(self, trial: str) -> np.ndarray:
        row = self._position.get(trial)
        return np.full(self.n_queries, np.nan) if row is None else self._by_query[row]

    @property
    def units(self) -> str:
        """What was resampled, in words: ``1,000 queries`` or ``338 groups of queries``."""
        if self._bootstrap is None or self.groups is None:
            return f"{self.n_queries:,} queries"
        return f"{self._bootstrap.n_units:,} groups of {self.n_queries:,} queries"

    def kept(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the share of the full dimension's quality that each row keeps, with its bounds.

        Columns: share, low, high, all NaN where a row lacks the result of a query; the index is
        that of `rows`. ``attrs`` has ``critical`` (see `Bounds`) and ``among``, the number of rows
        that the bounds hold for. Exact search at the full dimension keeps all by definition, so it
        is not one of them.
        """
        found = pd.DataFrame(np.nan, index=rows.index, columns=["share", "low", "high"])
        found.attrs |= {"critical": 0.0, "among": 0}
        if self._bootstrap is None or not self._full.any():
            return found
        is_full = keeps_all(rows).to_numpy()
        found[is_full] = 1.0
        measured = ~is_full & np.array([self._has(trial) for trial in rows["trial_id"]], dtype=bool)
        if measured.any():
            bounds = self._bounds(rows.loc[measured, "trial_id"])
            found[measured] = np.column_stack([bounds.estimate, bounds.low, bounds.high])
            found.attrs |= {"critical": bounds.critical, "among": int(measured.sum())}
        return found

    def _bounds(self, trials: pd.Series) -> Bounds:
        """Return the simultaneous bounds of these trials; they are computed once per set."""
        assert self._bootstrap is not None
        asked = frozenset(trials)
        if asked not in self._known:
            bounds = self._bootstrap.ratios(self._values(trials), self._full)
            self._known[asked] = {trial: i for i, trial in enumerate(trials)}, bounds
        places, bounds = self._known[asked]
        order = [places[trial] for trial in trials]
        return Bounds(
            bounds.estimate[order], bounds.low[order], bounds.high[order], bounds.critical
        )

    def differences(self, pairs: Iterable[tuple[str, str]]) -> Bounds | None:
        """Return the quality of each pair's first trial minus its second's; None without pairs.

        Trials are named by id; each needs a result for every query (see `has`).
        """
        pairs = list(pairs)
        if self._bootstrap is None or not pairs:
            return None
        first, second = (self._values(side) for side in zip(*pairs, strict=True))
        return self._bootstrap.differences(first, second)

    def has(self, *trials: str) -> bool:
        """Return whether each trial has a result for every query."""
        return all(self._has(trial) for trial in trials)

    def needed(self, trial: str, share: float, critical: float) -> int | None:
        """Return how many queries would probably show that a trial keeps `share`.

        None if its estimate is below `share`, so that no number would, or if it is unknown.
        """
        if self._bootstrap is None or not self._has(trial):
            return None
        (values,) = self._values([trial])
        return self._bootstrap.queries_needed(values, self._full, share, critical)

    def _has(self, trial: str) -> bool:
        row = self._position.get(trial)
        return row is not None and bool(self._whole[row])

    def _values(self, trials: Iterable[str]) -> np.ndarray:
        return self._by_query[[self._position[trial] for trial in trials]]


def _groups(queries: pd.DataFrame, query_ids: pd.Index) -> list[str] | None:
    if "query_group" not in queries:
        return None
    named = queries.drop_duplicates("query_id").set_index("query_id")["query_group"]
    named = named.reindex(query_ids)
    return named.tolist() if len(named) and named.notna().all() else None


Queries: TypeAlias = pd.DataFrame | Mapping[tuple[str, str], Certainty]
"""The per-query rows of all trials, or what `certainties` made of them."""


def certainties(frame: pd.DataFrame, queries: Queries) -> Mapping[tuple[str, str], Certainty]:
    """Return what the queries show for each dataset and encoder of `frame`."""
    if not isinstance(queries, pd.DataFrame):
        return queries
    return {key: Certainty(part, queries) for key, part in groups(frame)}


def keeps_all(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are exact search of the uncut float32 vectors, bool."""
    return (
        rows["backend"].isin(exhaustive_backends() | {EXACT})
        & (rows["reducer_kind"] == PREFIX)
        & (rows["dim"] == rows["full_dim"])
        & (rows["precision"] == UNCOMPRESSED)
        & ~two_stage(rows)
    )


def queries_text(needed: int | None) -> str:
    """Return a number of queries for a sentence, to two digits: ``about 2,300``."""
    if needed is None:
        return "no number of"
    if needed > _MILLION:
        return "more than a million"
    digits = max(0, len(str(needed)) - 2)
    return f"about {-(-needed // 10**digits) * 10**digits:,}"


def holm(p_values: np.ndarray, level: float) -> np.ndarray:
    """Return which hypotheses are rejected, (h,) bool.

    `p_values` (h,). Any is rejected wrongly with a probability of at most `level`. Source: Holm
    1979.
    """
    order = np.argsort(p_values, kind="stable")
    passed = p_values[order] <= level / np.arange(len(order), 0, -1)
    rejected = np.empty(len(order), bool)
    rejected[order] = np.logical_and.accumulate(passed)
    return rejected
