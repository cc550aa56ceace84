"""Draw the share of quality kept at each dimension and precision, with the bytes per vector."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from bench.analysis.palette import PRECISIONS
from bench.analysis.tables import stored
from bench.errors import NothingToShow
from bench.figures._style import figure_width, lines_high, panels, set_titles, small
from bench.figures._text import inches
from bench.reducers import PREFIX
from bench.results.rows import exact_rows, groups

TITLE = "Share of the quality kept at each dimension and precision"
CAPTION = (
    "Vectors are truncated and search is exhaustive. "
    "Each cell shows the share of the full float32 quality and the bytes per vector. "
    "Lines join cells of equal bytes, of plain numbers and signs. "
    "A red frame marks the best cell within a budget: none of as many bytes or fewer keeps more."
)
_COLOURS = colormaps["viridis"]
_BESIDE = 1.9
"""Inches that names, numbers and the colour bar take beside the cells."""
_BETWEEN = " · "


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one heat map per dataset and encoder, precisions as rows and dimensions as columns.

    A narrow figure has the dimensions as rows. Raises NothingToShow if float32 is the only
    precision.
    """
    parts = [
        (part, table)
        for _, part in groups(frame)
        if len(exact_rows(part)) and len(table := _table(part))
    ]
    if not parts:
        raise NothingToShow("the table has no precision but float32, so there is nothing to draw")
    upright = any(not _has_room(table) for _, table in parts)
    rows = max(table["dim" if upright else "precision"].nunique() for _, table in parts)
    most = max(table["precision"].nunique() for _, table in parts)
    # Wide cells of an upright map take their two texts in one line.
    flat = upright and (figure_width() - _BESIDE) / most > inches(
        f"100%{_BETWEEN}10,000 B", small()
    )
    height = lines_high((2 if flat else 3) * rows + 6)
    with panels(len(parts), height=height) as (figure, axes):
        for axis, (_, table) in zip(axes, parts, strict=True):
            _draw_map(figure, axis, table, upright, _BETWEEN if flat else "\n")
        set_titles(figure, axes, [part for part, _ in parts])
    return figure


def best_within_bytes(table: pd.DataFrame) -> pd.Index:
    """Return the labels of the best cells of a `stored` table: no smaller or equal one keeps more.

    Of cells equal in both, the first counts.
    """
    order = table.sort_values(["bytes", "retained"], ascending=[True, False], kind="stable")
    before = order["retained"].cummax().shift(fill_value=-np.inf)
    return order.index[order["retained"] > before]


def _has_room(table: pd.DataFrame) -> bool:
    """Return whether the texts of cells fit side by side, one column per dimension."""
    cell = (figure_width() - _BESIDE) / table["dim"].nunique()
    return bool(max(inches(_bytes(size), small()) for size in table["bytes"]) + 0.06 < cell)


def _draw_map(figure: Figure, axis: Axes, table: pd.DataFrame, upright: bool, between: str) -> None:
    kept = table.pivot(index="precision", columns="dim", values="retained")
    bits = table.groupby("precision")["bits"].first()
    kept = kept.reindex(sorted(kept.index, key=lambda p: (-bits[p], p)))
    names = [str(p).replace("_", "\n" if upright else " ") for p in kept.index]
    dims = [str(d) for d in kept.columns]
    image = axis.imshow(kept.T if upright else kept, aspect="auto", cmap=_COLOURS, vmin=0, vmax=1)

    columns, rows = (
        kept.columns.get_indexer(table["dim"]),
        kept.index.get_indexer(table["precision"]),
    )
    at = np.column_stack([rows, columns] if upright else [columns, rows])
    # Of codes there are too many for lines.
    for _, same in table[table["precision"].isin(PRECISIONS)].groupby("bytes"):
        line = at[table.index.get_indexer(same.sort_values("dim").index)]
        axis.plot(*line.T, color="0.4", lw=0.7)
    best = set(best_within_bytes(table))
    for (i, cell), (x, y) in zip(table.iterrows(), at, strict=True):
        shade = _COLOURS(min(max(float(cell["retained"]), 0.0), 1.0))
        text = f"{cell['retained']:.0%}{between}{_bytes(cell['bytes'])}"
        axis.text(
            x, y, text, ha="center", va="center", fontsize=small(),
            color="black" if cell["retained"] > 0.6 else "white",
            path_effects=[withStroke(linewidth=3, foreground=shade)],
        )  # fmt: skip
        if i in best:
            axis.add_patch(
                Rectangle(
                    (x - 0.48, y - 0.46), 0.96, 0.92, fill=False, edgecolor="red", lw=1.5, zorder=4
                )
            )
    axis.set_xlim(-0.5, len(names if upright else dims) - 0.5)
    axis.set_xticks(np.arange(len(names if upright else dims)), names if upright else dims)
    axis.set_yticks(np.arange(len(dims if upright else names)), dims if upright else names)
    axis.grid(False)
    axis.set_xlabel("precision" if upright else "dimension")
    axis.set_ylabel("dimension" if upright else "precision")
    if not upright:
        figure.colorbar(image, ax=axis, label="share kept", pad=0.01, fraction=0.05)


def _bytes(size: float) -> str:
    return f"{size:,.0f} B"


def _table(part: pd.DataFrame) -> pd.DataFrame:
    """Return `stored` of truncation; no row if float32 is its only precision."""
    table = stored(part)
    table = table[(table["kind"] == PREFIX) & table["retained"].notna()].reset_index(drop=True)
    return table if table["precision"].nunique() > 1 else table.iloc[:0]
