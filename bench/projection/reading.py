"""The ranks of relevant documents out of a queries table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.projection.nested import Ranks, ranks_of

_LISTS = ["relevant_ranks", "relevant_grades"]


@dataclass(frozen=True)
class Judged:
    """Exact rows of one dataset and encoder whose ranks are known."""

    trial_ids: list[str]
    ranks: Ranks
    """Of those trials, in their order."""
    groups: list[str] | None
    """The group of each query; None if queries are resampled."""


def judged(rows: pd.DataFrame, queries: pd.DataFrame) -> Judged | None:
    """Return the ranks of those of `rows` that have them for every query; None if none has.

    `rows` are exact rows over the same queries, `queries` the per-query rows of all trials.
    """
    if not set(_LISTS) <= set(queries.columns):
        return None
    own = queries[queries["trial_id"].isin(rows["trial_id"]).to_numpy()]
    own = own[own["relevant_ranks"].notna().to_numpy()]
    if own.empty:
        return None
    counts = own["trial_id"].astype(str).value_counts()
    n_queries = int(counts.max())
    trial_ids = [trial for trial in rows["trial_id"] if counts.get(trial, 0) == n_queries]
    trials = pd.Index(trial_ids).get_indexer(own["trial_id"].astype(str))
    asked, names = pd.factorize(own["query_id"].astype(str))
    order = np.lexsort((asked, trials))
    order = order[trials[order] >= 0]
    own = own.iloc[order]
    lengths, ranks = _flat(own["relevant_ranks"], len(trial_ids))
    _, grades = _flat(own["relevant_grades"], len(trial_ids))
    total = lengths[0]
    same = (lengths == total).all(axis=1)
    if len(names) != n_queries or not same.all():
        return None  # versions of the judgements are mixed
    groups = None
    if "query_group" in own:
        named = own["query_group"].iloc[:n_queries]
        groups = named.astype(str).tolist() if named.notna().all() else None
    found = ranks_of(total, ranks, grades, int(rows["n_corpus"].iloc[0]))
    return Judged(trial_ids, found, groups)


def _flat(lists: pd.Series, n_trials: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the lengths (T, Q) of lists of integers, and their entries (T, P), both int64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    array = pa.array(lists, type=pa.list_(pa.int64()), from_pandas=True)
    chunks = array.chunks if isinstance(array, pa.ChunkedArray) else [array]
    lengths = np.concatenate(
        [pc.list_value_length(c).to_numpy(zero_copy_only=False) for c in chunks]
    )
    entries = np.concatenate([c.flatten().to_numpy(zero_copy_only=False) for c in chunks])
    lengths = lengths.astype(np.int64).reshape(n_trials, -1)
    if len({int(row.sum()) for row in lengths}) > 1:
        return lengths, np.empty((n_trials, 0), np.int64)
    return lengths, entries.reshape(n_trials, -1)
