"""The page's section on corpora of another size: what each dimension keeps there."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.text_table import Table
from bench.codes.table import precision_order
from bench.results.rows import UNCOMPRESSED, exhaustive_rows, plain

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
_HOW = (
    "Up to {documents:,} documents, those measured, the shares are those in random parts of the "
    "corpus, from the rank of every relevant document. {beyond}"
)
_BEYOND = (
    "Beyond, up to {times:,.3g} times as many, they are projected, as if the documents added were "
    "like those measured; the bounds hold the error of the queries and that of the model. Large "
    "collections hold near-copies of the answers, above all of short texts: there even less is "
    "kept."
)


@dataclass(frozen=True)
class AtSize:
    """What one dataset and encoder keep at other sizes."""

    table: Table | None
    """None if no size has a figure."""
    text: str
    """How far the data reach, or why there is no figure."""


def at_size(frame: pd.DataFrame, projected: pd.DataFrame) -> AtSize | None:
    """Return the section of one dataset and encoder; None if it has no row of the exact pass.

    `frame` holds its trials, `projected` is that of `project_folder`.
    """
    own = projected[projected["trial_id"].isin(plain(exhaustive_rows(frame))["trial_id"])]
    if own.empty:
        return None
    given = own[(own["refused"] == "") & own["kept"].notna() & own["documents"].isin(SIZES)]
    refused = [why for why in own.loc[own["documents"].isin(SIZES), "refused"].unique() if why]
    if given.empty:
        return AtSize(None, f"Nothing is said of other sizes: {refused[0]}.") if refused else None
    columns = sorted(given["documents"].unique())
    rows = []
    for (dim, precision), part in sorted(
        given.groupby(["dim", "precision"]), key=lambda of: (of[0][0], precision_order(of[0][1]))
    ):
        cells = {row["documents"]: _cell(row) for _, row in part.iterrows()}
        name = f"{dim} d" if precision == UNCOMPRESSED else f"{dim} d, {precision}"
        rows.append((name, *(cells.get(n, "") for n in columns)))
    documents = int(frame["n_corpus"].max())
    times = given["times_beyond"].max()
    headings = ("dim", *(f"{_size(n)} documents" for n in columns))
    if times > 1:
        beyond = _BEYOND.format(times=times)
    else:
        beyond = f"Beyond: {refused[0]}." if refused else ""
    text = _HOW.format(documents=documents, beyond=beyond).strip()
    return AtSize(Table("At the size you will have: keeps % [95 %]", headings, rows), text)


def _cell(row: pd.Series) -> str:
    return "{:.1f} [{:.1f}, {:.1f}]".format(
        *(100 * row[name] for name in ("kept", "kept_low", "kept_high"))
    )


def _size(n: int) -> str:
    return f"{n // 1_000_000} million" if n >= 1_000_000 else f"{n:,}"
