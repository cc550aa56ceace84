"""Draw at which rank queries find a relevant document, and how it moves in shorter vectors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from bench.errors import NothingToShow
from bench.figures._style import panel_width, panels, set_titles, small
from bench.figures._text import inches
from bench.results.rows import exact_rows, groups, plain

TITLE = "Where relevant documents move when vectors get shorter"
CAPTION = (
    "Truncated vectors, exact search. "
    "The first panel shows at which rank queries find their best relevant document. "
    "The second compares each query with the full dimension. "
    "Above zero the document moved up, below it moved down. "
    "The dark parts moved into the first ten, or out of them."
)
QUERIES = True
TOP = 10
CLASSES = {"rank 1": 1, "2–3": 3, "4–10": TOP, "11–100": 100, "beyond 100": np.inf}
"""Classes of ranks, each with its last."""
_FIRST_PANEL = "rank of the best relevant document"
# Colours that no backend or reducer has (Tol 2021, “muted”).
_UP, _DOWN = "#117733", "#882255"


def draw(frame: pd.DataFrame, queries: pd.DataFrame) -> Figure:
    """Draw two panels per dataset and encoder; `queries` are those of `bench.figures.ranks`.

    Raises NothingToShow if no two dimensions, the full one among them, have ranks.
    """
    parts = [(part, ranks) for _, part in groups(frame) if len(ranks := _ranks(part, queries))]
    if not parts:
        raise NothingToShow("no two dimensions have the ranks of relevant documents")
    with panels(2 * len(parts), columns=2, height=3.6) as (figure, axes):
        for (_, ranks), left, right in zip(parts, axes[::2], axes[1::2], strict=True):
            _draw_classes(left, ranks)
            _draw_moves(right, ranks)
            for axis in (left, right):
                _dimensions(axis, ranks.columns)
        texts = [
            text
            for _, ranks in parts
            for text in (
                "rank of the best relevant document",
                f"moves against {ranks.columns[-1]} d",
            )
        ]
        set_titles(figure, axes, [part for part, _ in parts for _ in range(2)], texts)
    return figure


def _ranks(part: pd.DataFrame, queries: pd.DataFrame) -> pd.DataFrame:
    """Return the best rank of each query (rows) at each dimension (columns, the full one last)."""
    rows = plain(exact_rows(part)).drop_duplicates("dim", keep="last")
    own = queries.merge(rows[["trial_id", "dim"]].astype({"trial_id": str}), on="trial_id")
    own = own[own["first_relevant_rank"].notna()].astype({"query_id": str})
    table = own.pivot(index="query_id", columns="dim", values="first_relevant_rank").dropna()
    full = len(rows) and rows["full_dim"].max() in table.columns
    return table if full and table.shape[1] > 1 else table.iloc[:0]


def _draw_classes(axis: Axes, ranks: pd.DataFrame) -> None:
    below, first = np.zeros(ranks.shape[1]), 0.0
    shades = colormaps["cividis"](np.linspace(0.02, 0.98, len(CLASSES)))
    for (name, last), shade in zip(CLASSES.items(), shades, strict=True):
        share = ((ranks > first) & (ranks <= last)).mean().to_numpy()
        axis.bar(np.arange(len(share)), share, bottom=below, color=shade, width=0.85, label=name)
        below, first = below + share, last
    axis.set_ylim(0, 1)
    axis.set_ylabel("share of queries")


def _draw_moves(axis: Axes, ranks: pd.DataFrame) -> None:
    full = ranks.iloc[:, -1]
    up, down = ranks.lt(full, axis=0), ranks.gt(full, axis=0)
    into = up & (ranks <= TOP) & (full > TOP).to_numpy()[:, None]
    out = down & (ranks > TOP) & (full <= TOP).to_numpy()[:, None]
    places = np.arange(ranks.shape[1])
    for name, moved, sign, colour, alpha in (
        ("moved up", up, 1, _UP, 0.35),
        ("into the first ten", into, 1, _UP, 1),
        ("moved down", down, -1, _DOWN, 0.35),
        ("out of the first ten", out, -1, _DOWN, 1),
    ):
        share = sign * moved.mean().to_numpy()
        axis.bar(places, share, color=colour, alpha=alpha, width=0.85, lw=0, label=name)
    axis.axhline(0, color="black", lw=0.6)
    axis.set_ylabel("share of queries")


def _dimensions(axis: Axes, dims: pd.Index) -> None:
    names = [str(dim) for dim in dims]
    # Numbers, labels and spaces beside the bars take about an inch.
    room = (panel_width(axis) - 1) / len(names)
    upright = max(inches(name, small()) for name in names) + 0.04 > room
    axis.set_xticks(np.arange(len(names)), names, rotation=90 if upright else 0)
    axis.yaxis.set_major_formatter(PercentFormatter(1))
    axis.grid(False, axis="x")
    axis.set_xlabel("dimension")
