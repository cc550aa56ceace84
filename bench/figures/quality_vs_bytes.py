"""Draw quality against bytes per vector, for each way to shorten a vector and to store it."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.tables import competitive, stored
from bench.encoders._names import in_words
from bench.errors import NothingToShow
from bench.figures._style import (
    Look,
    fitted,
    needed,
    panels,
    plain_log,
    precision_look,
    reducer_look,
    reducer_name,
    set_title,
    variant_look,
)
from bench.reducers import LEARNED, PREFIX
from bench.results.rows import UNCOMPRESSED, exact_rows, groups, quality_of

TITLE = "Quality against bytes per vector: reducers and precisions"
CAPTION = (
    "Up and to the left is better. Bytes are those of the stored vector alone, and search is "
    "exhaustive. "
    "A panel “reducers” compares ways to shorten a float32 vector. "
    "A panel “precisions” compares ways to store a vector. "
    "There the vectors are those of truncation and of the best learned map. "
    "Of many precisions, float32 and those that come nearest to the best of as many bytes are "
    "shown. "
    "The shaded bands are 95 % intervals, or ranges over seeds."
)
_Lines = list[tuple[str, pd.DataFrame, Look]]
"""Names, rows of `stored` and looks."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw at most two panels per dataset, reducers and precisions; encoders share a panel.

    A panel of a single line is left out. Raises NothingToShow if no panel is left.
    """
    needed(exact_rows(frame), "no row of the exact pass")
    names = [str(name) for name in frame["encoder"].unique()]
    drawn = [
        (part, text, lines)
        for _, part in frame.groupby("dataset", sort=False)
        for text, choose in _PANELS.items()
        if len(lines := _lines(part, choose, names)) > 1
    ]
    if not drawn:
        raise NothingToShow("the table has one reducer and one precision, so nothing to compare")
    with panels(len(drawn), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, (part, text, lines) in zip(axes, drawn, strict=True):
            for name, line, style in lines:
                _draw_line(axis, line, name, style)
            plain_log(axis, "x")
            axis.set_ylim(bottom=0)
            axis.set_xlabel("bytes per vector")
            axis.set_ylabel(quality_of(part).label)
            set_title(axis, f"{fitted(str(part['dataset'].iloc[0]))}\n{text}")
    return figure


def _lines(
    part: pd.DataFrame, choose: Callable[[pd.DataFrame, int], _Lines], names: list[str]
) -> _Lines:
    """Return the lines of one panel, those of each encoder of a dataset.

    Of several encoders each has the look of its place in `names`, the same in every panel.
    """
    several = part["encoder"].nunique() > 1
    found = []
    for (_, encoder), rows in groups(part):
        position = names.index(str(encoder)) if several else 0
        prefix = f"{in_words(encoder)} " if several else ""
        found += [(f"{prefix}{name}", *rest) for name, *rest in choose(stored(rows), position)]
    return found


def _reducers(table: pd.DataFrame, encoder: int) -> _Lines:
    """Return a line per reducer, truncation first; encoders differ in line and fill."""
    rows = table[table["precision"] == UNCOMPRESSED]
    found = []
    for (_, variant), line in rows.groupby([rows["kind"] != PREFIX, "variant"]):
        style = reducer_look(variant) | (variant_look(encoder) if encoder else {})
        found.append((reducer_name(variant, line["kind"].iloc[0]), line, style))
    return found


def _precisions(table: pd.DataFrame, encoder: int) -> _Lines:
    """Return a line per precision of truncation and of the best learned map, most bits first."""
    table = competitive(_compared(table))
    if table["precision"].nunique() < 2:
        return []
    found = []
    for (_, precision, _, variant), line in table.groupby(
        [-table["bits"], "precision", table["kind"] != PREFIX, "variant"]
    ):
        kind = line["kind"].iloc[0]
        style = precision_look(precision) | variant_look(2 * encoder + (kind != PREFIX))
        found.append((f"{reducer_name(variant, kind)}, {precision.replace('_', ' ')}", line, style))
    return found


_PANELS = {"reducers": _reducers, "precisions": _precisions}


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """Keep truncation and, of the learned maps stored at several precisions, the best."""
    learned = table[table["kind"] == LEARNED]
    several = learned.groupby("variant")["precision"].nunique()
    others = list(several.index[several > 1])
    best = max(others, key=lambda v: table.loc[table["variant"] == v, "quality"].max(), default="")
    return table[(table["kind"] == PREFIX) | (table["variant"] == best)]


def _draw_line(axis: Axes, line: pd.DataFrame, name: str, style: Look) -> None:
    curve = line.groupby("bytes").agg(
        quality=("quality", "mean"),
        low=("low", "min"),
        high=("high", "max"),
        least=("quality", "min"),
        most=("quality", "max"),
    )
    axis.plot(curve.index, curve["quality"], label=name, **style)
    seeds = bool(line["bytes"].duplicated().any())
    low, high = ("least", "most") if seeds else ("low", "high")
    axis.fill_between(curve.index, curve[low], curve[high], color=style["color"], alpha=0.1, lw=0)
