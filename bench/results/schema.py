"""Every column of the tables, declared once."""

from __future__ import annotations

import pyarrow as pa

from bench.quality.measures import MEASURES

SCHEMA_VERSION = 4
_VERSION_KEY = b"matryoshka-bench.schema"
STATUSES = ("ok", "failed", "timeout", "out_of_memory", "crashed", "skipped", "pruned")
_TEXT, _INT, _FLOAT, _FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
# Everything that says which configuration a row measured; the rest of a row is what was found.
CONFIGURATION = {
    "dataset": _TEXT,
    "dataset_fingerprint": _TEXT,
    "synthetic": _FLAG,
    "encoder": _TEXT,
    "n_corpus": _INT,
    "n_queries": _INT,
    "full_dim": _INT,
    "reducer": _TEXT,
    "reducer_params": _TEXT,
    "dim": _INT,
    "precision": _TEXT,
    "backend": _TEXT,
    "build_params": _TEXT,
    "search_params": _TEXT,
    "stages": _TEXT,
    "k": _INT,
    "threads": _INT,
    "clients": _INT,
}
TRIALS = pa.schema(
    {
        "trial_id": _TEXT,
        "study": _TEXT,
        "status": _TEXT,
        "error": _TEXT,
        **CONFIGURATION,
        **{f"{name}{bound}": _FLOAT for name in MEASURES for bound in ("", "_low", "_high")},
        **{f"retained_ndcg_at_10{bound}": _FLOAT for bound in ("", "_low", "_high")},
        "ann_recall_at_10": _FLOAT,
        **{f"fidelity_at_10{bound}": _FLOAT for bound in ("", "_low", "_high")},
        "loss_dimension": _FLOAT,
        "loss_precision": _FLOAT,
        "loss_search": _FLOAT,
        "latency_ms_p50": _FLOAT,
        "latency_ms_p95": _FLOAT,
        "latency_ms_p99": _FLOAT,
        "qps": _FLOAT,
        "batch_qps": _FLOAT,
        "rescore_ms_p50": _FLOAT,
        "server_ms_p50": _FLOAT,
        "encode_ms_p50": _FLOAT,
        **{f"speedup_vs_exact{bound}": _FLOAT for bound in ("", "_low", "_high")},
        "bandwidth_fraction": _FLOAT,
        "build_seconds": _FLOAT,
        "bytes_per_vector": _FLOAT,
        "index_bytes": _INT,
        "disk_bytes": _INT,
        "memory_bytes": _INT,
        "peak_memory_bytes": _INT,
        "threads_seen": _INT,
        "threads_started": _INT,
        "caution": _TEXT,
        "started_at": _TEXT,
        "library_versions": _TEXT,
        "machine": _TEXT,
        "notes": _TEXT,
    },
    metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()},
)
_BEFORE = {"clients": 1}
"""What a column stands for in tables older than it, where that is not empty."""
QUERIES = pa.schema(
    {
        "trial_id": _TEXT,
        "query_id": _TEXT,
        "ndcg_at_10": _FLOAT,
        "recall_at_10": _FLOAT,
        "first_relevant_rank": _INT,
        "fidelity_at_10": _FLOAT,
        "latency_ms": _FLOAT,
    },
    metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()},
)
RANKINGS = pa.schema({"query_id": _TEXT, "doc_ids": pa.list_(_TEXT)})
