"""The queries that a shorter vector loses: their ranks before and after."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty
from bench.harmless import shown
from bench.report.page.document import LostQuery
from bench.results.rows import exact_rows, plain
from bench.results.store import load_relevant

MOST = 20
"""Queries that are listed for each dimension."""


def ranks_of(frame: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Return the rank of the best relevant document, a row per query, a column per dimension.

    `frame` holds the trials of one dataset and encoder. Exact search of truncated vectors; empty
    without judgements.
    """
    rows = _truncated(frame)
    ranks = load_relevant(folder, rows["trial_id"])
    ranks = ranks.dropna(subset="first_relevant_rank")
    if ranks.empty:
        return pd.DataFrame()
    table = ranks.pivot(index="query_id", columns="trial_id", values="first_relevant_rank")
    dims = rows.set_index("trial_id")["dim"]
    table.columns = [int(dims[trial]) for trial in table.columns]
    return table.sort_index(axis=1)


def lost_queries(
    frame: pd.DataFrame, certainty: Certainty, ranks: pd.DataFrame, texts: Mapping[str, str]
) -> dict[int, list[LostQuery]]:
    """Return, for each dimension below the full one, the queries that lose most by truncation.

    `ranks` is that of `ranks_of`, `texts` maps ids to texts.
    """
    rows = _truncated(frame)
    found: dict[int, list[LostQuery]] = {}
    full_dim = int(frame["full_dim"].max())
    for dim, trial in zip(rows["dim"], rows["trial_id"], strict=True):
        if dim >= full_dim or not certainty.has(trial):
            continue
        (short,) = certainty.values([trial])
        change = short - certainty.full
        # Of queries that lose as much, those whose document falls farthest come first.
        fallen = ranks[dim].reindex(certainty.query_ids).to_numpy(float) if dim in ranks else change
        worst = [i for i in np.lexsort((-fallen, change))[:MOST] if change[i] < 0]
        found[int(dim)] = [
            LostQuery(
                query=shown(str(query := certainty.query_ids[i])),
                text=texts.get(str(query), ""),
                rank=_rank(ranks, query, full_dim),
                rank_short=_rank(ranks, query, int(dim)),
                quality=round(float(certainty.full[i]), 4),
                quality_short=round(float(short[i]), 4),
            )
            for i in worst
        ]
    return {dim: queries for dim, queries in sorted(found.items()) if queries}


def _truncated(frame: pd.DataFrame) -> pd.DataFrame:
    return plain(exact_rows(frame)).drop_duplicates("dim", keep="last").sort_values("dim")


def _rank(ranks: pd.DataFrame, query: str, dim: int) -> int | None:
    if dim not in ranks or query not in ranks.index or pd.isna(ranks.loc[query, dim]):
        return None
    return int(ranks.loc[query, dim])
