"""What the figures share: sizes for a paper's column, colours that the colour-blind can tell apart, one look a backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.analysis.tables import SYNTHETIC
from bench.errors import UsageError
from bench.results.rows import is_synthetic

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Okabe & Ito 2008, told apart with every common colour blindness; markers and lines differ too, for grey printing."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":")
COLUMN = 3.5
"""Inches, the width of a paper's column."""
_RC: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "lines.markersize": 4,
    "lines.linewidth": 1.2,
    "legend.frameon": False,
    "svg.fonttype": "path",
}


@contextmanager
def panels(
    count: int, columns: int = 1, width: float = COLUMN, height: float = 2.6
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give a figure of `count` panels, `columns` a row, each `width` × `height` inches."""
    rows = -(-count // columns)
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(width * min(columns, count), height * rows), layout="constrained")
        axes = figure.subplots(rows, min(columns, count), squeeze=False).ravel()
        for unused in axes[count:]:
            unused.set_axis_off()
        yield figure, list(axes[:count])


def look(position: int) -> dict[str, Any]:
    """Return colour, marker and line of the series at `position`."""
    again = position // len(COLOURS)
    return {
        "color": COLOURS[position % len(COLOURS)],
        "marker": MARKERS[(position + again // 2) % len(MARKERS)],
        "linestyle": LINES[(position + again) % len(LINES)],
        "fillstyle": ("full", "none")[again % 2],
    }


def looks(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a look for each of `names`, the same for the same set of names."""
    return {name: look(i) for i, name in enumerate(sorted(set(names)))}


def dimension_axis(axes: Axes, dimensions: Sequence[int]) -> None:
    """Make the x axis one of dimensions: logarithmic, with those measured as its ticks."""
    ticks = sorted(set(dimensions))
    axes.set_xscale("log", base=2)
    shown = [
        d
        for i, d in enumerate(ticks)
        if i in (0, len(ticks) - 1) or (ticks[-1] / d > 1.4 and d / ticks[i - 1] > 1.2)
    ]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    # Every measured dimension has a tick; those too close to a neighbour have no number.
    axes.xaxis.set_minor_locator(FixedLocator([d for d in ticks if d not in shown]))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("dimension")


def plain_log(axes: Axes, axis: str, wide: float = 300) -> None:
    """Make an axis logarithmic with plain numbers at 1, 2 and 5 of each decade, at 1 alone where it spans `wide` or more."""
    getattr(axes, f"set_{axis}scale")("log")
    which = getattr(axes, f"{axis}axis")
    low, high = getattr(axes, f"get_{axis}lim")()
    which.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < wide else (1,)))
    which.set_minor_locator(NullLocator())
    which.set_major_formatter(
        FuncFormatter(
            lambda value, _: f"{value / 1000:,g}k" if value >= 10_000 else f"{value:,.10g}"
        )
    )


def heading(part: pd.DataFrame) -> str:
    """Return the title of a panel: dataset, encoder, and what it must not be used for."""
    dataset, encoder = part["dataset"].iloc[0], part["encoder"].iloc[0]
    title = f"{dataset}, {encoder}" if encoder else str(dataset)
    title = title if len(title) < 48 else f"…{title[-46:]}"
    # A path may hold a dollar sign, which would begin a formula.
    title = title.replace("$", r"\$")
    return f"{title}\n{SYNTHETIC}" if is_synthetic(part) else title


def legend_below(figure: Figure, axes: Sequence[Axes], columns: int) -> None:
    """Put one legend for all of `axes` under the figure."""
    handles: dict[str, Any] = {}
    for axis in axes:
        handles |= {
            name: handle for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)
        }
    figure.legend(
        handles.values(),
        handles.keys(),
        loc="outside lower center",
        ncols=min(len(handles), columns),
    )


def needed(frame: pd.DataFrame, what: str) -> pd.DataFrame:
    """Return `frame`, or raise UsageError when it has no row."""
    if frame.empty:
        raise UsageError(f"the table has {what}, so there is nothing to draw")
    return frame
