"""What a dimension costs, and whether the training is what keeps it."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.tables import dimension_table, other_reducers
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
            plain = {"zorder": 3, **look(0)}
            axis.fill_between(
                table.index,
                table["truncate_low"],
                table["truncate_high"],
                color=plain["color"],
                alpha=0.15,
                lw=0,
            )
            axis.plot(table.index, table["truncate"], label="truncation, 95 % interval", **plain)
            if "subset" in table:
                axis.fill_between(
                    table.index,
                    table["subset_low"],
                    table["subset_high"],
                    color=look(1)["color"],
                    alpha=0.3,
                    lw=0,
                )
                axis.plot(
                    table.index, table["subset"], label="random subset, range over seeds", **look(1)
                )
            for position, reducer in enumerate(other_reducers(table), 2):
                axis.plot(
                    table.index,
                    table[reducer],
                    label={"pca": "PCA"}.get(reducer, reducer),
                    **look(position),
                )
            dimension_axis(axis, list(table.index))
            axis.set_ylim(bottom=0)
            axis.set_ylabel(f"{quality.label} (exact search)")
            axis.set_title(heading(part))
        legend_below(figure, axes, 2 * min(len(parts), 2))
    return figure
