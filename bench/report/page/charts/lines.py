"""Charts of lines: quality against dimension, bytes and documents; throughput against latency."""

from __future__ import annotations

import altair as alt
import pandas as pd

from bench.analysis.labels import labels
from bench.analysis.palette import COLOURS, precision_colour, reducer_colour
from bench.analysis.tables import (
    competitive,
    curves,
    dimension_table,
    evenly,
    stored,
    subset_band,
    truncation,
)
from bench.reducers import LEARNED, PLAIN, PREFIX
from bench.report.page.charts._spec import (
    Source,
    base,
    chart,
    colours,
    log_x,
    shapes,
    tips,
)
from bench.report.page.document import Chart
from bench.results.rows import bm25_rows, exact_rows, loads, plain, quality_of

_MOST_DIMENSIONS = 6
_RAMP = ("#440154", "#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d")
"""Dark for short vectors: places of matplotlib's map “viridis”."""
_TRUNCATION, _SUBSETS, _BM25 = "truncation", "random subsets", "BM25"
_OWN = {_TRUNCATION: reducer_colour(PLAIN), _SUBSETS: "#777777", _BM25: "#000000"}
_BOUNDS = {"low": "low", "high": "high"}


def quality_by_dimension(source: Source) -> Chart | None:
    """Draw exact search of every reducer, with the bands of truncation and of random subsets."""
    frame = source.frame
    table = dimension_table(frame)
    own = truncation(table)
    if own.empty:
        return None
    quality = quality_of(frame)
    parts = [own.assign(series=_TRUNCATION, kind="line")]
    parts += [c.assign(series=n, kind="line") for n, c in curves(table).items()]
    if len(bands := subset_band(frame)):
        bands = bands.rename(columns={"median": "quality"})
        parts.append(bands.assign(series=_SUBSETS, kind="band"))
    for value in bm25_rows(frame)[quality.column].tail(1):
        words = pd.DataFrame({"quality": [value]}, index=[own.index.max()])
        parts.append(words.assign(series=_BM25, kind="rule"))
    rows = pd.concat([part.rename_axis("dim").reset_index() for part in parts])
    rows = rows[["series", "kind", "dim", "quality", *_BOUNDS]]
    names = list(dict.fromkeys(rows["series"]))
    colour = colours(names, lambda name: _OWN.get(name) or reducer_colour(name))
    colour = colour.legend(symbolType="stroke", symbolStrokeWidth=3)
    # A variant has the colour of its reducer, so it is dashed.
    dashes = alt.Scale(
        domain=names, range=[[5, 3] if " " in n and n != _SUBSETS else [1, 0] for n in names]
    )
    dash = alt.StrokeDash("series:N", scale=dashes, title=None)
    x = log_x("dim", "dimension", sorted(int(d) for d in own.index))
    y = alt.Y("quality:Q", title=f"{quality.label} of exact search")
    heads = {"series": "reducer", "dim": "dimension", "quality": quality.label, **_BOUNDS}
    tip = tips(
        {
            "series:N": "reducer",
            "dim:Q": "dimension",
            "quality:Q": quality.label,
            "low:Q": "low",
            "high:Q": "high",
        }
    )
    return chart(
        "quality_by_dimension",
        "Quality against dimension",
        "Exact search, so no index is to blame. The bands are the 95 % interval of truncation over "
        "queries and what 95 % of random subsets of as many coordinates find. The horizontal line "
        "is BM25, which needs no vectors.",
        heads,
        rows,
        base(f"datum.kind == 'band' || datum.series == '{_TRUNCATION}'")
        .mark_area(opacity=0.2)
        .encode(x=x, y="low:Q", y2="high:Q", color=colour),
        base("datum.kind == 'line'")
        .mark_line(point=True)
        .encode(x=x, y=y, color=colour, strokeDash=dash, tooltip=tip),
        base("datum.kind == 'rule'")
        .mark_rule(strokeWidth=1.5)
        .encode(y=y, color=colour, tooltip=tip),
    )


def quality_by_bytes(source: Source) -> Chart | None:
    """Draw exhaustive search at every precision, for truncation, PCA and adaptors."""
    table = competitive(stored(source.frame).dropna(subset=["bytes", "quality"]))
    rows = table[table["kind"].isin([PREFIX, LEARNED]) | (table["variant"] == "pca")]
    if rows.empty:
        return None
    quality = quality_of(source.frame)
    rows = rows.rename(columns={"precision": "series"}).sort_values("bytes", ascending=False)
    rows["variant"] = rows["variant"].where(rows["variant"] != PLAIN, _TRUNCATION)
    heads = {
        "series": "precision",
        "variant": "reducer",
        "dim": "dimension",
        "bytes": "bytes",
        "quality": quality.label,
        **_BOUNDS,
        "retained": "share kept",
    }
    tip = tips(
        {
            "series:N": "precision",
            "variant:N": "reducer",
            "dim:Q": "dimension",
            "bytes:Q": "bytes",
            "quality:Q": quality.label,
            "retained:Q": "share kept",
        }
    )
    names = list(dict.fromkeys(rows["series"]))
    drawn = base().encode(
        x=log_x("bytes", "bytes per vector, of the components alone"),
        y=alt.Y("quality:Q", title=f"{quality.label} of exhaustive search"),
        color=colours(names, precision_colour, "precision"),
        detail="variant:N",
        tooltip=tip,
    )
    # Points of their own: with those of the line, the legend would show points for dashes.
    dash = alt.StrokeDash("variant:N", title="reducer")
    dash = dash.legend(symbolType="stroke", symbolStrokeColor="#000000")
    return chart(
        "quality_by_bytes",
        "Quality against bytes per vector",
        "Up and to the left is better: the same bytes hold many coordinates of few bits, or few of "
        "many.",
        heads,
        rows[[*heads]],
        drawn.mark_line().encode(strokeDash=dash),
        drawn.mark_point(filled=True, size=45, opacity=1).encode(shape=shapes(names, "precision")),
    )


def quality_by_documents(source: Source) -> Chart | None:
    """Draw exact search of truncated vectors in corpora of other sizes, measured and projected."""
    frame, projected = source.frame, source.projected
    own = projected[projected["trial_id"].isin(plain(exact_rows(frame))["trial_id"])]
    own = own[(own["refused"] == "") & own["quality"].notna()]
    if own.empty:
        return None
    dims = evenly(own["dim"].drop_duplicates().sort_values(), _MOST_DIMENSIONS).tolist()
    own = own[own["dim"].isin(dims)]
    rows = own[["documents", "quality", "kept", "kept_low", "kept_high", "times_beyond"]].assign(
        series=own["dim"].astype(str) + " d", low=own["quality_low"], high=own["quality_high"]
    )
    quality, n = quality_of(frame), int(frame["n_corpus"].max())
    names = [f"{d} d" for d in dims]
    shades = dict(zip(names, evenly(pd.Series(_RAMP), len(names)), strict=True))
    colour = colours(names, shades.__getitem__)
    x, y = (
        log_x("documents", "documents"),
        alt.Y("quality:Q", title=f"{quality.label} of exact search"),
    )
    heads = {
        "series": "dimension",
        "documents": "documents",
        "quality": quality.label,
        **_BOUNDS,
        "kept": "share kept",
        "kept_low": "share low",
        "kept_high": "share high",
        "times_beyond": "times the corpus measured",
    }
    tip = tips({f"{c}:{'N' if c == 'series' else 'Q'}": title for c, title in heads.items()})
    hollow = alt.OverlayMarkDef(filled=False, fill="transparent")
    here = alt.Chart(alt.InlineData(values=[{"documents": n}]))
    return chart(
        "quality_by_documents",
        "Quality against the size of the corpus",
        f"Truncated vectors, exact search. The vertical line is the corpus measured, {n:,} "
        "documents. To its left, the expectation in random parts of it. To its right, dashed, a "
        "projection to more documents like those measured, whose bounds hold the error of the "
        "model too.",
        heads,
        rows,
        base().mark_area(opacity=0.12).encode(x=x, y="low:Q", y2="high:Q", color=colour),
        base("datum.times_beyond <= 1")
        .mark_line(point=True)
        .encode(x=x, y=y, color=colour, tooltip=tip),
        base("datum.times_beyond >= 1")
        .mark_line(point=hollow, strokeDash=[5, 4])
        .encode(x=x, y=y, color=colour, tooltip=tip),
        here.mark_rule(color="#888888").encode(x="documents:Q"),
    )


def load(source: Source) -> Chart | None:
    """Draw throughput and p99 latency of servers as more clients query at once."""
    rows = loads(source.frame)
    if rows.empty:
        return None
    rows = rows.assign(series=labels(rows.assign(clients=1)))
    heads = {
        "series": "configuration",
        "clients": "clients",
        "qps": "queries per second",
        "latency_ms_p50": "p50 ms",
        "latency_ms_p99": "p99 ms",
    }
    tip = tips({f"{c}:{'N' if c == 'series' else 'Q'}": title for c, title in heads.items()})
    return chart(
        "load",
        "Throughput of a server against its p99 latency",
        "Each point is a number of clients that query at once. Where a line turns upwards the "
        "server is saturated.",
        heads,
        rows[[*heads]],
        base()
        .mark_line(point=True)
        .encode(
            x=alt.X("qps:Q", title="queries per second of all clients"),
            y=alt.Y("latency_ms_p99:Q", title="p99 latency (ms)").scale(type="log"),
            color=alt.Color("series:N", title=None, scale=alt.Scale(range=[*COLOURS])),
            order="clients:Q",
            tooltip=tip,
        ),
    )
