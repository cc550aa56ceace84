"""Draw where the configurations of the Pareto front lose quality."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.analysis.labels import labels
from bench.analysis.tables import evenly, front, worth_showing
from bench.figures._style import (
    figure_width,
    lines_high,
    marker_size,
    needed,
    panels,
    set_titles,
    small,
)
from bench.figures._text import inches, wrapped
from bench.results.rows import NDCG, groups, timed

TITLE = "Loss of nDCG@10 on the Pareto front, by dimension, precision and search"
CAPTION = (
    "Shorter bars are better. "
    "The three parts add up to the distance from exact search at the full dimension. "
    "A part that points left is a gain. "
    "An index gains where it misses documents that exact search ranks too high."
)
_MOST_BARS = 12
_MOST_BESIDE = 0.45
"""Share of the figure's width that names may take beside the bars; longer ones stand above them."""
# Colours that no backend or reducer has (Tol 2021, “muted”).
_PARTS = {
    "loss_dimension": ("dimension", "#332288", ""),
    "loss_precision": ("precision", "#CC6677", "///"),
    "loss_search": ("search", "#DDCC77", "..."),
}
"""Columns with their name, colour and hatch."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the losses of the front's configurations as stacked bars, fastest at the top.

    There is one panel per dataset and encoder. Raises NothingToShow if no trial has judgements.
    """
    rows = needed(
        timed(frame).dropna(subset=list(_PARTS)), "no timed trial with relevance judgements"
    )
    parts = [evenly(worth_showing(front(part)), _MOST_BARS) for _, part in groups(rows)]
    named = [
        labels(whole, part.index) for (_, whole), part in zip(groups(rows), parts, strict=True)
    ]
    longest = max(inches(name, small()) for names in named for name in names)
    above = longest > _MOST_BESIDE * figure_width()
    height = lines_high(6 + (2.6 if above else 1.75) * max(map(len, parts)))
    with panels(len(parts), height=height) as (figure, axes):
        for axis, part, names in zip(axes, parts, named, strict=True):
            _draw_bars(axis, part, list(names.loc[part.index]), above)
        set_titles(figure, axes, parts)
    return figure


def _draw_bars(axis: Axes, part: pd.DataFrame, names: list[str], above: bool) -> None:
    height = 0.4 if above else 0.7
    places = np.arange(len(part))[::-1]
    ends = {True: np.zeros(len(part)), False: np.zeros(len(part))}
    for column, (name, colour, hatch) in _PARTS.items():
        values = part[column].to_numpy(float)
        if not values.any():
            continue
        for gain in (False, True):
            widths = np.where((values < 0) == gain, values, 0.0)
            axis.barh(
                places, widths, left=ends[gain], height=height, color=colour, hatch=hatch,
                edgecolor="white", lw=0.3, label=None if gain else name,
            )  # fmt: skip
            ends[gain] += widths
    # Otherwise the longest bar touches the frame.
    axis.use_sticky_edges = False
    axis.plot(
        part[list(_PARTS)].sum(axis=1), places, "k|", markersize=marker_size(4), label="total"
    )
    axis.axvline(0, color="black", lw=0.6)
    axis.set_yticks(places, [""] * len(names) if above else names)
    if above:
        for place, name in zip(places, names, strict=True):
            axis.annotate(
                name, xy=(0, place + 0.25), xycoords=("axes fraction", "data"), va="bottom",
                fontsize=small(), parse_math=False,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )  # fmt: skip
        axis.set_ylim(-0.5, len(names) - 0.1)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
    axis.grid(False, axis="y")
    text = f"loss of {NDCG.label} against exact search at {part['full_dim'].iloc[0]} d"
    axis.set_xlabel(wrapped(text, figure_width() * (0.8 if above else 0.45), small()))
