"""Draw the quality of several encoders at equal bytes, and against the time that each encodes."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.encoders import best_within, budgets, compared, encoding, steps
from bench.analysis.palette import COLOURS
from bench.encoders._names import in_words
from bench.errors import NothingToShow
from bench.figures._style import MARKERS, Look, fitted, panels, plain_log, set_title, variant_look
from bench.results.rows import NDCG, groups

TITLE = "Encoders at equal bytes and at equal time"
CAPTION = (
    "Left: the best quality within so many bytes per vector, over all dimensions, reducers and "
    "precisions measured. "
    "Middle and right: the same at two budgets of bytes, against the time that the encoder takes. "
    "Full markers are the larger budget, hollow ones the smaller. "
    "Up and to the left is better in the left two, up and to the right in the last. "
    "The bands are 95 % intervals of each best configuration alone."
)
_SMALLER = 16
"""Times that the smaller budget is less than the larger one."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw up to three panels per dataset: bytes, ms a query, documents a second.

    Those of time are left out where nothing was timed. Raises NothingToShow if no judged dataset
    has several encoders.
    """
    found = compared(frame)
    if not found:
        raise NothingToShow("no judged dataset has several encoders, so none are compared")
    # An encoder has one look, whatever the order in which the datasets name them.
    names = pd.concat(found.values())["encoder"].drop_duplicates()
    looks = {name: _look(position) for position, name in enumerate(names)}
    drawn = []
    for dataset, rows in found.items():
        drawn.append((dataset, rows, -1))
        times = np.array([encoding(part) for _, part in groups(rows)])
        drawn += [(dataset, rows, which) for which in (0, 1) if np.isfinite(times[:, which]).any()]
    most = max(sum(1 for name, _, _ in drawn if name == dataset) for dataset in found)
    with panels(len(drawn), columns=most, height=3.6) as (figure, axes):
        for axis, (dataset, rows, which) in zip(axes, drawn, strict=True):
            if which < 0:
                _draw_bytes(axis, rows, looks)
                text = "at equal bytes"
            else:
                text = _draw_time(axis, rows, which, looks)
            axis.set_ylim(bottom=0)
            axis.set_ylabel(f"best {NDCG.label}")
            set_title(axis, f"{fitted(dataset)}\n{text}")
    return figure


def _look(position: int) -> Look:
    again = position // len(COLOURS)
    return {
        "color": COLOURS[position % len(COLOURS)],
        "marker": MARKERS[(position + again) % len(MARKERS)],
        "linestyle": variant_look(again)["linestyle"],
    }


def _draw_bytes(axis: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    """Draw a line of steps per encoder."""
    last = max(steps(part)["bytes"].max() for _, part in groups(rows))
    for (_, encoder), part in groups(rows):
        best, look = steps(part), looks[encoder]
        # The last step goes on to the right: more bytes buy nothing more.
        ends = [*best["bytes"], last]
        quality, low, high = ([*best[c], best[c].iloc[-1]] for c in ("quality", "low", "high"))
        axis.plot(ends, quality, color=look["color"], ls=look["linestyle"], drawstyle="steps-post")
        axis.plot([], [], label=in_words(encoder), **look)
        axis.plot(best["bytes"], best["quality"], **look | {"linestyle": "none"})
        bounds = np.array(low, dtype=float), np.array(high, dtype=float)
        axis.fill_between(ends, *bounds, step="post", color=look["color"], alpha=0.08, lw=0)
    plain_log(axis, "x")
    axis.set_xlabel("bytes per vector, at most")


def _draw_time(axis: Axes, rows: pd.DataFrame, which: int, looks: dict[str, Look]) -> str:
    """Draw two points per encoder and return what they are; `which` is that of `encoding`."""
    larger = budgets(rows)[-1]
    smaller = max(budgets(rows)[0], larger // _SMALLER)
    for (_, encoder), part in groups(rows):
        best, look, at = steps(part), looks[encoder], encoding(part)[which]
        points = [best_within(best, budget) for budget in (larger, smaller)]
        heights = [float("nan") if point is None else point["quality"] for point in points]
        axis.plot([at, at], heights, color=look["color"], lw=0.8, alpha=0.6)
        for height, fill in zip(heights, ("full", "none"), strict=True):
            axis.plot([at], [height], fillstyle=fill, **look | {"linestyle": "none"})
    plain_log(axis, "x")
    axis.set_xlabel(("time to encode one query (ms)", "documents encoded per second")[which])
    return f"within {larger:,} B and {smaller:,} B"
