"""What the numbers say, a sentence each: what a careful reviewer would raise first."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.labels import dims_text, label
from bench.analysis.tables import (
    FEW_QUERIES,
    SYNTHETIC,
    WORTH_SHOWING,
    dimension_table,
    front,
    other_reducers,
    savings,
    stored,
)
from bench.results.rows import Quality, is_synthetic, loads, quality_of, timed, two_stage
from bench.study.plan import canonical, parameters
from bench.study.schema import NATIVE


def findings(frame: pd.DataFrame) -> list[str]:
    """Return what the numbers say, a sentence each, for one dataset and encoder; what a careful reviewer would raise first."""
    return [
        *_caveats(frame),
        *_training(frame),
        *_adaptors(frame),
        *_curve(frame),
        *_precision(frame),
        *_stages(frame),
        *_own_rescore(frame),
        *_speed(frame),
        *_encoding(frame),
        *_transport(frame),
        *_load(frame),
        *_threads(frame),
        *_pruned(frame),
        *_failures(frame),
    ]


def _caveats(frame: pd.DataFrame) -> list[str]:
    found = []
    if is_synthetic(frame):
        found.append(
            f"{SYNTHETIC[0].upper()}{SYNTHETIC[1:]}: they have no relevance and no prefix structure."
        )
    queries = frame["n_queries"].min()
    found += list(
        dict.fromkeys(_sentence(n) for n in "\n".join(frame["notes"].dropna()).splitlines() if n)
    )
    if queries < FEW_QUERIES:
        found.append(
            f"Only {queries} queries: the intervals are wide, and differences smaller than them mean nothing."
        )
    samples = frame[["dataset_fingerprint", "n_queries"]].drop_duplicates()
    if len(samples) > 1:
        found.append(
            f"{len(samples)} different versions or query samples of this dataset are mixed in this table: their figures are not comparable."
        )
    return found


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:].rstrip('.')}."


def _training(frame: pd.DataFrame) -> list[str]:
    """Say whether truncation is better than the baselines that need no Matryoshka training."""
    if is_synthetic(frame):
        return []
    quality, table = quality_of(frame), dimension_table(frame)
    below = table[(table.index < frame["full_dim"].max()) & table["truncate"].notna()]
    return [*_against_subsets(below), *_against_pca(below, quality)]


def _against_subsets(below: pd.DataFrame) -> list[str]:
    known = below.dropna(subset="subset") if "subset" in below else below.iloc[:0]
    if known.empty:
        return []
    gain = (known["truncate"] / known["subset"] - 1).replace([np.inf, -np.inf], np.nan).dropna()
    extent = f" ({gain.min():+.1%} to {gain.max():+.1%} against their mean)" if len(gain) else ""
    inside = known[known["truncate"] <= known["subset_high"]]
    if inside.empty:
        return [
            f"Truncation beats every random subset of as many coordinates at each dimension measured below the full one{extent}."
        ]
    return [
        f"At {dims_text(inside.index)} truncation is no better than the best of the random subsets of as many coordinates"
        f"{extent.replace('mean)', 'mean over all dimensions)')}: there the vectors do not look Matryoshka-trained."
    ]


def _against_pca(below: pd.DataFrame, quality: Quality) -> list[str]:
    known = below.dropna(subset="pca") if "pca" in below else below.iloc[:0]
    if known.empty:
        return []
    better = known[known["pca"] > known["truncate"]]
    if better.empty:
        return [
            "Truncation is at least as good as PCA at every dimension measured below the full one."
        ]
    gain = (better["pca"] - better["truncate"]).max()
    return [
        f"PCA is better than truncation at {dims_text(better.index)}, by up to {gain:.3f} {quality.label}, with no training."
    ]


def _adaptors(frame: pd.DataFrame) -> list[str]:
    """Say what a learned map wins over truncation, and where it does not."""
    quality, table = quality_of(frame), dimension_table(frame)
    found = []
    for name in (c for c in other_reducers(table) if c.startswith("adaptor")):
        known = table.dropna(subset=[name, "truncate"])
        better, full = known[known[name] > known["truncate_high"]], known["truncate"].iloc[-1]
        enough = known.index[known[name] >= full]
        words = (
            f"{name}: above truncation's interval at {dims_text(better.index)}"
            if len(better)
            else f"{name}: nowhere above truncation's interval"
        )
        if len(enough) and enough[0] < known.index[-1]:
            words += f"; its {enough[0]} dimensions are as good as all {known.index[-1]} untrained ones ({known.loc[enough[0], name]:.3f} against {full:.3f} {quality.label})"
        found.append(f"{words}.")
    return found


def _precision(frame: pd.DataFrame) -> list[str]:
    """Say where a byte is best spent, for truncated vectors."""
    table = stored(frame)
    table = table[(table["variant"] == "truncate") & table["retained"].notna()]
    if table["precision"].nunique() < 2:
        return []
    plain = table[table["precision"] == "float32"].set_index("dim")
    found = []
    for dim in plain.index[:-1][::-1]:
        size = plain.loc[dim, "bytes"]
        rival = table[(table["bytes"] <= size) & (table["precision"] != "float32")]
        if len(rival):
            best = rival.loc[rival["quality"].idxmax()]
            found.append(
                f"{size:,.0f} bytes: {dim} d float32 keeps {plain.loc[dim, 'retained']:.0%}, {best['dim']} d {best['precision']} "
                f"({best['bytes']:,.0f} bytes) {best['retained']:.0%}"
            )
    return (
        [
            f"A byte spent on precision or on dimensions (vectors alone, exhaustive search): {'; '.join(found)}."
        ]
        if found
        else []
    )


def _stages(frame: pd.DataFrame) -> list[str]:
    """Say what a second stage saves at equal quality, a sentence a backend."""
    found = []
    for (backend, reducer), part in savings(frame).groupby(["backend", "variant"], sort=False):
        named = backend if reducer == "truncate" else f"{backend} with {reducer}"
        told = [
            f"{row['saving']:.0%} saved at {row['level']:.0%} of the quality ({row['multi_ms']:.3f} against {row['single_ms']:.3f} ms)"
            if row["saving"] >= 0
            else f"{1 / (1 - row['saving']):.2g}× the speed at {row['level']:.0%} ({row['multi_ms']:.3f} against {row['single_ms']:.3f} ms)"
            for _, row in part.iterrows()
        ]
        found.append(f"{named} in several stages against its fastest in one: {'; '.join(told)}.")
    return found


def _own_rescore(frame: pd.DataFrame) -> list[str]:
    """Say whether a database's own rescore is faster than ours, at the same settings, a sentence a backend."""
    rows = timed(frame)
    rows = rows[two_stage(rows)]
    if rows.empty:
        return []
    stages = rows["stages"].map(parameters)
    rows = rows.assign(
        own=[bool(s.get(NATIVE)) for s in stages],
        rest=[canonical({**s, NATIVE: False}) for s in stages],
    )
    setting = [
        "backend",
        "reducer",
        "dim",
        "precision",
        "build_params",
        "search_params",
        "rest",
        "k",
        "threads",
    ]
    own, ours = (rows[rows["own"] == side] for side in (True, False))
    pairs = own.merge(ours, on=setting, suffixes=("", "_ours"))
    found = []
    for backend, part in pairs.groupby("backend", sort=False):
        ratio = float((part["latency_ms_p50_ours"] / part["latency_ms_p50"]).median())
        found.append(
            f"{backend}: its own rescore is {_times(ratio)} than one beside it at the same settings "
            f"(median {part['latency_ms_p50'].median():.3g} against {part['latency_ms_p50_ours'].median():.3g} ms)."
        )
    return found


def _threads(frame: pd.DataFrame) -> list[str]:
    """Name the backends that started threads of their own where they were allowed few."""
    rows = timed(frame)
    more = (
        rows[rows["threads_started"] > rows["threads"]]
        .groupby("backend", sort=False)["threads_started"]
        .max()
    )
    if more.empty:
        return []
    told = ", ".join(f"{backend} ({count:.0f})" for backend, count in more.items())
    return [f"Threads started beyond those allowed, all held on the same cores: {told}."]


def _pruned(frame: pd.DataFrame) -> list[str]:
    left = int((frame["status"] == "pruned").sum())
    if not left:
        return []
    measured = len(timed(frame))
    return [
        f"Of {measured + left} configurations {measured} were timed ({measured / (measured + left):.0%}). The other {left} answered the queries once and were left "
        "out: another was no worse in quality (surely so, where fewer than all queries were asked), at five sixths of the time or less and no more "
        'bytes. What may have been missed: one whose few timed queries were slower than it is. sweep = "grid" measures them all.'
    ]


def _curve(frame: pd.DataFrame) -> list[str]:
    table = dimension_table(frame)
    found = []
    falls = [
        f"{a} → {b} d"
        for (a, left), (b, right) in zip(
            table.iloc[:-1].iterrows(), table.iloc[1:].iterrows(), strict=True
        )
        if right["truncate_high"] < left["truncate_low"]
    ]
    if falls:
        found.append(
            f"The curve is not monotonic beyond its intervals: quality falls from {', '.join(falls)}."
        )
    # At the full dimension the ratio is one but for the last digits of a mean.
    better = table[(table["retained_low"] > 1 + 1e-9) & (table.index < frame["full_dim"].max())]
    if len(better):
        found.append(
            f"Truncation *improves* quality significantly at {dims_text(better.index)}: explain this before it is used; the full vectors "
            "may carry something harmful, or the queries be few and alike."
        )
    return found


def _speed(frame: pd.DataFrame) -> list[str]:
    """Say what a shorter vector wins with each backend, at the same build and search parameters.

    The shorter vector is the shortest that keeps `WORTH_SHOWING` of the quality: that an unusable one is fast says nothing.
    """
    single = timed(frame)
    single = single[
        ~two_stage(single) & (single["reducer"] == "truncate") & (single["precision"] == "float32")
    ]
    least = _shortest_usable(frame)
    won: dict[tuple[int, int], dict[str, tuple[float, float]]] = {}
    for backend, part in single.groupby("backend", sort=False):
        part = part[part["dim"] >= least]
        short, full = part["dim"].min(), part["dim"].max()
        settings = [
            c for c in ("build_params", "search_params", "threads", "k") if part[c].notna().all()
        ]
        pairs = part[part["dim"] == short].merge(
            part[part["dim"] == full], on=settings, suffixes=("", "_full")
        )
        if pairs.empty or short == full:
            continue
        faster = float((pairs["latency_ms_p50_full"] / pairs["latency_ms_p50"]).median())
        smaller = float((pairs["bytes_per_vector_full"] / pairs["bytes_per_vector"]).median())
        won.setdefault((int(short), int(full)), {})[str(backend)] = faster, smaller
    return [_won(short, full, by_backend) for (short, full), by_backend in won.items()]


def _won(short: int, full: int, by_backend: dict[str, tuple[float, float]]) -> str:
    told = "; ".join(
        f"{backend} {_times(faster)}{_smaller(smaller)}"
        for backend, (faster, smaller) in sorted(by_backend.items(), key=lambda item: -item[1][0])
    )
    return f"{full} → {short} d is {full / short:.2g}× fewer numbers a vector. At the same settings, index included: {told}."


def _smaller(times: float) -> str:
    if np.isnan(times):
        return ""
    return f", {times:.2g}× smaller" if times >= 0.95 else f", {1 / times:.2g}× larger"


def _shortest_usable(frame: pd.DataFrame) -> float:
    table = dimension_table(frame)
    usable = table.index[table["retained"] >= WORTH_SHOWING]
    return usable.min() if len(usable) else 0


def _times(faster: float) -> str:
    if faster < 0.95:
        return f"{1 / faster:.2g}× slower"
    return f"{faster:.2g}× faster" if faster > 1.05 else "no faster"


def _encoding(frame: pd.DataFrame) -> list[str]:
    encode, search = timed(frame)["encode_ms_p50"].median(), front(frame)["latency_ms_p50"].median()
    if pd.isna(encode) or not search > 0:
        return []
    return [
        f"Encoding a query takes {encode:.3f} ms, {encode / search:.2g}× the median search on the Pareto front: an application waits for both."
    ]


def _transport(frame: pd.DataFrame) -> list[str]:
    """Say how much of a search is the server's own time, a sentence a server that tells."""
    rows = timed(frame).dropna(subset="server_ms_p50")
    return [
        f"{backend}: of a median search's {part['latency_ms_p50'].median():.3g} ms the server says that it took "
        f"{part['server_ms_p50'].median():.3g}; the rest is the connection and the client."
        for backend, part in rows.groupby("backend", sort=False)
    ]


def _load(frame: pd.DataFrame) -> list[str]:
    """Say what more clients win, a sentence a backend."""
    found = []
    for backend, part in loads(frame).groupby("backend", sort=False):
        told = part.groupby("clients")[["qps", "latency_ms_p99"]].median()
        steps = [
            f"{clients} {'client' if clients == 1 else 'clients'} {row['qps']:,.0f} a second, p99 {row['latency_ms_p99']:.3g} ms"
            for clients, row in told.iterrows()
        ]
        found.append(f"{backend} under load, queries answered: {'; '.join(steps)}.")
    return found


def _failures(frame: pd.DataFrame) -> list[str]:
    bad = frame[~frame["status"].isin(["ok", "pruned"])]
    return [
        f"{len(part)} {'trial' if len(part) == 1 else 'trials'} ended as {status.replace('_', ' ')}, the first: "
        f"{label(part.iloc[0])}: {part.iloc[0]['error'] or 'no error recorded'}"
        for status, part in bad.groupby("status")
    ]
