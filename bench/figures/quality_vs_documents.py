"""Draw the quality of truncated vectors against the size of the corpus, a line per dimension."""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.errors import NothingToShow
from bench.figures._style import MARKERS, Look, marker_size, panels, plain_log, set_titles
from bench.results.rows import (
    base_dataset,
    exact_rows,
    groups,
    plain,
    quality_of,
    wholes,
)

TITLE = "Quality against the size of the corpus"
CAPTION = (
    "Truncated vectors, exact search. The vertical line is the corpus measured. "
    "Solid lines are expected in random parts of it, from the ranks in the whole. "
    "Dashed lines are projected to more documents like those measured. "
    "Rings, if any, were measured in smaller parts. "
    "The bands are 95 % intervals of the queries, and right of the line also of the model. "
    "Large collections of short texts, with near-copies of the answers, do worse."
)
PARTS = True
PROJECTED = True
_MOST_LINES = 6


def draw(frame: pd.DataFrame, projected: pd.DataFrame) -> Figure:
    """Draw one panel per dataset and encoder; `projected` is that of `project_folder`.

    Raises NothingToShow if no row of truncated vectors has the ranks of its relevant documents.
    """
    parts = [
        (part, lines) for _, part in groups(wholes(frame)) if len(lines := _lines(part, projected))
    ]
    exact = plain(exact_rows(frame)).assign(whole=base_dataset(frame))
    if not parts:
        raise NothingToShow("no row has the ranks of all relevant documents")
    with panels(len(parts), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, (part, lines) in zip(axes, parts, strict=True):
            same = (exact["whole"] == part["dataset"].iloc[0]) & (
                exact["encoder"] == part["encoder"].iloc[0]
            )
            smaller = exact[same & (exact["n_corpus"] < part["n_corpus"].max())]
            quality = quality_of(part)
            dims = sorted(lines["dim"].unique())
            last = len(dims) - 1
            places = {
                round(i * last / min(_MOST_LINES - 1, max(1, last))) for i in range(_MOST_LINES)
            }
            for place in sorted(p for p in places if p <= last):
                line = lines[lines["dim"] == dims[place]].sort_values("documents")
                # A sequential map, so that no dimension takes the colour of a reducer.
                shade = mpl.colormaps["viridis"](0.9 * (1 - place / max(1, last)))
                _line(axis, line, shade, MARKERS[place % len(MARKERS)])
                measured = smaller[smaller["dim"] == dims[place]]
                axis.plot(
                    measured["n_corpus"],
                    measured[quality.column],
                    color=shade,
                    marker="o",
                    markersize=marker_size(5),
                    fillstyle="none",
                    linestyle="none",
                )
            axis.axvline(part["n_corpus"].max(), color="0.5", lw=0.8)
            plain_log(axis, "x", wide=1)
            axis.set_ylim(bottom=0)
            axis.set_xlabel("documents")
            axis.set_ylabel(f"{quality.label} of exact search")
        set_titles(figure, axes, [part for part, _ in parts])
    return figure


def _lines(part: pd.DataFrame, projected: pd.DataFrame) -> pd.DataFrame:
    own = projected["trial_id"].isin(plain(exact_rows(part))["trial_id"])
    return projected[own & (projected["refused"] == "")]


def _line(axis: Axes, line: pd.DataFrame, shade: tuple[float, ...], marker: str) -> None:
    dim = line["dim"].iloc[0]
    inside, beyond = line[line["times_beyond"] <= 1], line[line["times_beyond"] >= 1]
    look: Look = {"color": shade, "marker": marker, "markersize": marker_size(-1)}
    axis.plot(inside["documents"], inside["quality"], label=f"{dim} d", **look)
    axis.plot(
        beyond["documents"],
        beyond["quality"],
        linestyle="--",
        fillstyle="none",
        label=f"_{dim} d",
        **look,
    )
    axis.fill_between(
        line["documents"], line["quality_low"], line["quality_high"], color=shade, alpha=0.15, lw=0
    )
