"""Set what the figures share: text sizes, panels, axes, and one look per backend and reducer.

A colour and a marker stand for a backend or a reducer, the same in every figure of every study.
The line stands for a precision, and the fill of the marker for a variant.
"""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.analysis.tables import SYNTHETIC
from bench.errors import NothingToShow
from bench.figures.palette import (
    BACKENDS,
    COLOURS,
    PRECISIONS,
    REDUCERS,
    backend_colour,
    place,
    precision_colour,
    reducer_colour,
)
from bench.reducers import PREFIX
from bench.results.rows import is_synthetic

Look = dict[str, Any]
"""Arguments of ``Axes.plot``: color, marker, linestyle, fillstyle, or some of them."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
OTHER_MARKERS = ("<", ">", "p", "h", "d", "8")
"""Markers of names without a declared place, so that they never look like a name that has one."""
LINES = ("-", "--", "-.", ":")
DASHES = (
    "-",
    (0, (6, 1.5)),
    (0, (6, 1.5, 1, 1.5)),
    (0, (3, 1.5)),
    (0, (3, 1.5, 1, 1.5)),
    (0, (1, 1)),
    (0, (1, 1, 1, 3)),
)
"""Lines of the precisions, most bits first."""
FILLS = ("full", "none", "left", "right", "top", "bottom")
SMALL = 8.5
"""Points; the smallest text. At 96 pixels per inch it is 11 pixels high."""
MOST_SHAPES = 2_000
"""Most points that a panel draws one by one; a page of more is slow, and they hide each other."""
MOST_LINES = 60
"""Most lines that a legend can tell apart."""
_NARROWEST = 2.6
"""Inches; panels that would be narrower move to the next row."""
_RC: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "figure.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.markersize": 5,
    "lines.linewidth": 1.3,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


@contextmanager
def panels(
    count: int, columns: int = 1, height: float = 3.8
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure of `count` panels, at most `columns` per row, each `height` inches high.

    The width is that of matplotlib's ``figure.figsize``. What is labelled inside the panels is
    named in one legend below them.
    """
    width = mpl.rcParams["figure.figsize"][0]
    rows = -(-count // max(1, min(columns, int(width / _NARROWEST))))
    columns = -(-count // rows)
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(width, height * rows), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
        axes, unused = grid[:count], grid[count:]
        for axis in unused:
            axis.set_axis_off()
        yield figure, axes
        _legend_below(figure, axes)


def backend_look(name: str) -> Look:
    """Return colour and marker of a backend."""
    return {"color": backend_colour(name), "marker": _marker(name, BACKENDS)}


def reducer_look(variant: str) -> Look:
    """Return the look of a variant: ``pca whiten`` has the colour and marker of ``pca``."""
    name, _, chosen = variant.partition(" ")
    look: Look = {"color": reducer_colour(variant), "marker": _marker(name, REDUCERS)}
    if not chosen:
        return look | variant_look(0)
    number = zlib.crc32(chosen.encode())
    line, fill = 1 + number % (len(LINES) - 1), 1 + number % (len(FILLS) - 1)
    return look | {"linestyle": LINES[line], "fillstyle": FILLS[fill]}


def variant_look(position: int) -> Look:
    """Return line and fill of a variant: solid and full for position 0; twelve that differ."""
    return {
        "linestyle": LINES[position % len(LINES)],
        "fillstyle": FILLS[position % len(FILLS)],
    }


def precision_line(precision: str) -> Any:
    """Return the line style of a precision, solid for float32."""
    return DASHES[place(precision, PRECISIONS) % len(DASHES)]


def precision_points(precision: str) -> Look:
    """Return line, fill and marker size of a precision, where even single points must differ."""
    own = place(precision, PRECISIONS) % len(DASHES)
    return {
        "linestyle": DASHES[own],
        "fillstyle": FILLS[own % len(FILLS)],
        "markersize": 5 + 3 * (own // len(FILLS)),
    }


def precision_look(precision: str) -> Look:
    """Return colour and marker of a precision, where the colour is free."""
    marker = MARKERS[place(precision, PRECISIONS) % len(PRECISIONS)]
    return {"color": precision_colour(precision), "marker": marker}


def _marker(name: str, declared: Sequence[str]) -> str:
    own = place(name, declared)
    # Names that share a colour are so many places apart that this shifts their markers.
    again = own // len(COLOURS)
    if name in declared:
        return MARKERS[(own + again) % len(MARKERS)]
    return OTHER_MARKERS[again % len(OTHER_MARKERS)]


def reducer_name(variant: str, kind: str) -> str:
    """Return the words of a reducer's variant in a legend."""
    return "truncation" if kind == PREFIX else variant.replace("_", " ")


def dimension_axis(axes: Axes, dimensions: Sequence[int]) -> None:
    """Make the x axis one of dimensions: logarithmic, with those measured as its ticks."""
    ticks = sorted(set(dimensions))
    axes.set_xscale("log", base=2)
    shown = [
        d
        for i, d in enumerate(ticks)
        if i in (0, len(ticks) - 1) or (ticks[-1] / d > 1.25 and d / ticks[i - 1] > 1.2)
    ]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    # Every measured dimension has a tick; those too close to a neighbour have no number.
    axes.xaxis.set_minor_locator(FixedLocator([d for d in ticks if d not in shown]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("dimension")


def plain_log(axes: Axes, axis: str, wide: float = 300) -> None:
    """Make an axis logarithmic with plain numbers at 1, 2 and 5 of each decade.

    Only 1 is numbered on an axis that spans a factor of `wide` or more.
    """
    getattr(axes, f"set_{axis}scale")("log")
    which = getattr(axes, f"{axis}axis")
    low, high = getattr(axes, f"get_{axis}lim")()
    which.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < wide else (1,)))
    which.set_minor_locator(NullLocator())
    which.set_major_formatter(
        FuncFormatter(
            lambda value, _: (
                f"{value / 1_000_000:,g}M"
                if value >= 1_000_000
                else f"{value / 1000:,g}k"
                if value >= 10_000
                else f"{value:,.10g}"
            )
        )
    )


def set_titles(
    figure: Figure, axes: Sequence[Axes], parts: Sequence[pd.DataFrame], texts: Sequence[str] = ()
) -> None:
    """Title each panel with the dataset and encoder of its part, and its text.

    A dataset and encoder that all panels share become the title of the figure.
    """
    headings = [heading(part) for part in parts]
    shared = len(set(headings)) == 1
    if shared:
        figure.suptitle(headings[0])
    for axis, above, text in zip(axes, headings, texts or [""] * len(headings), strict=True):
        axis.set_title("\n".join(filter(None, ["" if shared else above, text])))


def heading(part: pd.DataFrame) -> str:
    """Return dataset and encoder, with a warning against reading quality off synthetic vectors."""
    dataset, encoder = part["dataset"].iloc[0], part["encoder"].iloc[0]
    title = fitted(f"{dataset}, {encoder}" if encoder else str(dataset))
    return f"{title}\n{SYNTHETIC}" if is_synthetic(part) else title


def fitted(title: str) -> str:
    """Return a title in at most two lines that fit a panel."""
    title = title if len(title) < 76 else f"…{title[-74:]}"
    # A path may hold a dollar sign, which would begin a formula.
    return textwrap.fill(title, 44).replace("$", r"\$")


def needed(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return `frame`; raises NothingToShow if it has no row."""
    if frame.empty:
        raise NothingToShow(f"the table has {what}, so there is nothing to draw")
    return frame


def _legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    if not handles:
        return
    width, height = figure.get_size_inches()
    # Inches of the longest entry: the handle, and letters of about half the text's size.
    entry = 0.75 + max(map(len, handles)) * 0.54 * SMALL / 72
    rows = -(-len(handles) // max(1, int(width / entry)))
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=-(-len(handles) // rows),
        handlelength=4,
    )
    figure.set_figheight(height + 0.1 + 1.5 * rows * SMALL / 72)
