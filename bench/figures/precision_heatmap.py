"""Draw the share of quality kept at each dimension and precision, with the bytes per vector."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.analysis.tables import stored
from bench.errors import NothingToShow
from bench.figures._style import SMALL, panels, set_titles
from bench.reducers import PREFIX
from bench.results.rows import exact_rows, groups

TITLE = "Share of the quality kept at each dimension and precision"
CAPTION = (
    "Vectors are truncated and search is exhaustive. "
    "Each cell shows the share of the full float32 quality and the bytes per vector. "
    "A red frame marks the best cell among those of equal bytes."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one heat map per dataset and encoder, precisions as rows and dimensions as columns.

    Raises NothingToShow if float32 is the only precision.
    """
    parts = [
        (part, table)
        for _, part in groups(frame)
        if len(exact_rows(part)) and len(table := _table(part))
    ]
    if not parts:
        raise NothingToShow("the table has no precision but float32, so there is nothing to draw")
    most = max(table["precision"].nunique() for _, table in parts)
    with panels(len(parts), height=1.2 + 0.42 * most) as (figure, axes):
        for axis, (_, table) in zip(axes, parts, strict=True):
            _draw_map(figure, axis, table)
        set_titles(figure, axes, [part for part, _ in parts])
    return figure


def _draw_map(figure: Figure, axis: Axes, table: pd.DataFrame) -> None:
    kept = table.pivot(index="precision", columns="dim", values="retained")
    bits = table.groupby("precision")["bits"].first()
    kept = kept.reindex(sorted(kept.index, key=lambda p: (-bits[p], p)))
    image = axis.imshow(kept, aspect="auto", cmap="viridis", vmin=0, vmax=1)
    sizes = table.groupby("bytes")["retained"]
    best = set(sizes.idxmax()[sizes.size() > 1])
    for i, cell in table.iterrows():
        x, y = kept.columns.get_loc(cell["dim"]), kept.index.get_loc(cell["precision"])
        axis.text(
            x, y, f"{cell['retained']:.0%}\n{cell['bytes']:,.0f} B", ha="center", va="center",
            fontsize=SMALL, color="black" if cell["retained"] > 0.6 else "white",
        )  # fmt: skip
        if i in best:
            axis.add_patch(
                Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, fill=False, edgecolor="red", lw=1.5)
            )
    axis.set_xticks(np.arange(len(kept.columns)), [str(d) for d in kept.columns])
    axis.set_yticks(np.arange(len(kept.index)), [str(p).replace("_", " ") for p in kept.index])
    axis.grid(False)
    axis.set_xlabel("dimension")
    axis.set_ylabel("precision")
    figure.colorbar(image, ax=axis, label="share of the quality kept", pad=0.01, fraction=0.05)


def _table(part: pd.DataFrame) -> pd.DataFrame:
    """Return `stored` of truncation; no row if float32 is its only precision."""
    table = stored(part)
    table = table[(table["kind"] == PREFIX) & table["retained"].notna()].reset_index(drop=True)
    return table if table["precision"].nunique() > 1 else table.iloc[:0]
