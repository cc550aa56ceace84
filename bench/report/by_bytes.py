"""The best way to store a vector in a number of bytes, as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.analysis.by_bytes import BUDGETS
from bench.analysis.summary import Table, interval
from bench.reducers import PLAIN


def by_bytes_tables(found: Sequence[tuple[str, str, pd.DataFrame]]) -> list[Table]:
    """Return a table per dataset: a row per model and number of bytes.

    `found` holds dataset, encoder and what `bench.analysis.by_bytes.best_by_bytes` returns.
    """
    headings = ("model", "bytes", "nDCG@10 [95 %]", "keeps %", "d", "stored as", "reducer")
    tables = []
    for dataset in dict.fromkeys(name for name, _, _ in found):
        rows: list[tuple[str, ...]] = []
        for _, encoder, table in (each for each in found if each[0] == dataset):
            for budget in BUDGETS:
                for _, row in table[table["budget"] == budget].iterrows():
                    rows.append(_row(encoder, row))
        if rows:
            ordered = sorted(rows, key=lambda cells: cells[0])
            title = f"Best nDCG@10 in a number of bytes per vector: {dataset}"
            tables.append(Table(title, headings, ordered))
    return tables


def _row(encoder: str, row: pd.Series) -> tuple[str, ...]:
    name = encoder.rpartition("/")[2].removeprefix("st:")
    return (
        f"{name}, {row['model']}" if row["model"] else name,
        f"≤ {row['budget']:,}",
        interval(row["quality"], row["low"], row["high"]),
        f"{100 * row['kept']:.1f}",
        str(row["dim"]),
        str(row["precision"]).replace("_", " "),
        "" if row["variant"] == PLAIN else str(row["variant"]).replace("_", " "),
    )
