"""Set what the figures share: styles, panels, axes, and one look per backend and reducer.

A colour and a marker stand for a backend or a reducer, the same in every figure of every study.
The line stands for a precision, and the fill of the marker for a variant.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from bench.analysis.palette import (
    BACKENDS,
    COLOURS,
    PRECISIONS,
    REDUCERS,
    STORED,
    backend_colour,
    place,
    precision_colour,
    reducer_colour,
)
from bench.analysis.tables import SYNTHETIC
from bench.errors import NothingToShow
from bench.figures._naming import name_lines
from bench.figures._text import LINE, inches, wrapped
from bench.figures._ticks import Decades, Dimensions, plain
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
MOST_SHAPES = 2_000
"""Most points that a panel draws one by one; a page of more is slow, and they hide each other."""
MOST_LINES = 60
"""Most lines that a legend can tell apart."""


@dataclass(frozen=True)
class Style:
    """Sizes that suit where a figure is read; texts and lines in points, lengths in inches."""

    width: float
    """Of a figure, unless another is asked for."""
    text: float
    small: float
    """The smallest text."""
    title: float
    line: float
    marker: float
    height: float
    """What the heights of panels are multiplied by."""
    narrowest: float
    """Panels that would be narrower move to the next row."""
    dpi: int
    """Of a PNG file."""


STYLES = {
    # At 96 pixels per inch the smallest text is 11 pixels high.
    "screen": Style(8.0, 9, 8.5, 10, 1.3, 5, 1.0, 2.6, 200),
    "paper": Style(3.3, 7, 6.5, 7.5, 1.0, 3.2, 0.65, 2.2, 300),
    "slides": Style(10.0, 15, 13.5, 16, 2.4, 9, 1.15, 4.4, 192),
}
_style: ContextVar[Style] = ContextVar("style", default=STYLES["screen"])


@contextmanager
def styled(name: str) -> Iterator[Style]:
    """Draw in one of `STYLES` until the end of the block; a figure alone is of ``screen``."""
    token = _style.set(STYLES[name])
    try:
        yield STYLES[name]
    finally:
        _style.reset(token)


def small() -> float:
    """Return the points of the smallest text."""
    return _style.get().small


def marker_size(larger: float = 0) -> float:
    """Return the points of a marker, by `larger` fifths of the usual size larger."""
    return _style.get().marker * (1 + larger / 5)


def figure_width() -> float:
    """Return the inches that the next figure is wide."""
    return float(mpl.rcParams["figure.figsize"][0])


def lines_high(lines: float) -> float:
    """Return the height to ask `panels` for, so that so many lines of the smallest text fit."""
    style = _style.get()
    return lines * LINE * style.small / 72 / style.height


def _rc(style: Style) -> Any:
    return {
        "font.size": style.text,
        "axes.titlesize": style.text,
        "axes.labelsize": style.text,
        "xtick.labelsize": style.small,
        "ytick.labelsize": style.small,
        "legend.fontsize": style.small,
        "figure.titlesize": style.title,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.linewidth": 0.6 * style.line,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.4 * style.line,
        "lines.markersize": style.marker,
        "lines.linewidth": style.line,
        "legend.frameon": False,
        "svg.fonttype": "path",
        # A name may hold dollar signs, which would begin a formula.
        "text.parse_math": False,
    }


@contextmanager
def panels(
    count: int, columns: int = 1, height: float = 3.8, at_ends: bool = False
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure of `count` panels, at most `columns` per row, each `height` inches high.

    The width is that of matplotlib's ``figure.figsize``; the style scales the height. What is
    labelled inside the panels is named in one legend below them. With `at_ends` few lines are named
    at their right ends instead, where there is room.
    """
    style = _style.get()
    width = figure_width()
    rows = -(-count // max(1, min(columns, int(width / style.narrowest))))
    columns = -(-count // rows)
    with mpl.rc_context(_rc(style)):
        figure = Figure(figsize=(width, style.height * height * rows), layout="constrained")
        pad = 0.7 * style.text / 72
        engine: Any = figure.get_layout_engine()
        engine.set(w_pad=pad, h_pad=pad)
        grid = list(figure.subplots(rows, columns, squeeze=False).ravel())
        axes, unused = grid[:count], grid[count:]
        for axis in unused:
            axis.set_axis_off()
        yield figure, axes
        for axis in axes:
            # Title and numbers take a fifth of a panel's height.
            axis.set_ylabel(wrapped(axis.get_ylabel(), 0.8 * style.height * height, style.text))
        name_lines(figure, axes, style.small, at_ends)
        _keep_titles_inside(figure, axes)


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
        "markersize": marker_size(3 * (own // len(FILLS))),
    }


def precision_look(precision: str) -> Look:
    """Return colour and marker of a precision, where the colour is free."""
    own = place(precision, STORED)
    # Those that share a colour are so many places apart that this shifts their markers.
    marker = MARKERS[(own + 2 * (own // len(PRECISIONS))) % len(MARKERS)]
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
    # Every measured dimension has a tick; those too close to a neighbour have no number.
    axes.xaxis.set_major_locator(Dimensions(ticks))
    axes.xaxis.set_minor_locator(Dimensions(ticks, numbered=False))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("dimension")


def plain_log(axes: Axes, axis: str, wide: float = 300) -> None:
    """Make an axis logarithmic with plain numbers at 1, 2 and 5 of each decade.

    Only 1 is numbered on an axis that spans a factor of `wide` or more.
    """
    getattr(axes, f"set_{axis}scale")("log")
    which = getattr(axes, f"{axis}axis")
    which.set_major_locator(Decades(wide))
    which.set_minor_locator(NullLocator())
    which.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))


def set_titles(
    figure: Figure, axes: Sequence[Axes], parts: Sequence[pd.DataFrame], texts: Sequence[str] = ()
) -> None:
    """Title each panel with the dataset and encoder of its part, and its text.

    A dataset and encoder that all panels share become the title of the figure.
    """
    style, headings = _style.get(), [heading(part) for part in parts]
    shared = len(set(headings)) == 1
    if shared:
        figure.suptitle(wrapped(headings[0], figure.get_figwidth() - 0.4, style.title))
    for axis, above, text in zip(axes, headings, texts or [""] * len(headings), strict=True):
        set_title(axis, "\n".join(filter(None, ["" if shared else above, text])))


def set_title(axis: Axes, text: str) -> None:
    """Title a panel in lines that fit its width."""
    axis.set_title(wrapped(text, panel_width(axis) - 0.4, _style.get().text))


def _keep_titles_inside(figure: Figure, axes: Sequence[Axes]) -> None:
    """Move titles that would leave their panel's share of the figure.

    A title is centred over the axes, which labels to the left and names to the right push aside.
    """
    long = [axis for axis in axes if _title_width(axis) > panel_width(axis) / 2]
    engine = figure.get_layout_engine()
    if not long or engine is None:
        return
    engine.execute(figure)
    for axis in long:
        box, width, place = axis.get_position(), panel_width(axis), axis.get_subplotspec()
        left = width * place.colspan.start if place else 0.0
        # Drawn in pixels, letters are up to a twentieth wider than measured.
        half = 1.05 * _title_width(axis) / 2
        across = figure.get_figwidth()
        middle = (box.x0 + box.width / 2) * across
        middle = float(np.clip(middle, left + half, left + width - half))
        axis.title.set_x((middle / across - box.x0) / box.width)


def _title_width(axis: Axes) -> float:
    """Return the width of a panel's title in inches."""
    return inches(axis.get_title(), axis.title.get_fontsize())


def panel_width(axis: Axes) -> float:
    """Return the inches that a panel has with its numbers and labels."""
    place = axis.get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    return float(axis.figure.get_figwidth() / columns)  # type: ignore[union-attr]


def heading(part: pd.DataFrame) -> str:
    """Return dataset and encoder, with a warning against reading quality off synthetic vectors."""
    dataset, encoder = part["dataset"].iloc[0], part["encoder"].iloc[0]
    title = fitted(f"{dataset}, {encoder}" if encoder else str(dataset))
    return f"{title}\n{SYNTHETIC}" if is_synthetic(part) else title


def fitted(title: str) -> str:
    """Return the end of a title that is too long, as that of a path tells most."""
    return title if len(title) < 76 else f"…{title[-74:]}"


def needed(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return `frame`; raises NothingToShow if it has no row."""
    if frame.empty:
        raise NothingToShow(f"the table has {what}, so there is nothing to draw")
    return frame
