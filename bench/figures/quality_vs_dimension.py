"""Draw the quality of exact search against dimension, for truncation and other reducers."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.tables import curves, dimension_table, subset_band, truncation
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
from bench.results.rows import bm25_rows, exact_rows, fused_rows, groups, quality_of

TITLE = "Quality against dimension"
CAPTION = (
    "Higher is better. Search is exact, so no index lowers the quality. "
    "The coloured band is the 95 % interval of truncation over queries. "
    "The grey one holds 95 % of the random subsets, at their paired ratio to truncation. "
    "Above the grey band, the order of the coordinates is worth something. "
    "The dashed line is BM25, which needs no vectors. "
    "The dotted one fuses it with truncation, where the study asks for that."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one line per reducer, one panel per dataset and encoder, from rows of the exact pass.

    Raises NothingToShow if there is no such row.
    """
    needed(exact_rows(frame), "no row of the exact pass")
    parts = [part for _, part in groups(frame) if len(exact_rows(part))]
    with panels(len(parts), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            table = dimension_table(part)
            own = truncation(table)
            name = f"{reducer_name(PLAIN, PREFIX)}, 95 % interval"
            _line(axis, own, name, {**reducer_look(PLAIN), "zorder": 3}, band=True)
            _draw_controls(axis, part)
            for variant, curve in curves(table).items():
                name, several = reducer_name(variant, ""), bool((curve["seeds"] > 1).any())
                name += ", range over seeds" if several else ""
                _line(axis, curve, name, reducer_look(variant), band=several)
            dimension_axis(axis, list(own.index))
            axis.set_ylim(bottom=0)
            axis.set_ylabel(f"{quality_of(part).label} of exact search")
        set_titles(figure, axes, parts)
    return figure


def _draw_controls(axis: Axes, part: pd.DataFrame) -> None:
    subsets, words = subset_band(part), bm25_rows(part)
    if len(subsets):
        name = "random subsets, 95 % of them"
        edges = subsets.index, subsets["low"], subsets["high"]
        axis.fill_between(*edges, color="0.6", alpha=0.5, lw=0, label=name)
    column = quality_of(part).column
    if len(words):
        axis.axhline(words[column].iloc[-1], color="black", ls="--", lw=1, label="BM25")
    if len(both := fused_rows(part)):
        best = both.groupby("dim")[column].max()
        axis.plot(best.index, best, color="black", ls=":", lw=1.5, label="truncation and BM25")


def _line(axis: Axes, curve: pd.DataFrame, name: str, style: Look, band: bool) -> None:
    axis.plot(curve.index, curve["quality"], label=name, **style)
    if band:
        axis.fill_between(
            curve.index, curve["low"], curve["high"], color=style["color"], alpha=0.2, lw=0
        )
