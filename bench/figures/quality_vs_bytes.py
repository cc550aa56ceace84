"""Every way to pay less for a vector, at equal bytes."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.tables import stored
from bench.figures._style import COLUMN, look, needed, panels, plain_log
from bench.reducers import LEARNED, PREFIX
from bench.results.rows import UNCOMPRESSED, exact_rows, groups, quality_of

TITLE = "Quality against bytes a vector: ways to shorten it, and ways to store it"
ORDER = 4
CAPTION = (
    "Bytes of the vector alone, exhaustive search. On the left every method stores float32: what is above truncation at equal bytes "
    "makes better use of them, and what is owed to Matryoshka training is the distance from the random subset. On the right truncation "
    "and the best learned map, at each precision. Shaded: 95 % intervals (of several seeds, from the least to the most)."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw quality against bytes, two panels a dataset; several encoders share them."""
    needed(exact_rows(frame), "no row of the exact pass")
    datasets = [part for _, part in frame.groupby("dataset", sort=False)]
    with panels(2 * len(datasets), columns=2, width=1.4 * COLUMN, height=3.6) as (figure, axes):
        for (left, right), part in zip(
            zip(axes[::2], axes[1::2], strict=True), datasets, strict=True
        ):
            several = part["encoder"].nunique() > 1
            tables = [
                (f"{encoder.split('/')[-1]} " if several else "", stored(rows))
                for (_, encoder), rows in groups(part)
            ]
            _by_variant(left, tables)
            _by_precision(right, tables)
            for axis, title in ((left, "shortened, float32"), (right, "stored at lower precision")):
                plain_log(axis, "x")
                axis.set_ylim(bottom=0)
                axis.set_xlabel("bytes a vector")
                axis.set_ylabel(quality_of(part).label)
                axis.set_title(f"{part['dataset'].iloc[0]}: {title}".replace("$", r"\$"))
                axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=6.5)
    return figure


def _by_variant(axis: Axes, tables: list[tuple[str, pd.DataFrame]]) -> None:
    """Draw a line for each way to shorten."""
    lines = [
        (line["kind"].iloc[0] != PREFIX, f"{prefix}{name}", line)
        for prefix, table in tables
        for name, line in table[table["precision"] == UNCOMPRESSED].groupby("variant", sort=False)
    ]
    for position, (_, name, line) in enumerate(sorted(lines, key=lambda item: item[0])):
        _line(axis, line, name, look(position))


def _by_precision(axis: Axes, tables: list[tuple[str, pd.DataFrame]]) -> None:
    """Draw a line for each precision: solid for truncation, dotted for the best learned map."""
    shown = [(prefix, _compared(table)) for prefix, table in tables]
    order = sorted({p for _, table in shown for p in table["precision"]})
    for shift, (prefix, table) in enumerate(shown):
        for (name, kind, precision), line in table.groupby(["variant", "kind", "precision"]):
            position, plain = order.index(precision) + shift * len(order), kind == PREFIX
            style = {
                **look(position),
                "linestyle": "-" if plain else ":",
                "fillstyle": "full" if plain else "none",
            }
            _line(axis, line, f"{prefix}{name} {precision}", style)


def _line(axis: Axes, line: pd.DataFrame, name: str, style: dict[str, Any]) -> None:
    curve = line.groupby("bytes").agg(
        quality=("quality", "mean"),
        low=("low", "min"),
        high=("high", "max"),
        least=("quality", "min"),
        most=("quality", "max"),
    )
    axis.plot(curve.index, curve["quality"], label=name.replace("_", " "), **style)
    seeds = bool(line["bytes"].duplicated().any())
    low, high = ("least", "most") if seeds else ("low", "high")
    axis.fill_between(curve.index, curve[low], curve[high], color=style["color"], alpha=0.1, lw=0)


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """Keep truncation and, of the learned maps stored at several precisions, the best."""
    learned = table[table["kind"] == LEARNED]
    several = learned.groupby("variant")["precision"].nunique()
    others = list(several.index[several > 1])
    best = max(others, key=lambda v: table.loc[table["variant"] == v, "quality"].max(), default="")
    return table[(table["kind"] == PREFIX) | (table["variant"] == best)]
