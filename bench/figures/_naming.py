"""Name the lines of a figure: at their right ends where there is room, else in a legend below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from bench.figures._text import high, inches, wrapped

MOST_AT_ENDS = 7
"""Most lines of a panel that are named at their ends."""
_MOST_COLUMNS, _MOST_PANELS = 2, 4
"""Panels side by side, and in all; with more of them one legend is shorter."""
_SHARE = 0.32
"""Share of a panel's width that names may take."""
_WIDEST = 2.4
_MOST_LINES = 3
"""Inches, and lines of text, of one name."""
_FARTHEST = 0.25
"""Share of a panel's height that a name may stand above or below the end of its line."""
_GAP = 5
"""Points between the panel and a name."""
_CONTRAST = 3.0
"""Least contrast of a name with white, as WCAG 2.1 asks of large text and graphics."""
_HANDLE = 4
"""Length of a line in the legend, in sizes of its text."""


@dataclass(frozen=True)
class _End:
    """The right end of a line, in shares of the panel's width and height."""

    name: str
    x: float
    y: float
    colour: str


def name_lines(figure: Figure, axes: Sequence[Axes], points: float, at_ends: bool) -> None:
    """Name what is labelled in the panels, in letters of so many `points`.

    A line labelled ``_name`` goes on where the line ``name`` ends. The legend makes the figure
    higher.
    """
    if not (at_ends and _at_ends(figure, axes, points)):
        _legend_below(figure, axes, points)


def spread(
    wanted: Sequence[float], sizes: Sequence[float], low: float, high: float
) -> list[float] | None:
    """Return the centres of intervals that do not overlap, each as near as can be to `wanted`.

    `sizes` are their lengths; all lie between `low` and `high`, in the order of `wanted`. None if
    they have no room. Source: the pool of adjacent violators, Barlow et al. 1972.
    """
    if sum(sizes) > high - low:
        return None
    blocks: list[list[int]] = []

    def length(block: list[int]) -> float:
        return sum(sizes[i] for i in block)

    def start(block: list[int]) -> float:
        before, starts = 0.0, []
        for i in block:
            starts.append(wanted[i] - before - sizes[i] / 2)
            before += sizes[i]
        return min(max(sum(starts) / len(starts), low), high - before)

    for i in sorted(range(len(wanted)), key=lambda i: wanted[i]):
        blocks.append([i])
        while len(blocks) > 1 and start(blocks[-2]) + length(blocks[-2]) > start(blocks[-1]):
            last = blocks.pop()
            blocks[-1] += last
    found = [0.0] * len(wanted)
    for block in blocks:
        at = start(block)
        for i in block:
            found[i] = at + sizes[i] / 2
            at += sizes[i]
    return found


def ink(colour: str) -> str:
    """Return a colour dark enough for letters on white, ``#rrggbb``, of the same hue."""
    shade = np.array(mpl.colors.to_rgb(colour))
    while 1.05 / (_luminance(shade) + 0.05) < _CONTRAST:
        shade = 0.95 * shade
    return mpl.colors.to_hex(tuple(shade))


def _luminance(rgb: np.ndarray) -> float:
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _at_ends(figure: Figure, axes: Sequence[Axes], points: float) -> bool:
    """Name every line at its end; return whether there was room, else nothing is drawn."""
    place = axes[0].get_subplotspec()
    columns = place.get_gridspec().ncols if place else 1
    if columns > _MOST_COLUMNS or len(axes) > _MOST_PANELS:
        return False
    room = min(_WIDEST, _SHARE * figure.get_figwidth() / columns)
    found = [_ends(axis) for axis in axes]
    if not any(found):
        return False
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)  # only now are the heights of the panels known
    placed = []
    for axis, ends in zip(axes, found, strict=True):
        if ends is None or len(ends) > MOST_AT_ENDS:
            return False
        names = [wrapped(end.name, room, points) for end in ends]
        tall = axis.get_position().height * figure.get_figheight()
        sizes = [high(name, points) / tall for name in names]
        ys = spread([end.y for end in ends], sizes, -0.02, 1.06)
        if ys is None or any(
            abs(y - end.y) > _FARTHEST
            or inches(name, points) > room
            or name.count("\n") >= _MOST_LINES
            for y, end, name in zip(ys, ends, names, strict=True)
        ):
            return False
        placed.append((axis, list(zip(ends, names, sizes, ys, strict=True))))
    for axis, labels in placed:
        for end, name, size, y in labels:
            _write(axis, end, name, y, points, abs(y - end.y) > size / 3 or end.x < 0.97)
    return True


def _write(axis: Axes, end: _End, name: str, y: float, points: float, led: bool) -> None:
    """Write a name right of the panel, `led` to by a thin line from the end of its own."""
    figure: Any = axis.figure
    beside = axis.transAxes + ScaledTranslation(_GAP / 72, 0, figure.dpi_scale_trans)
    arrow = {
        "arrowstyle": "-",
        "color": end.colour,
        "lw": 0.5,
        "alpha": 0.7,
        "shrinkA": 0,
        "shrinkB": 0,
        "relpos": (0, 0.5),
    }
    axis.annotate(
        name,
        xy=(end.x, end.y),
        xycoords="axes fraction",
        xytext=(1, y),
        textcoords=beside,
        ha="left",
        va="center",
        fontsize=points,
        color=ink(end.colour),
        linespacing=1.1,
        annotation_clip=False,
        arrowprops=arrow if led else None,
        parse_math=False,
    )


def _ends(axis: Axes) -> list[_End] | None:
    """Return the end of each labelled line or band; None if something else is labelled."""
    axis.get_xlim(), axis.get_ylim()  # limits that wait for the next drawing are computed
    found: dict[str, _End] = {}
    for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
        if isinstance(handle, Line2D):
            own = [line for line in axis.lines if str(line.get_label()).removeprefix("_") == name]
            at = np.concatenate([_points(line) for line in own])
            colour: Any = handle.get_color()
        elif isinstance(handle, PolyCollection):
            at = handle.get_transform().transform(handle.get_paths()[0].vertices)
            edge = at[:, 0] >= at[:, 0].max() - 0.5
            at = at[edge].mean(axis=0, keepdims=True)
            colour = tuple(np.asarray(handle.get_facecolor())[0])
        else:
            return None
        at = at[np.isfinite(at).all(axis=1)]
        if not len(at):
            continue
        # Of several points at the right end, the last drawn: a line may turn upwards there.
        last = np.flatnonzero(at[:, 0] == at[:, 0].max())[-1]
        x, y = axis.transAxes.inverted().transform(at[last])
        found[name] = _End(name, min(max(x, 0), 1), min(max(y, 0), 1), mpl.colors.to_hex(colour))
    return list(found.values())


def _points(line: Line2D) -> np.ndarray:
    return np.asarray(line.get_transform().transform(line.get_xydata()))


def _legend_below(figure: Figure, axes: Sequence[Axes], points: float) -> None:
    handles: dict[str, Any] = {}
    for axis in axes:
        for handle, name in zip(*axis.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    if not handles:
        return
    width, height = figure.get_size_inches()
    # The line, and the spaces around it that matplotlib leaves by default.
    beside = (_HANDLE + 3.2) * points / 72
    names = [wrapped(name, width - beside - 0.15, points) for name in handles]
    entry = beside + max(inches(name, points) for name in names)
    rows = -(-len(names) // max(1, int(width / entry)))
    columns = -(-len(names) // rows)
    figure.legend(
        handles.values(), names, loc="outside lower center", ncols=columns, handlelength=_HANDLE
    )
    # matplotlib fills the columns one after the other.
    tallest = max(
        sum(1 + name.count("\n") for name in names[first : first + rows])
        for first in range(0, len(names), rows)
    )
    lines = tallest + 0.25 * rows
    figure.set_figheight(height + 0.1 + LINE_OF_LEGEND * lines * points / 72)


LINE_OF_LEGEND = 1.22
"""Height of a line in the legend, in sizes of its text."""
