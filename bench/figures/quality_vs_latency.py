"""Draw the quality and latency of every configuration, with the Pareto front."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.labels import labels
from bench.figures._style import (
    MOST_SHAPES,
    backend_look,
    needed,
    panel_width,
    panels,
    plain_log,
    set_titles,
    small,
)
from bench.figures._text import high, inches, wrapped
from bench.results.rows import groups, pareto, quality_of, timed, two_stage, with_texts

TITLE = "Quality against latency, with the Pareto front"
CAPTION = (
    "Up and to the left is better. Points on the front are undominated: "
    "no configuration is both better and faster. "
    "The list beside the points, or below them, names the numbered ones. "
    "Points of the front that nearly coincide share a number."
)
_FILLS = {"": "full", " + rescore": "none", " + words": "bottom"}
_MOST_NUMBERS = 12
_MOST_BESIDE = 0.45
"""Share of the panel's width that the list of names may take beside it."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one point per timed trial, one panel per dataset and encoder, with the front numbered.

    Raises NothingToShow if no trial is timed.
    """
    parts = [part for _, part in groups(needed(timed(frame), "no timed trial"))]
    with panels(len(parts), height=5) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            quality = quality_of(part)
            later = np.where(
                with_texts(part), " + words", np.where(two_stage(part), " + rescore", "")
            )
            for (backend, stages), points in part.groupby(["backend", later], sort=False):
                axis.plot(
                    points["latency_ms_p50"],
                    points[quality.column],
                    label=f"{backend}{stages}",
                    alpha=0.75,
                    linestyle="none",
                    fillstyle=_FILLS[stages],
                    rasterized=len(part) > MOST_SHAPES,
                    **backend_look(str(backend)),
                )
            _front(axis, part, quality.column)
            plain_log(axis, "x")
            axis.set_ylim(0, 1.08 * part[quality.column].max())
            axis.set_xlabel("median latency of one query (ms)")
            axis.set_ylabel(quality.label)
        set_titles(figure, axes, parts)
    return figure


def _front(axis: Axes, part: pd.DataFrame, column: str) -> None:
    front = part[pareto(part, [column], ["latency_ms_p50"])].sort_values("latency_ms_p50")
    axis.plot(
        front["latency_ms_p50"],
        front[column],
        color="black",
        lw=0.8,
        drawstyle="steps-post",
        label="Pareto front",
    )
    # Only points well apart get a number: two numbers on one spot name neither.
    numbered = _apart(front, column)
    named = labels(part, numbered.index)
    for number, (_, row) in enumerate(numbered.iterrows(), 1):
        axis.annotate(
            str(number),
            (row["latency_ms_p50"], row[column]),
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
            fontsize=small(),
            fontweight="bold",
        )
    _list(axis, [f"{number}  {named[i]}" for number, i in enumerate(numbered.index, 1)])


def _list(axis: Axes, names: list[str]) -> None:
    """Write the names right of the panel, or below it if they would take too much of its width."""
    width = panel_width(axis)
    if max(inches(name, small()) for name in names) < _MOST_BESIDE * width:
        axis.text(
            1.01, 1.0, "\n".join(names), transform=axis.transAxes, va="top", fontsize=small(),
            linespacing=1.4, parse_math=False,
        )  # fmt: skip
        return
    text = "\n".join(wrapped(name, 0.8 * width, small()) for name in names)
    axis.annotate(
        text, xy=(0, 0), xycoords=("axes fraction", axis.xaxis.label), xytext=(0, -5),
        textcoords="offset points", va="top", fontsize=small(), linespacing=1.25,
        annotation_clip=False, parse_math=False,
    )  # fmt: skip
    figure: Any = axis.figure
    figure.set_figheight(figure.get_figheight() + high(text, small()))


def _apart(front: pd.DataFrame, column: str) -> pd.DataFrame:
    """Choose points that differ by 1/20 of the front's range in quality or by 1.4 × in latency.

    The best points come first; at most `_MOST_NUMBERS` are chosen.
    """
    span = max(front[column].max() - front[column].min(), 1e-12)
    chosen: list[int] = []
    for i in front.sort_values(column, ascending=False).index:
        if len(chosen) == _MOST_NUMBERS:
            break
        quality, latency = front.loc[i, column], front.loc[i, "latency_ms_p50"]
        if all(
            abs(quality - front.loc[j, column]) > span / 20
            or max(latency, front.loc[j, "latency_ms_p50"])
            > 1.4 * min(latency, front.loc[j, "latency_ms_p50"])
            for j in chosen
        ):
            chosen.append(i)
    return front.loc[chosen].sort_values("latency_ms_p50")
