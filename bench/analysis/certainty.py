"""What the queries show: bounds that hold for all configurations chosen among, and power."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from bench.backends import backends
from bench.quality.intervals import Bootstrap, Bounds
from bench.reducers import PREFIX
from bench.results.rows import (
    UNCOMPRESSED,
    exact_rows,
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
        quality = quality_of(frame)
        own = queries[queries["trial_id"].isin(frame["trial_id"])]
        wide = own.pivot_table(
            index="query_id", columns="trial_id", values=quality.column, sort=False
        )
        full = plain(exact_rows(frame))
        full = full[full["dim"] == full["full_dim"]]["trial_id"]
        known = [trial for trial in full if trial in wide.columns]
        self._by_query = wide.loc[wide[known[-1]].notna()] if known else wide.iloc[:0]
        self._full = self._by_query[known[-1]].to_numpy(float) if known else np.empty(0)
        self.groups = self._groups(own)
        self._bootstrap = Bootstrap(len(self._full), groups=self.groups) if known else None

    @property
    def n_queries(self) -> int:
        """Queries that every bound rests on; 0 if the per-query results are missing."""
        return len(self._full)

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
        is_full = keeps_all(rows)
        found[is_full] = 1.0
        measured = rows.index[
            [not full and self._has(t) for full, t in zip(is_full, rows["trial_id"], strict=True)]
        ]
        if len(measured):
            bounds = self._bootstrap.ratios(
                self._values(rows.loc[measured, "trial_id"]), self._full
            )
            found.loc[measured] = np.column_stack([bounds.estimate, bounds.low, bounds.high])
            found.attrs |= {"critical": bounds.critical, "among": len(measured)}
        return found

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
        return trial in self._by_query.columns and bool(self._by_query[trial].notna().all())

    def _values(self, trials: Iterable[str]) -> np.ndarray:
        return np.asarray(self._by_query[list(trials)], dtype=float).T

    def _groups(self, queries: pd.DataFrame) -> list[str] | None:
        if "query_group" not in queries:
            return None
        named = queries.drop_duplicates("query_id").set_index("query_id")["query_group"]
        named = named.reindex(self._by_query.index)
        return named.tolist() if len(named) and named.notna().all() else None


def keeps_all(rows: pd.DataFrame) -> pd.Series:
    """Return which rows are exact search of the uncut float32 vectors, bool."""
    exact = {name for name, backend in backends().items() if backend.exact} | {EXACT}
    return (
        rows["backend"].isin(exact)
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
