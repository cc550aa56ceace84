"""Draw quality against the bytes of vectors that a search reads, one line per method."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.labels import variants
from bench.figures._style import (
    backend_look,
    needed,
    panels,
    plain_log,
    precision_line,
    reducer_name,
    set_titles,
)
from bench.reducers import PREFIX
from bench.results.rows import (
    UNCOMPRESSED,
    exact_rows,
    groups,
    pareto,
    plain,
    quality_of,
    timed,
    two_stage,
)

TITLE = "Quality against bytes read per query"
CAPTION = (
    "Up and to the left is better: the same quality from fewer bytes. "
    "Each line is the front of one method over its dimensions and settings. "
    "Bytes are those of vectors, of centroids and of the lengths that bounds need. "
    "Later stages of a search are counted too. "
    "The dotted line is exact search of whole vectors: a method that touches it loses nothing. "
    "Indexes that do not count what they read are left out."
)
_METHOD = ["backend", "precision", "several", "variant", "kind"]


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one panel per dataset and encoder, over the timed trials whose bytes are known.

    Raises NothingToShow if there is none.
    """
    rows = timed(frame)
    rows = needed(rows[rows["bytes_read"] > 0], "no timed trial says how many bytes it reads")
    parts = [(part, frame[_same(frame, part)]) for _, part in groups(rows)]
    with panels(len(parts), columns=2, height=4.2) as (figure, axes):
        for axis, (part, whole) in zip(axes, parts, strict=True):
            _draw_panel(axis, part, whole)
        set_titles(figure, axes, [part for part, _ in parts])
    return figure


def _same(frame: pd.DataFrame, part: pd.DataFrame) -> pd.Series:
    """Return which rows are of the dataset and encoder of `part`, bool."""
    first = part.iloc[0]
    return (frame["dataset"] == first["dataset"]) & (frame["encoder"] == first["encoder"])


def _draw_panel(axis: Axes, part: pd.DataFrame, whole: pd.DataFrame) -> None:
    quality = quality_of(part)
    named = part.assign(several=two_stage(part), variant=variants(part), kind=part["reducer_kind"])
    for (backend, precision, several, variant, kind), rows in named.groupby(_METHOD, sort=False):
        front = rows[pareto(rows, [quality.column], ["bytes_read"])].sort_values("bytes_read")
        words = [str(backend)]
        words += [] if precision == UNCOMPRESSED else [str(precision).replace("_", " ")]
        words += [] if kind == PREFIX else [reducer_name(variant, kind)]
        words += ["several stages"] if several else []
        axis.plot(
            front["bytes_read"],
            front[quality.column],
            label=", ".join(words),
            linestyle="-." if kind != PREFIX else precision_line(str(precision)),
            fillstyle="none" if several else "full",
            **backend_look(str(backend)),
        )
    exact = plain(exact_rows(whole))
    full = exact.loc[exact["dim"] == exact["full_dim"], quality.column]
    if len(full):
        axis.axhline(full.iloc[-1], color="black", lw=0.8, ls=":", label="exact, whole vectors")
    plain_log(axis, "x")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("bytes of vectors read per query")
    axis.set_ylabel(quality.label)
