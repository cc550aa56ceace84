"""What a dimension costs, and whether the training is what keeps it."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.tables import curves, dimension_table, truncation
from bench.figures._style import dimension_axis, heading, legend_below, look, needed, panels
from bench.results.rows import exact_rows, groups, quality_of

TITLE = "Quality against dimension: truncation with its interval, random subsets, PCA"
ORDER = 1
CAPTION = (
    "Exact search, so no index is to blame. Where truncation does not rise above the band of random subsets, Matryoshka training "
    "cannot be the reason for what is kept."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw quality of exact search against dimension; reads the rows of the exact pass."""
    parts = groups(needed(exact_rows(frame), "no row of the exact pass"))
    with panels(len(parts), columns=2, height=3.1) as (figure, axes):
        for axis, (_, part) in zip(axes, parts, strict=True):
            table, quality = dimension_table(part), quality_of(part)
            own = truncation(table)
            style = {"zorder": 3, **look(0)}
            axis.fill_between(
                own.index, own["low"], own["high"], color=style["color"], alpha=0.15, lw=0
            )
            axis.plot(own.index, own["quality"], label="truncation, 95 % interval", **style)
            for position, (variant, curve) in enumerate(curves(table).items(), 1):
                style, name = look(position), variant.replace("_", " ")
                if (curve["seeds"] > 1).any():
                    name += ", range over seeds"
                    axis.fill_between(
                        curve.index,
                        curve["low"],
                        curve["high"],
                        color=style["color"],
                        alpha=0.3,
                        lw=0,
                    )
                axis.plot(curve.index, curve["quality"], label=name, **style)
            dimension_axis(axis, list(own.index))
            axis.set_ylim(bottom=0)
            axis.set_ylabel(f"{quality.label} (exact search)")
            axis.set_title(heading(part))
        legend_below(figure, axes, 2 * min(len(parts), 2))
    return figure
