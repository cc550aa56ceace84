"""Histories made by hand: figures of some configurations over commits."""

import hashlib
import json

import numpy as np
import pandas as pd

from bench.results.history import HISTORY_COLUMNS

ROW = {
    "study": "s",
    "dataset": "d",
    "encoder": "e",
    "reducer": "truncate",
    "reducer_params": "",
    "dim": 64,
    "precision": "float32",
    "backend": "faiss-hnsw",
    "build_params": "{}",
    "search_params": "{}",
    "stages": "",
    "k": 10,
    "threads": 1,
    "clients": 1,
    "arrival": 0.0,
    "reducer_kind": "prefix",
    "dataset_fingerprint": "f",
    "n_queries": 100,
    "machine": "one",
}


def sha(commit):
    """Return the hash of commit number `commit`."""
    return f"{commit:07x}".ljust(40, "0")


def history(values, figure="latency_ms_p50", versions=(), samples=1, **row):
    """Return the rows of one series: `values` by commit, `samples` of each in turn.

    `versions` are the library versions of each commit.
    """
    rows = [
        ROW
        | {
            "commit": sha(i // samples),
            "commit_date": f"2026-01-01T{i // samples // 60:02}:{i // samples % 60:02}:00+00:00",
            "commit_number": i // samples,
            "added_at": "2026-02-01T00:00:00+00:00",
            "library_versions": json.dumps(versions[i // samples] if versions else {}),
            "trial_id": _digest([figure, {k: str(v) for k, v in row.items()}]),
            "started_at": f"2026-01-02T{i:05}",
            "figure": figure,
            "value": float(value),
            "low": np.nan,
            "high": np.nan,
        }
        | row
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows)[[column.name for column in HISTORY_COLUMNS]]


def noisy(n, seed, sd=0.02, step=0.0, at=0):
    """Return times of `n` commits around 1 ms, from `at` on larger by the share `step`."""
    rng = np.random.default_rng(seed)
    return np.exp(sd * rng.standard_normal(n)) * np.where(np.arange(n) >= at, 1 + step, 1.0)


def _digest(value) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=10).hexdigest()
