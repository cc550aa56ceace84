"""Where to spend a byte: on dimensions or on precision."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.analysis.tables import stored
from bench.errors import UsageError
from bench.figures._style import COLUMN, heading, panels
from bench.reducers import PREFIX
from bench.results.rows import exact_rows, groups

TITLE = "Share of the quality kept at each dimension and precision, with the bytes of a vector"
ORDER = 5
CAPTION = (
    "Truncated vectors, exhaustive search. The rows go down in bits a component, so a diagonal holds equal bytes: 128 d float32, 512 d int8 and "
    "4,096 d binary are 512 bytes each. The framed cell is the best of its number of bytes."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw a heat map of dimension by precision for each dataset and encoder."""
    parts = [
        (part, table)
        for _, part in groups(frame)
        if len(exact_rows(part)) and len(table := _table(part))
    ]
    if not parts:
        raise UsageError("the table has no precision but float32, so there is nothing to draw")
    with panels(len(parts), columns=1, width=2 * COLUMN, height=2.9) as (figure, axes):
        for axis, (part, table) in zip(axes, parts, strict=True):
            kept = table.pivot(index="precision", columns="dim", values="retained")
            bits = table.groupby("precision")["bits"].first()
            kept = kept.reindex(sorted(kept.index, key=lambda p: (-bits[p], p)))
            image = axis.imshow(kept, aspect="auto", cmap="viridis", vmin=0, vmax=1)
            best = {
                size: cells["retained"].idxmax()
                for size, cells in table.groupby("bytes")
                if len(cells) > 1
            }
            for i, cell in table.iterrows():
                x, y = kept.columns.get_loc(cell["dim"]), kept.index.get_loc(cell["precision"])
                axis.text(
                    x, y, f"{cell['retained']:.0%}\n{cell['bytes']:,.0f} B", ha="center", va="center", fontsize=6.5,
                    color="black" if cell["retained"] > 0.6 else "white",
                )  # fmt: skip
                if best.get(cell["bytes"]) == i:
                    axis.add_patch(_frame(x, y))
            axis.set_xticks(np.arange(len(kept.columns)), [str(d) for d in kept.columns])
            axis.set_yticks(
                np.arange(len(kept.index)), [str(p).replace("_", " ") for p in kept.index]
            )
            axis.grid(False)
            axis.set_xlabel("dimension")
            axis.set_title(heading(part))
            figure.colorbar(image, ax=axis, label="share of the quality kept")
    return figure


def _table(part: pd.DataFrame) -> pd.DataFrame:
    table = stored(part)
    table = table[(table["kind"] == PREFIX) & table["retained"].notna()].reset_index(drop=True)
    return table if table["precision"].nunique() > 1 else table.iloc[:0]


def _frame(x: int, y: int) -> Rectangle:
    return Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor="red", lw=1.3)
