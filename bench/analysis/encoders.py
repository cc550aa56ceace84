"""Encoders of one dataset beside each other: quality at equal bytes, and the time to encode."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.tables import stored
from bench.encoders._names import in_words
from bench.results.rows import NDCG, exhaustive_rows, groups, timed

BUDGETS = tuple(2**power for power in range(1, 16))
"""Bytes per vector that encoders are compared at."""
_TABLE = 6
"""Most budgets of a table."""


def compared(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each judged dataset that several encoders have encoded.

    Agreement with the full dimension is each encoder's own, so it compares none with another.
    """
    found = {}
    for dataset, rows in frame.groupby("dataset", sort=False):
        exact = exhaustive_rows(rows)
        judged = exact[exact[NDCG.column].notna() & exact["encoder"].fillna("").ne("")]
        if judged["encoder"].nunique() > 1:
            found[str(dataset)] = rows[rows["encoder"].isin(judged["encoder"])]
    return found


def steps(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the best of `bench.analysis.tables.stored` by bytes: those better than all smaller.

    `rows` are of one dataset and encoder. Fewest bytes first.
    """
    table = stored(rows).sort_values(["bytes", "quality"], ascending=[True, False], kind="stable")
    before = table["quality"].cummax().shift(fill_value=-np.inf)
    return table[table["quality"] > before].reset_index(drop=True)


def best_within(best: pd.DataFrame, budget: float) -> pd.Series | None:
    """Return the last of `steps` within a budget of bytes per vector; None if there is none."""
    within = best[best["bytes"] <= budget]
    return None if within.empty else within.iloc[-1]


def budgets(rows: pd.DataFrame) -> list[int]:
    """Return the `BUDGETS` that tell encoders apart: each has a vector as small, one a larger one.

    `rows` are of one dataset.
    """
    sizes = [stored(part)["bytes"] for _, part in groups(rows)]
    least = max(each.min() for each in sizes)
    most = min(each.max() for each in sizes)
    return [budget for budget in BUDGETS if least <= budget < 2 * most]


def encoding(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the median ms of encoding a query, and the documents per second; NaN if unknown.

    `rows` are of one dataset and encoder.
    """
    last = timed(rows)
    return (
        float(last["encode_ms_p50"].astype(float).median()),
        float(last["encode_documents_per_second"].astype(float).median()),
    )


def in_figures(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a table in words for each dataset of several encoders, which are its rows.

    Columns: the best quality within some `budgets`, the ms of a query and the documents per second.
    """
    found = {}
    for dataset, rows in compared(frame).items():
        chosen = budgets(rows)[::-1]
        # The largest budget and about every fourth of the one before.
        chosen = sorted(chosen[:: max(1, -(-len(chosen) // _TABLE))])
        table = {}
        for (_, encoder), part in groups(rows):
            best = steps(part)
            within = [best_within(best, budget) for budget in chosen]
            table[in_words(encoder)] = [
                *("–" if each is None else f"{each['quality']:.3f}" for each in within),
                *("–" if np.isnan(value) else f"{value:,.3g}" for value in encoding(part)),
            ]
        heads = [*(f"{budget:,} B" for budget in chosen), "ms a query", "documents/s"]
        found[dataset] = pd.DataFrame.from_dict(table, orient="index", columns=heads)
    return found
