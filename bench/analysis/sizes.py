"""What is different at another size: caches, and the same configurations on several datasets."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from bench.analysis.comparisons import Finding
from bench.analysis.labels import labels
from bench.analysis.tables import dimension_table, plain_trials, truncation
from bench.backends import REFERENCE
from bench.results.rows import bm25_rows, groups, plain, quality_of, timed

_CACHED = 1.25
"""Times longer from cold caches from which on vectors are said to stay in them between queries."""


def caches(frame: pd.DataFrame) -> Iterator[Finding]:
    """Say up to which dimension the vectors of exact search stay in the processor's caches."""
    rows = scans(frame)
    if rows.empty:
        return
    held = rows[rows["colder"] >= _CACHED]
    last, longest = rows.iloc[-1], held.index.max() if len(held) else 0
    if longest == rows.index[-1]:
        text = (
            f"Vectors of {longest} d ({last['megabytes']:,.1f} MB) stay in the processor's caches "
            f"between queries: from cold ones exact search takes {last['colder']:.2g}× as long. On "
            "a corpus that does not fit, indexes and shorter vectors save more."
        )
    else:
        text = (
            f"Vectors of {last.name} d ({last['megabytes']:,.1f} MB) do not stay in the "
            f"processor's caches between queries: from cold ones exact search takes "
            f"{last['colder']:.2g}× as long."
        )
        if longest:
            row = rows.loc[longest]
            text += (
                f" Up to {longest} d ({row['megabytes']:,.1f} MB, {row['colder']:.2g}×) they do, "
                "so a shorter vector gains twice."
            )
    yield Finding("caches", text, {"held": int(longest), "colder": rows["colder"].to_dict()})


def scans(frame: pd.DataFrame) -> pd.DataFrame:
    """Return exact search over the truncated vectors of one dataset, one row per dimension.

    Columns: ms (median latency), colder (times as long from cold caches), megabytes (of vectors).
    Empty where that was not timed.
    """
    rows = plain_trials(frame)
    rows = rows[rows["backend"] == REFERENCE].dropna(subset="latency_cold_ms_p50")
    rows = rows.drop_duplicates("dim", keep="last").set_index("dim").sort_index()
    return pd.DataFrame(
        {
            "ms": rows["latency_ms_p50"],
            "colder": rows["latency_cold_ms_p50"] / rows["latency_ms_p50"],
            "megabytes": rows["n_corpus"] * rows.index * 4 / 1e6,
        }
    )


def side_by_side(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the figures of several datasets with one encoder in words, by encoder.

    A column is a dataset, the smallest first. Rows are the quality of exact search at the full
    dimension and of BM25, the share that truncation keeps, the time of exact search, and recall and
    speed-up of each configuration at the full dimension. An encoder with one dataset is left out.
    """
    found = {}
    for encoder, whole in frame.groupby("encoder", sort=False, dropna=False):
        parts = [part for _, part in groups(whole) if not plain(timed(part)).empty]
        parts.sort(key=lambda part: part["n_corpus"].max())
        heads = [f"{p['dataset'].iloc[-1]}, {p['n_corpus'].max():,} documents" for p in parts]
        if len(parts) > 1:
            columns = pd.DataFrame([_figures(part) for part in parts], index=heads)
            found[str(encoder or "")] = columns.T.fillna("–")
    return found


def _figures(frame: pd.DataFrame) -> dict[str, str]:
    quality, full = quality_of(frame), int(frame["full_dim"].max())
    own, found = truncation(dimension_table(frame)), {}
    if full in own.index:
        found[f"{quality.label} of exact search at {full} d"] = f"{own.loc[full, 'quality']:.3f}"
    for _, row in bm25_rows(frame).tail(1).iterrows():
        found[f"{quality.label} of BM25"] = f"{row[quality.column]:.3f}"
    for dim, row in own.drop(full, errors="ignore").iterrows():
        bounds = f"[{row['retained_low']:.1%}, {row['retained_high']:.1%}]"
        found[f"truncation to {dim} d keeps [95 %]"] = f"{row['retained']:.1%} {bounds}"
    for dim, row in scans(frame).iterrows():
        cold = row["ms"] * row["colder"]
        found[f"exact search at {dim} d, from warm and from cold caches"] = (
            f"{row['megabytes']:,.1f} MB in {row['ms']:.3f} and {cold:.3f} ms"
        )
    rows = plain(timed(frame))
    rows = rows[(rows["dim"] == full) & rows["ann_recall_at_10"].notna()]
    for i, name in labels(rows).items():
        recall, faster = rows.loc[i, ["ann_recall_at_10", "speedup_vs_exact"]]
        found[f"{name}: recall, × exact"] = f"{recall:.1%}, {faster:.1f}×"
    return found
