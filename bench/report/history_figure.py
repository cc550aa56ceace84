"""A history drawn over its commits: one file per figure, one panel per backend."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter

from bench.analysis.history import DRIFT, Change, Found, Series
from bench.analysis.palette import backend_colour
from bench.commits import short
from bench.errors import UsageError
from bench.figures._style import STYLES, panel_width, panels, set_title, small, styled
from bench.report.history import change_text
from bench.report.words import word
from bench.results.derived import ALL_COLUMNS

MOST_PANELS = 12
"""Most backends in a figure: those that changed come first."""
_DOTS = 3.0
"""Points that a measurement is wide."""
_ROOM = 0.35
"""Share of the levels' range that a panel leaves above and below them."""
_LEAST_ROOM = 0.01
"""The same of a panel whose levels are all equal."""
_TICK = 0.75
"""Inches that the name of a commit takes on an axis."""
_MOST_NAMED = 6
"""Most changes of a panel that are named; the others have their line alone."""


def save_history(found: Found, folder: Path, formats: Sequence[str] = ("png", "svg")) -> list[Path]:
    """Write one figure per figure of the history into `folder`; return the paths.

    Raises UsageError if the folder cannot be written.
    """
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in dict.fromkeys(series.figure for series in found.series):
            figure = draw_history(found, name)
            for kind in formats:
                paths.append(folder / f"history_{name}.{kind}")
                figure.savefig(paths[-1], dpi=STYLES["screen"].dpi)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written ({error.strerror or error})") from error
    return paths


def draw_history(found: Found, name: str) -> Figure:
    """Draw figure `name`, each series against its own first level: one panel per backend.

    Dots are measurements, lines the medians between changes; a drift is a slanted line. Dots that
    lie far outside are triangles at the edge.
    """
    groups: dict[tuple[str, str], list[Series]] = {}
    for each in found.series:
        if each.figure == name:
            groups.setdefault((str(each.place), each.backend), []).append(each)
    changes = [change for change in found.changes if change.figure == name]
    changed = {(str(c.series[0].place), c.series[0].backend) for c in changes}
    keys = sorted(groups, key=lambda key: (key not in changed, key))
    shown = keys[:MOST_PANELS]
    width = STYLES["screen"].width
    with (
        styled("screen"),
        mpl.rc_context({"figure.figsize": (width, width)}),
        panels(len(shown), columns=min(3, len(shown)), height=2.5) as (figure, axes),
    ):
        for axis, key in zip(axes, shown, strict=True):
            own = [c for c in changes if (str(c.series[0].place), c.series[0].backend) == key]
            _draw(axis, groups[key], own, found)
        figure.suptitle(_title(found, name, len(keys) - len(shown)))
    return figure


def _title(found: Found, name: str, more: int) -> str:
    places = {each.place for each in found.series if each.figure == name}
    better = ALL_COLUMNS[name].better
    texts = [f"{word(name)} from commit to commit; {better} is better"]
    if len(places) == 1:
        (place,) = places
        texts.append(", ".join(filter(None, [place.dataset, place.encoder, place.machine])))
    texts += [f"{more} backends without a change are left out"] if more else []
    return "\n".join(texts)


def _draw(axis: Axes, series: Sequence[Series], changes: Sequence[Change], found: Found) -> None:
    colour = backend_colour(series[0].backend)
    dots, levels = [], []
    for each in series:
        own = [change for change in changes if any(each is member for member in change.series)]
        values, lines = _levels(each, own)
        dots.append((each.commits, values))
        levels += [y for _, ys in lines for y in ys]
        for xs, ys in lines:
            axis.plot(xs, ys, color=colour, linewidth=1.4, alpha=0.75, solid_capstyle="butt")
    low, high = _limits(dots, levels)
    for commits, values in dots:
        for chosen, marker in (
            ((values >= low) & (values <= high), "o"),
            (values > high, "^"),
            (values < low, "v"),
        ):
            axis.plot(
                commits[chosen],
                np.clip(values[chosen], low, high),
                marker,
                color=colour,
                markersize=_DOTS if marker == "o" else 1.4 * _DOTS,
                markeredgewidth=0,
                alpha=0.3,
                zorder=1,
            )
    axis.set_ylim(low, high)
    axis.margins(x=0.03)
    for place, change in enumerate(sorted(changes, key=lambda change: change.at)):
        _mark(axis, change, place, found)
    _axes(axis, series, found)


def _levels(
    series: Series, changes: Sequence[Change]
) -> tuple[np.ndarray, list[tuple[list[float], list[float]]]]:
    """Return the values against the first level, and the lines of levels and drifts."""
    drifts = sorted((c for c in changes if c.kind == DRIFT), key=lambda c: c.before)
    cuts = {c.at for c in changes if c.kind != DRIFT}
    cuts |= {c.before for c in drifts} | {c.at + 1 for c in drifts}
    commits = series.commits
    ends = sorted({int(commits[0]), *cuts, int(commits[-1]) + 1})
    raw = []
    for begin, end in pairwise(ends):
        inside = (commits >= begin) & (commits < end)
        if not inside.any():
            continue
        drift = next((c for c in drifts if c.before <= begin <= c.at), None)
        xs = [begin - 0.5, end - 0.5]
        raw.append((xs, _line(series, inside, xs, drift.size if drift else 0.0)))
    first = raw[0][1][0]

    def against(value: np.ndarray) -> np.ndarray:
        return value / first - 1 if series.is_relative and first else value - first

    lines = [(xs, against(np.array(ys)).tolist()) for xs, ys in raw]
    return against(series.values), lines


def _line(series: Series, inside: np.ndarray, xs: Sequence[float], change: float) -> list[float]:
    """Return both ends of the line through the middle of some measurements, by its `change`."""
    share = (series.commits[inside] - xs[0]) / (xs[1] - xs[0])
    values = series.values[inside]
    if series.is_relative:
        middle = float(np.median(values / (1 + change * share)))
        return [middle, middle * (1 + change)]
    middle = float(np.median(values - change * share))
    return [middle, middle + change]


def _limits(
    dots: Sequence[tuple[np.ndarray, np.ndarray]], levels: Sequence[float]
) -> tuple[float, float]:
    """Return the ends of the y axis: all levels, and the measurements that lie near them."""
    values = np.concatenate([values for _, values in dots])
    low, high = min(levels), max(levels)
    noise = 5 * float(np.median(np.abs(values - np.median(values))))
    room = max(_ROOM * (high - low), min(noise, 0.3), _LEAST_ROOM)
    return low - room, high + 1.6 * room


def _mark(axis: Axes, change: Change, place: int, found: Found) -> None:
    at = (change.before + change.at) / 2 if change.kind == DRIFT else change.at - 0.5
    if change.kind != DRIFT:
        axis.axvline(at, color="0.25", linestyle="--", linewidth=0.8, zorder=0)
    if place >= _MOST_NAMED:
        return
    left, right = axis.get_xlim()
    late = at > (left + right) / 2
    name = short(found.commits[change.at][0])
    size = change_text(change).partition(" [")[0]
    some = f", {len(change.series)} of {change.of}" if change.of > 1 else ""
    what = f"drift to {name}" if change.kind == DRIFT else name
    axis.annotate(
        f"{what}\n{size}{some}",
        (at, 1 - 0.2 * (place % 2)),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if late else 3, -2),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top",
        fontsize=small(),
        color="#b00020" if change.is_worse else "#00642f",
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def _axes(axis: Axes, series: Sequence[Series], found: Found) -> None:
    measured = sorted({int(at) for each in series for at in each.commits})
    many = max(2, int((panel_width(axis) - 0.8) / _TICK))
    places = np.unique(np.linspace(0, len(measured) - 1, min(many, len(measured))).round())
    ticks = [measured[int(place)] for place in places]
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_major_formatter(FixedFormatter([short(found.commits[t][0]) for t in ticks]))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _signed(y, series[0].is_relative)))
    axis.set_ylabel("against the first commits")
    count = len(series)
    set_title(axis, f"{series[0].backend}, {count} configuration{'s' if count > 1 else ''}")


def _signed(value: float, is_share: bool) -> str:
    """Return a tick's number: ``+20%``, ``-0.01`` or ``0``."""
    if abs(value) < 1e-12:
        return "0"
    return f"{100 * value:+.3g}%" if is_share else f"{value:+.3g}"
