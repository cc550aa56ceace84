"""Every way to pay less for a vector, at equal bytes."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures._style import COLUMN, look, needed, panels, plain_log
from bench.tables import exact_rows, groups, quality_of, stored

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
    with panels(2 * len(datasets), columns=2, width=1.15 * COLUMN, height=3.6) as (figure, axes):
        for (left, right), part in zip(zip(axes[::2], axes[1::2], strict=True), datasets, strict=True):
            several = part["encoder"].nunique() > 1
            tables = [
                (f"{encoder.split('/')[-1]} " if several else "", stored(rows)) for (_, encoder), rows in groups(part)
            ]
            _lines(left, tables, by="variant")
            _lines(right, tables, by="precision")
            for axis, title in ((left, "shortened, float32"), (right, "stored at lower precision")):
                plain_log(axis, "x")
                axis.set_ylim(bottom=0)
                axis.set_xlabel("bytes a vector")
                axis.set_ylabel(quality_of(part).label)
                axis.set_title(f"{part['dataset'].iloc[0]}: {title}".replace("$", r"\$"))
                axis.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
    return figure


def _lines(axis: Axes, tables: list[tuple[str, pd.DataFrame]], by: str) -> None:
    position = 0
    for prefix, table in tables:
        shown = table[table["precision"] == "float32"] if by == "variant" else _compared(table)
        for name, line in shown.groupby(["variant"] if by == "variant" else ["variant", "precision"], sort=False):
            curve = line.groupby("bytes").agg(quality=("quality", "mean"), low=("low", "min"), high=("high", "max"))
            seeds = line.groupby("bytes")["quality"].agg(["min", "max"]) if line["bytes"].duplicated().any() else None
            style = look(position)
            axis.plot(curve.index, curve["quality"], label=prefix + " ".join(name), **style)
            low, high = (curve["low"], curve["high"]) if seeds is None else (seeds["min"], seeds["max"])
            axis.fill_between(curve.index, low, high, color=style["color"], alpha=0.1, lw=0)
            position += 1


def _compared(table: pd.DataFrame) -> pd.DataFrame:
    """Keep truncation and, of the learned maps stored at several precisions, the best."""
    several = table.groupby("variant")["precision"].nunique()
    others = [v for v in several.index[several > 1] if v.startswith("adaptor")]
    best = max(others, key=lambda v: table.loc[table["variant"] == v, "quality"].max(), default=None)
    return table[table["variant"].isin(["truncate", best])]
