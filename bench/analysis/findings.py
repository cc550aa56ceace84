"""Findings for one dataset and encoder: the points that a careful reviewer would raise first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty
from bench.analysis.comparisons import Finding, comparisons
from bench.analysis.labels import label
from bench.analysis.sizes import caches
from bench.analysis.spread import band
from bench.analysis.tables import (
    FEW_QUERIES,
    SYNTHETIC,
    plain_trials,
    savings,
    stored,
    usable_dimension,
)
from bench.reducers import PREFIX
from bench.results.rows import (
    UNCOMPRESSED,
    is_synthetic,
    loads,
    timed,
    two_stage,
)
from bench.results.schema import NOT_TIMED
from bench.study.plan import canonical, parameters
from bench.study.schema import NATIVE

_ENOUGH = 0.9
"""Share kept by the search that the time of encoding is compared with."""


def findings(frame: pd.DataFrame, queries: pd.DataFrame | Certainty) -> list[Finding]:
    """Return the findings for one dataset and encoder, caveats first.

    `queries` holds the per-query rows of its trials (`load_queries`), or what was made of them.
    """
    certainty = queries if isinstance(queries, Certainty) else Certainty(frame, queries)
    found = [finding for find in _CAVEATS for finding in find(frame)]
    found += comparisons(frame, certainty)
    found += [finding for find in _COSTS for finding in find(frame)]
    return [*found, *_encoding(frame, certainty)]


def _synthetic(frame: pd.DataFrame) -> Iterator[Finding]:
    if is_synthetic(frame):
        text = f"{SYNTHETIC.capitalize()}. They have no relevance and no prefix structure."
        yield Finding("synthetic", text)


def _notes(frame: pd.DataFrame) -> Iterator[Finding]:
    for note in dict.fromkeys("\n".join(frame["notes"].dropna()).splitlines()):
        if note and not note.startswith(SYNTHETIC):
            yield Finding("note", f"{note[0].upper()}{note[1:].rstrip('.')}.")


def _few_queries(frame: pd.DataFrame) -> Iterator[Finding]:
    queries = int(frame["n_queries"].min())
    if queries < FEW_QUERIES:
        text = f"Only {queries} queries: differences smaller than the wide intervals mean nothing."
        yield Finding("few_queries", text, {"queries": queries})


def _mixed(frame: pd.DataFrame) -> Iterator[Finding]:
    samples = len(frame[["dataset_fingerprint", "n_queries"]].drop_duplicates())
    if samples > 1:
        text = (
            f"This table mixes {samples} versions or query samples of the dataset. "
            "Their figures are not comparable."
        )
        yield Finding("mixed_data", text, {"samples": samples})


def _precision(frame: pd.DataFrame) -> Iterator[Finding]:
    """Compare spending a byte on precision and on dimensions, for truncated vectors."""
    table = stored(frame)
    table = table[(table["kind"] == PREFIX) & table["retained"].notna()]
    if table["precision"].nunique() < 2:
        return
    is_plain = table["precision"] == UNCOMPRESSED
    own = table[is_plain].set_index("dim")
    parts, values = [], []
    for dim in own.index[:-1][::-1]:
        size = own.loc[dim, "bytes"]
        rivals = table[(table["bytes"] <= size) & ~is_plain]
        if rivals.empty:
            continue
        best = rivals.loc[rivals["quality"].idxmax()]
        parts.append(
            f"{size:,.0f} bytes: {dim} d {UNCOMPRESSED} keeps {own.loc[dim, 'retained']:.0%}, "
            f"{best['dim']} d {best['precision']} ({best['bytes']:,.0f} bytes) "
            f"{best['retained']:.0%}"
        )
        values.append({"dim": int(dim), "bytes": size, "best": dict(best)})
    if parts:
        text = (
            "Equal bytes spent on precision or on dimensions (vectors alone, exhaustive search, "
            f"point estimates): {'; '.join(parts)}."
        )
        yield Finding("precision", text, {"pairs": values})


def _stages(frame: pd.DataFrame) -> Iterator[Finding]:
    """Report time saved by a second stage at equal quality, per backend and reducer."""
    found = savings(frame).groupby(["backend", "variant", "kind"], sort=False)
    for (backend, variant, kind), part in found:
        parts = [
            f"{_change(row['saving'])} at {row['level']:.0%} kept "
            f"({row['multi_ms']:.3f} against {row['single_ms']:.3f} ms)"
            for _, row in part.iterrows()
        ]
        name = backend if kind == PREFIX else f"{backend} with {variant}"
        text = (
            f"{name}, several stages against its fastest single stage, each by the lower bound of "
            f"its own interval (times are point estimates): {'; '.join(parts)}."
        )
        saved = dict(zip(part["level"], part["saving"], strict=True))
        yield Finding("stages", text, {"backend": backend, "variant": variant, "saving": saved})


def _change(saving: float) -> str:
    return f"{saving:.0%} saved" if saving >= 0 else f"{1 / (1 - saving):.2g}× the speed"


def _native_rescore(frame: pd.DataFrame) -> Iterator[Finding]:
    """Compare a database's own rescore with ours at the same settings, one finding per backend."""
    rows = timed(frame)
    rows = rows[two_stage(rows)]
    if rows.empty:
        return
    stages = [parameters(text) for text in rows["stages"]]
    rows = rows.assign(
        native=[bool(s.get(NATIVE)) for s in stages],
        rest=[canonical({**s, NATIVE: False}) for s in stages],
    )
    setting = ["backend", "reducer", "dim", "precision", "build_params", "search_params", "rest"]
    setting += ["k", "threads"]
    own, ours = (rows[rows["native"] == side] for side in (True, False))
    pairs = own.merge(ours, on=setting, suffixes=("", "_ours"))
    for backend, part in pairs.groupby("backend", sort=False):
        ratio = float((part["latency_ms_p50_ours"] / part["latency_ms_p50"]).median())
        text = (
            f"{backend}: its own rescore is {_times(ratio)} than ours at the same settings (median "
            f"{part['latency_ms_p50'].median():.3g} against "
            f"{part['latency_ms_p50_ours'].median():.3g} ms; point estimates)."
        )
        yield Finding("native_rescore", text, {"backend": backend, "ratio": ratio})


def _speed(frame: pd.DataFrame) -> Iterator[Finding]:
    """Report the speed-up of a shorter vector with each backend, at the same parameters.

    The shorter vector is the shortest that keeps usable quality.
    """
    settings = ["build_params", "search_params", "threads", "k"]
    figures = ["backend", "dim", "latency_ms_p50", "bytes_per_vector"]
    rows, least = plain_trials(frame)[settings + figures], usable_dimension(frame)
    won: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}
    for backend, part in rows.groupby("backend", sort=False):
        part = part[part["dim"] >= least]
        short, full = part["dim"].min(), part["dim"].max()
        known = [c for c in settings if part[c].notna().all()]
        pairs = part[part["dim"] == short].merge(
            part[part["dim"] == full], on=known, suffixes=("", "_full")
        )
        if pairs.empty or short == full:
            continue
        faster = float((pairs["latency_ms_p50_full"] / pairs["latency_ms_p50"]).median())
        smaller = float((pairs["bytes_per_vector_full"] / pairs["bytes_per_vector"]).median())
        won.setdefault((int(short), int(full)), {})[str(backend)] = faster, smaller
    for (short, full), by_backend in won.items():
        ordered = sorted(by_backend.items(), key=lambda item: -item[1][0])
        parts = [f"{name} {_times(faster)}{_smaller(s)}" for name, (faster, s) in ordered]
        text = (
            f"{full} → {short} d is {full / short:.2g}× fewer components. At the same settings, "
            f"index included (point estimates; a shorter index may fit a faster cache): "
            f"{'; '.join(parts)}."
        )
        yield Finding("speed", text, {"from": full, "to": short, "won": by_backend})


def _smaller(times: float) -> str:
    if np.isnan(times):
        return ""
    return f", {times:.2g}× smaller" if times >= 0.95 else f", {1 / times:.2g}× larger"


def _times(faster: float) -> str:
    if faster < 0.95:
        return f"{1 / faster:.2g}× slower"
    return f"{faster:.2g}× faster" if faster > 1.05 else "no faster"


def _encoding(frame: pd.DataFrame, certainty: Certainty) -> Iterator[Finding]:
    """Compare the time to encode a query with the fastest search that keeps enough."""
    rows, encode = timed(frame), timed(frame)["encode_ms_p50"].median()
    enough = rows[(certainty.kept(rows)["low"] >= _ENOUGH).to_numpy()]
    if pd.isna(encode) or enough.empty:
        return
    search = float(enough["latency_ms_p50"].min())
    text = (
        f"Encoding a query takes {encode:.3f} ms, {encode / search:.2g}× the fastest search that "
        f"keeps {_ENOUGH:.0%} ({search:.3f} ms). An application waits for both."
    )
    yield Finding("encoding", text, {"encode_ms": encode, "search_ms": search})


def _transport(frame: pd.DataFrame) -> Iterator[Finding]:
    """Report the server's share of a search, one finding per server that reports it."""
    rows = timed(frame).dropna(subset="server_ms_p50")
    for backend, part in rows.groupby("backend", sort=False):
        whole, own = part["latency_ms_p50"].median(), part["server_ms_p50"].median()
        text = (
            f"{backend}: the server reports {own:.3g} ms of the {whole:.3g} ms of a median search. "
            "The rest is the connection and the client."
        )
        yield Finding("transport", text, {"backend": backend, "ms": whole, "server_ms": own})


def _load(frame: pd.DataFrame) -> Iterator[Finding]:
    """Report throughput and latency by number of clients, one finding per backend."""
    for backend, part in loads(frame).groupby("backend", sort=False):
        medians = part.groupby("clients")[["qps", "latency_ms_p99"]].median()
        parts = [
            f"{clients} {_plural(clients, 'client')} {row['qps']:,.0f} QPS, p99 "
            f"{row['latency_ms_p99']:.3g} ms"
            for clients, row in medians.iterrows()
        ]
        values = {"backend": backend, "qps": medians["qps"].to_dict()}
        yield Finding("load", f"{backend} under load: {'; '.join(parts)}.", values)


def _threads(frame: pd.DataFrame) -> Iterator[Finding]:
    """Name the backends that started more threads than they were allowed."""
    rows = timed(frame)
    more = rows[rows["threads_started"] > rows["threads"]]
    counts = more.groupby("backend", sort=False)["threads_started"].max()
    if len(counts):
        listed = ", ".join(f"{backend} ({count:.0f})" for backend, count in counts.items())
        text = f"More threads than allowed, all held on the same cores: {listed}."
        yield Finding("threads", text, {"started": counts.to_dict()})


def _pruned(frame: pd.DataFrame) -> Iterator[Finding]:
    left = int((frame["status"] == "pruned").sum())
    if not left:
        return
    measured = len(timed(frame))
    text = (
        f"{measured} of {measured + left} configurations were timed "
        f"({measured / (measured + left):.0%}). The other {left} answered the queries once and "
        "were dominated: no better in quality, at least 20 % slower, no smaller. One whose few "
        'timed queries were unusually slow may be missing. sweep = "grid" measures them all.'
    )
    yield Finding("pruned", text, {"timed": measured, "pruned": left})


def _failures(frame: pd.DataFrame) -> Iterator[Finding]:
    bad = frame[~frame["status"].isin(["ok", *NOT_TIMED])]
    for status, part in bad.groupby("status"):
        first = part.iloc[0]
        text = (
            f"{len(part)} {_plural(len(part), 'trial')} ended as {status.replace('_', ' ')}, the "
            f"first: {label(first)}: {first['error'] or 'no error recorded'}"
        )
        yield Finding("failures", text, {"status": status, "trials": len(part)})


def _plural(count: Any, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _spread(frame: pd.DataFrame) -> Iterator[Finding]:
    """Say how far two runs of one index are apart: differences below that mean nothing."""
    bands = {figure: band(frame, figure) for figure in ("latency_ms_p50", "speedup_vs_exact")}
    latency, speedup = bands.values()
    if latency is None or speedup is None:
        return
    text = (
        f"Two processes that time one index differ by up to ±{latency.share:.1%} in the median "
        f"latency and ±{speedup.share:.1%} in the speed-up (95 % of them, from indexes timed in "
        "several processes). The bounds of times hold that."
    )
    yield Finding("spread", text, {name: each and each.share for name, each in bands.items()})


_CAVEATS = (_synthetic, _notes, _few_queries, _mixed)
_COSTS = (
    _precision,
    _stages,
    _native_rescore,
    _spread,
    caches,
    _speed,
    _transport,
    _load,
    _threads,
    _pruned,
    _failures,
)
