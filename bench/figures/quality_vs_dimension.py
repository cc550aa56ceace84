"""Draw the quality of exact search against dimension, for truncation and other reducers."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.tables import curves, dimension_table, truncation
from bench.figures._style import (
    Look,
    dimension_axis,
    needed,
    panels,
    reducer_look,
    reducer_name,
    set_titles,
)
from bench.reducers import PLAIN, PREFIX
from bench.results.rows import exact_rows, groups, quality_of

TITLE = "Quality against dimension"
CAPTION = (
    "Higher is better. Search is exact, so no index lowers the quality. "
    "The shaded bands are the 95 % interval of truncation and the range over seeds of the others. "
    "Matryoshka training helps only where truncation lies above random subsets."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one line per reducer, one panel per dataset and encoder, from rows of the exact pass.

    Raises NothingToShow if there is no such row.
    """
    parts = [part for _, part in groups(needed(exact_rows(frame), "no row of the exact pass"))]
    with panels(len(parts), columns=2, height=4) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            table = dimension_table(part)
            own = truncation(table)
            name = f"{reducer_name(PLAIN, PREFIX)}, 95 % interval"
            _line(axis, own, name, {**reducer_look(PLAIN), "zorder": 3}, band=True)
            for variant, curve in curves(table).items():
                name, several = reducer_name(variant, ""), bool((curve["seeds"] > 1).any())
                name += ", range over seeds" if several else ""
                _line(axis, curve, name, reducer_look(variant), band=several)
            dimension_axis(axis, list(own.index))
            axis.set_ylim(bottom=0)
            axis.set_ylabel(f"{quality_of(part).label} of exact search")
        set_titles(figure, axes, parts)
    return figure


def _line(axis: Axes, curve: pd.DataFrame, name: str, style: Look, band: bool) -> None:
    axis.plot(curve.index, curve["quality"], label=name, **style)
    if band:
        axis.fill_between(
            curve.index, curve["low"], curve["high"], color=style["color"], alpha=0.2, lw=0
        )
