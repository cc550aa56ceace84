"""Results folders of any size, made up from the rows of a measured one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.embeddings import embed
from bench.machine import description
from bench.measuring.workload import Workload
from bench.results.rows import timed
from bench.results.spread import PROCESS_COLUMNS
from bench.results.store import load
from bench.results.tables import QUERIES, TRIALS
from bench.study.plan import EXACT, canonical
from bench.study.reader import load_study

MEASURED = Path(__file__).parent / "measured"
"""Rows of the shipped study `regress`."""
PROCESSES = PROCESS_COLUMNS.values()
BACKENDS = {
    "faiss-flat": "faiss-flat",
    "faiss-ivf": "faiss-ivf",
    "faiss-hnsw": "faiss-hnsw",
    "hnswlib": "faiss-hnsw",
    "usearch": "faiss-hnsw",
    "annoy": "annoy",
}
"""Backend → the one whose measured rows it is made from."""
DIMENSIONS = range(16, 257, 16)
REDUCERS = [
    ("truncate", "", "prefix"),
    ("pca", canonical({"whiten": False}), "rotation"),
    ("pca", canonical({"whiten": True}), "rotation"),
    ("random_projection", canonical({"seed": 0}), "rotation"),
]
PRECISIONS = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}
BUILDS = [{"M": m, "ef_construction": ef} for m in (8, 16, 32) for ef in (100, 200)]
SEARCHES = [{"ef": ef} for ef in (16, 32, 64, 128, 256, 512)]
STAGES = [{}, {"shortlist": 50}, {"shortlist": 100}, {"shortlist": 200}]


def made_up(folder: Path, trials: int, queries: int, seed: int = 0) -> Path:
    """Write a results folder of `trials` timed rows with `queries` rows each, and return it.

    Whole indexes are drawn from a grid of 6 backends, 16 dimensions, 4 reducers, 4 precisions and 6
    ways to build; each has 6 settings of the search, in one stage and with three shortlists. Times
    and sizes are those of measured rows, scaled and perturbed; quality is drawn per query.
    """
    rng = np.random.default_rng(seed)
    measured = load(MEASURED)
    grid = list(itertools.product(BACKENDS, DIMENSIONS, REDUCERS, PRECISIONS, BUILDS))
    indexes = [grid[i] for i in rng.permutation(len(grid))]
    points = itertools.islice(itertools.product(indexes, SEARCHES, STAGES), trials)
    exact = [
        ((EXACT, dim, reducer, "float32", {}), {}, {}) for reducer in REDUCERS for dim in DIMENSIONS
    ]
    rows = pd.DataFrame([_configuration(*point) for point in [*exact, *points]])
    rows["trial_id"] = [f"{i:020x}" for i in range(len(rows))]
    templates = {
        name: timed(measured[measured["backend"] == of]).iloc[-1] for name, of in BACKENDS.items()
    }
    templates[EXACT] = measured[measured["backend"] == EXACT].iloc[0]
    filled = pd.DataFrame([templates[name] for name in BACKENDS] + [templates[EXACT]])
    filled.index = pd.Index([*BACKENDS, EXACT])
    kept = [c for c in TRIALS.names if c not in rows.columns]
    frame = pd.concat([rows, filled.loc[rows["backend"], kept].reset_index(drop=True)], axis=1)
    by_query = _by_query(frame, queries, rng)
    frame = _measured(frame, by_query, rng)
    folder.mkdir(parents=True, exist_ok=True)
    _write(frame, folder, by_query)
    return folder


def _configuration(index, search, stages):
    backend, dim, (reducer, params, kind), precision, build = index
    return {
        "backend": backend,
        "dim": dim,
        "reducer": reducer,
        "reducer_params": params,
        "reducer_kind": kind,
        "precision": precision,
        "component_bits": float(PRECISIONS[precision]),
        "build_params": canonical(build),
        "search_params": canonical(search),
        "stages": canonical(stages),
    }


def _by_query(frame, queries, rng):
    """Return the quality of each trial and query, (n, q) float32."""
    gains = np.append(1 / np.log2(np.arange(10) + 2), np.zeros(6))
    full = rng.choice(gains, queries)
    bits = frame["component_bits"].to_numpy()
    loss = 0.6 * np.exp(-frame["dim"] / 40) + 0.15 * (bits == 1) + 0.3 * rng.random(len(frame)) ** 4
    loss[(frame["backend"] == EXACT) & (frame["dim"] == 256) & (frame["reducer"] == "truncate")] = 0
    missed = rng.random((len(frame), queries), dtype=np.float32) < loss.to_numpy()[:, None]
    other = rng.choice(gains, (1, queries)) * 0.5
    return np.where(missed, other, full[None]).astype(np.float32)


def _measured(frame, by_query, rng):
    n, dim, bits = len(frame), frame["dim"].to_numpy(), frame["component_bits"].to_numpy()
    noise = np.exp(rng.normal(0, 0.3, n))
    ndcg = by_query.mean(axis=1, dtype=float)
    kept = ndcg / ndcg[list(frame["dim"]).index(256)]
    search = frame["search_params"].map(lambda text: json.loads(text or "{}").get("ef", 16))
    speed = (0.2 + 0.8 * dim / 256) * (0.3 + 0.7 * bits / 32) * (search / 64) ** 0.6 * noise
    changed = {"n_queries": by_query.shape[1]}
    for column in ("latency_ms_p50", "latency_ms_p95", "latency_ms_p99", "latency_cold_ms_p50"):
        values = frame[column] * speed
        changed |= {column: values, f"{column}_low": values * 0.9, f"{column}_high": values * 1.2}
        if f"process_{column}" in frame:
            times = np.where(np.arange(n) % 40 < 24, 3, 1)
            changed[f"process_{column}"] = [
                None if np.isnan(v) else [v * (1 + 0.02 * j) for j in range(m)]
                for v, m in zip(values, times, strict=True)
            ]
    ratio = frame["speedup_vs_exact"] / speed
    changed |= {
        "speedup_vs_exact": ratio,
        "speedup_vs_exact_low": ratio * 0.9,
        "speedup_vs_exact_high": ratio * 1.1,
        "process_speedup": [None if np.isnan(v) else [v] for v in ratio],
        "qps": 1000 / changed["latency_ms_p50"],
        "bytes_per_vector": dim * bits / 8 + 64 * noise * (frame["backend"] != EXACT),
        "started_at": [f"2026-01-01T00:00:{i / 1000:09.3f}" for i in range(n)],
    }
    for column, values in (
        ("ndcg_at_10", ndcg),
        ("retained_ndcg_at_10", kept),
        ("fidelity_at_10", kept.clip(0, 1)),
    ):
        changed |= {column: values, f"{column}_low": values - 0.03, f"{column}_high": values + 0.03}
    return frame.assign(**changed)


def _write(frame, folder, by_query):
    """Write both tables as a finished run leaves them."""
    text = frame.assign(n_groups=None)[TRIALS.names]
    pq.write_table(
        pa.Table.from_pandas(text, TRIALS, preserve_index=False),
        folder / "trials.parquet",
        compression="zstd",
    )
    n, q = by_query.shape
    names = pa.array([f"q{i}" for i in range(q)])
    ids = pa.array(frame["trial_id"].tolist())
    with pq.ParquetWriter(folder / "queries.parquet", QUERIES, compression="zstd") as writer:
        for start in range(0, n, 1000):
            block = by_query[start : start + 1000]
            rows = np.repeat(np.arange(start, start + len(block)), q)
            values = pa.array(block.ravel().astype(float))
            columns = {
                "trial_id": ids.take(pa.array(rows)),
                "query_id": names.take(pa.array(np.tile(np.arange(q), len(block)))),
                "ndcg_at_10": values,
                "recall_at_10": values,
                "fidelity_at_10": values,
                "ann_recall_at_10": values,
                "latency_ms": values,
            }
            nothing = {c: pa.nulls(len(rows)) for c in QUERIES.names if c not in columns}
            table = pa.table({c: (columns | nothing)[c] for c in QUERIES.names}, schema=None)
            writer.write_table(table.cast(QUERIES))


def finished(folder: Path, study: str, queries_per_trial: bool = True) -> int:
    """Fill `folder` as if every trial of a study file had been measured; return their number."""
    read = load_study(study)
    rows = []
    template = timed(load(MEASURED)).iloc[-1]
    kept = {
        c: template[c] for c in TRIALS.names if c.startswith(("latency", "ndcg", "qps", "build_s"))
    }
    for dataset, encoder in itertools.product(read.dataset, read.encoder):
        work = Workload(read, embed(dataset, encoder, progress=False), description())
        for trial_id, trial in (pair for group in work.groups for pair in group.items()):
            rows.append(
                {
                    "trial_id": trial_id,
                    "status": "ok",
                    "started_at": "2026-01-01T00:00:00",
                    **work.columns(trial),
                    **kept,
                    **{c: None if trial.backend == EXACT else [1.0] * 3 for c in PROCESSES},
                }
            )
        queries = len(work.embeddings.query_ids) if queries_per_trial else 1
    frame = pd.DataFrame(rows).astype(dict.fromkeys(PROCESSES, object))
    frame = frame.assign(**{c: None for c in TRIALS.names if c not in frame})
    folder.mkdir(parents=True, exist_ok=True)
    _write(frame, folder, np.full((len(frame), queries), 0.5, np.float32))
    return len(frame)
