"""Charts of bars and cells: dimension by bits, ranks by dimension, losses by configuration."""

from __future__ import annotations

import altair as alt
import pandas as pd

from bench.analysis.labels import labels
from bench.analysis.tables import evenly, front, stored, worth_showing
from bench.reducers import PREFIX
from bench.report.page.charts._spec import HEIGHT, Source, base, chart, colours, tips
from bench.report.page.document import Chart
from bench.results.rows import timed

RANKS = {"1": 1, "2–3": 3, "4–10": 10, "11–100": 100, "beyond 100": None}
"""Classes of ranks by name, with the last rank of each."""
_RANK_COLOURS = ("#08519c", "#4292c6", "#9ecae1", "#fdae6b", "#d94801")
_MOST_BARS = 12
_PARTS = {"loss_dimension": "dimension", "loss_precision": "precision", "loss_search": "search"}
_PART_COLOURS = {"dimension": "#332288", "precision": "#cc6677", "search": "#ddcc77"}
_SHARE = ".1%"
_ROW_HEIGHT = 18
"""Pixels that the number in a cell needs."""


def dimension_by_bits(source: Source) -> Chart | None:
    """Draw the share kept by truncation at each dimension and precision, as cells."""
    table = stored(source.frame)
    rows = table[(table["kind"] == PREFIX) & table["bits"].notna()]
    if rows["precision"].nunique() < 2:
        return None
    order = rows.sort_values("bits", ascending=False)["precision"].drop_duplicates().tolist()
    heads = {
        "dim": "dimension",
        "precision": "precision",
        "bytes": "bytes per vector",
        "retained": "share kept",
    }
    drawn = base().encode(
        x=alt.X("dim:O", title="dimension", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("precision:N", sort=order, title=None),
        tooltip=[
            *tips({"dim:O": "dimension", "precision:N": "precision", "bytes:Q": "bytes"}),
            alt.Tooltip("retained:Q", title="share kept", format=_SHARE),
        ],
    )
    scale = alt.Scale(scheme="viridis", domain=[0.3, 1.0], clamp=True)
    return chart(
        "dimension_by_bits",
        "Share kept by dimension and precision",
        "Exhaustive search of truncated vectors, over exact search of float32 at the full "
        "dimension. Cells of equal bytes lie on diagonals.",
        heads,
        rows.sort_values(["bits", "dim"])[[*heads]],
        drawn.mark_rect().encode(color=alt.Color("retained:Q", scale=scale, legend=None)),
        drawn.mark_text(fontSize=11).encode(
            text=alt.Text("retained:Q", format=".0%"),
            color=alt.condition("datum.retained > 0.72", alt.value("black"), alt.value("white")),
        ),
        height=max(HEIGHT, _ROW_HEIGHT * len(order)),
    )


def rank_shift(source: Source) -> Chart | None:
    """Draw in which class of ranks the best relevant document stands, by dimension."""
    ranks = source.ranks
    if ranks.empty:
        return None
    found = []
    for dim in sorted(ranks.columns):
        own, before = ranks[dim].dropna(), 0
        for place, (name, last) in enumerate(RANKS.items()):
            inside = (own > before) & (own <= (own.max() if last is None else last))
            found.append((int(dim), name, place, float(inside.mean())))
            before = last or before
    rows = pd.DataFrame(found, columns=["dim", "series", "place", "share"])
    shades = dict(zip(RANKS, _RANK_COLOURS, strict=True))
    return chart(
        "rank_shift",
        "Where the best relevant document stands",
        "Exact search of truncated vectors: the share of queries whose best relevant document has "
        "such a rank. A rescore can bring back what its shortlist still holds.",
        {"dim": "dimension", "series": "rank", "share": "share of queries"},
        rows,
        base()
        .mark_bar()
        .encode(
            x=alt.X("dim:O", title="dimension", axis=alt.Axis(labelAngle=0)),
            y=alt.Y("share:Q", title="share of queries", axis=alt.Axis(format="%")).scale(
                domain=[0, 1]
            ),
            color=colours([*RANKS], shades.__getitem__, "rank"),
            order="place:O",
            tooltip=[
                *tips({"dim:O": "dimension", "series:N": "rank"}),
                alt.Tooltip("share:Q", title="share of queries", format=_SHARE),
            ],
        ),
    )


def loss(source: Source) -> Chart | None:
    """Draw what the Pareto-optimal configurations lose by dimension, precision and search."""
    rows = timed(source.frame).dropna(subset=[*_PARTS])
    if rows.empty:
        return None
    shown = evenly(worth_showing(front(rows)), _MOST_BARS)
    named = labels(source.frame, shown.index)
    table = pd.DataFrame(
        [
            (named[i], part, place, row[column], row["latency_ms_p50"])
            for i, row in shown.iterrows()
            for place, (column, part) in enumerate(_PARTS.items())
        ],
        columns=["configuration", "series", "place", "loss", "ms"],
    )
    order = alt.EncodingSortField("ms", op="min")
    return chart(
        "loss",
        "Where the Pareto-optimal configurations lose quality",
        "Against exact search at the full dimension. The three parts add up; one that points left "
        "is a gain. The fastest configuration stands at the top.",
        {"configuration": "configuration", "series": "lost by", "loss": "nDCG@10 lost"},
        table,
        base()
        .mark_bar()
        .encode(
            x=alt.X("loss:Q", title="nDCG@10 lost", axis=alt.Axis(tickCount=5)),
            y=alt.Y("configuration:N", sort=order, title=None, axis=alt.Axis(labelLimit=330)),
            color=colours([*_PART_COLOURS], _PART_COLOURS.__getitem__, "lost by"),
            order="place:O",
            tooltip=[
                *tips({"configuration:N": "configuration", "series:N": "lost by"}),
                alt.Tooltip("loss:Q", title="nDCG@10 lost", format=".4f"),
            ],
        ),
    )
