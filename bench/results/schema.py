"""Every column of the tables, declared once.

The parquet schema, the README of this folder, the page, the terminal, the gate and the export are
read off these declarations, those of quality in `quality_columns`. To add a measured column,
declare it and measure it; a column computed from others belongs in `bench.results.derived`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.results.columns import Column
from bench.results.quality_columns import QUALITY_COLUMNS

HISTORY = {
    1: "The first tables.",
    2: "nDCG at 1, 5 and 100, MAP at 100, the rank of the first relevant document.",
    3: "Rescoring time, bytes on disk, cautions, threads started; the status `pruned`.",
    4: "Several clients per server, and the server's own time.",
    5: "The kind of reducer and the bits per component are stored with each row.",
    6: "Intervals of times and of ANN recall, the worst queries, cold caches, a fixed arrival "
    "rate, groups of queries, BM25, random subsets.",
    7: "The rank and grade of every relevant document: quality in a corpus of another size. "
    "Quality alone at any precision; the status `passed_over`.",
    8: "Bytes of vectors read per query.",
}
"""Additions of each version of the tables. Older tables can still be read."""
SCHEMA_VERSION = max(HISTORY)

STATUSES = {
    "ok": "measured",
    "failed": "the library raised an error",
    "timeout": "took longer than the study's `timeout_seconds`",
    "out_of_memory": "took more than the memory limit",
    "crashed": "the library ended the process",
    "skipped": "the library is not installed",
    "pruned": 'not timed: `sweep = "pareto"` found it dominated',
    "passed_over": 'not timed: `sweep = "bisect"` found another width of the search to be enough',
}
"""Every status of a trial, with its meaning."""
PRUNED, PASSED_OVER = "pruned", "passed_over"
NOT_TIMED = (PRUNED, PASSED_OVER)
"""Statuses of trials that a sweep left out on purpose."""


def _kind_before(row: Mapping[str, Any]) -> str:
    kinds = {"truncate": "prefix", "random_subset": "baseline", "adaptor": "learned"}
    return kinds.get(row["reducer"], "rotation")


def _bits_before(row: Mapping[str, Any]) -> float | None:
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}
    return (bits | {"binary": 1, "binary_asymmetric": 1}).get(row["precision"])


TRIAL_COLUMNS = (
    Column("trial_id", "text", "identity", "digest of configuration, data, versions and machine"),
    Column("study", "text", "identity", "name of the study"),
    Column("status", "text", "identity", f"how the trial ended: {', '.join(STATUSES)}", page=True),
    Column("error", "text", "identity", "why it did not end ok, one line"),
    Column("dataset", "text", "configuration", "the dataset as the study names it"),
    Column("encoder", "text", "configuration", "the encoder as the study names it; empty for none"),
    Column("dataset_fingerprint", "text", "data", "digest of texts or vectors, ids and judgements"),
    Column("synthetic", "flag", "data", "whether the vectors are generated: speed and scale only"),
    Column("n_corpus", "int", "data", "documents"),
    Column("n_queries", "int", "data", "queries"),
    Column(
        "n_groups",
        "int",
        "data",
        "groups that the intervals resample; empty if queries are resampled",
        since=6,
    ),
    Column("full_dim", "int", "data", "the full dimension D of the vectors"),
    Column("reducer", "text", "configuration", "how the vectors are shortened", page=True),
    Column("reducer_params", "text", "configuration", "its parameters, JSON; empty for none"),
    Column("dim", "int", "configuration", "the dimension searched; 0 for BM25"),
    Column("precision", "text", "configuration", "how a component is stored"),
    Column(
        "backend",
        "text",
        "configuration",
        "the index; `exact` for the exact pass and `bm25` for the ranking by words (no times)",
    ),
    Column("build_params", "text", "configuration", "build parameters, JSON"),
    Column("search_params", "text", "configuration", "search parameters, JSON"),
    Column("stages", "text", "configuration", "steps after the index's own search, JSON"),
    Column("k", "int", "configuration", "results per query"),
    Column("threads", "int", "configuration", "threads that the library may use"),
    Column(
        "clients",
        "int",
        "configuration",
        "processes that query a server at once",
        since=4,
        before=1,
    ),
    Column(
        "arrival",
        "float",
        "configuration",
        "share of the closed-loop throughput at which queries arrive at random; 0 for the closed "
        "loop",
        since=6,
        before=0.0,
    ),
    Column(
        "reducer_kind",
        "text",
        "data",
        "prefix (truncation), baseline (a random control), rotation (an untrained map) or learned",
        since=5,
        before=_kind_before,
    ),
    Column(
        "component_bits",
        "float",
        "data",
        "bits per stored component; empty if the size depends on the index",
        since=5,
        before=_bits_before,
    ),
    *QUALITY_COLUMNS,
    Column(
        "latency_ms_p50",
        "float",
        "time",
        "median time of one query with warm caches, ms; with `arrival`, from when it was due",
        better="lower",
        history=True,
        interval=True,
        interval_since=6,
        page=True,
        heading="p50 ms",
    ),
    Column(
        "latency_ms_p95",
        "float",
        "time",
        "95th percentile of the same times, ms",
        better="lower",
        history=True,
        interval=True,
        interval_since=6,
        page=True,
        heading="p95 ms",
    ),
    Column(
        "latency_ms_p99",
        "float",
        "time",
        "99th percentile, ms: of 1,000 queries it rests on ten; no upper bound below 368",
        better="lower",
        interval=True,
        interval_since=6,
        page=True,
    ),
    Column(
        "latency_cold_ms_p50",
        "float",
        "time",
        "median time of some twenty queries, each from cold processor caches, ms",
        since=6,
        better="lower",
        interval=True,
    ),
    *(
        Column(
            f"process_latency_ms_p{percent}",
            "floats",
            "time",
            f"`latency_ms_p{percent}` of each process that built and measured the index",
            since=6,
        )
        for percent in (50, 95, 99)
    ),
    Column(
        "repeats_done",
        "int",
        "time",
        "how often each query was timed: below the study's `repeats` if it took too long",
        since=6,
    ),
    Column(
        "qps",
        "float",
        "time",
        "queries per second, one after the other; with several clients, of all of them",
        better="higher",
        page=True,
        heading="QPS",
        form=",.0f",
    ),
    Column(
        "batch_qps",
        "float",
        "time",
        "queries per second if all are asked in one call",
        better="higher",
        page=True,
    ),
    Column(
        "rescore_ms_p50",
        "float",
        "time",
        "median time of the steps after the index's own search, ms",
        since=3,
        better="lower",
    ),
    Column(
        "server_ms_p50",
        "float",
        "time",
        "median time that the server reports for itself, ms; the rest is connection and client",
        since=4,
        better="lower",
    ),
    Column(
        "encode_ms_p50",
        "float",
        "time",
        "median time to encode one query, ms; not part of the latency",
        better="lower",
        page=True,
    ),
    Column(
        "speedup_vs_exact",
        "float",
        "time",
        "times faster than exact search at the full dimension: median of rounds, warm caches",
        better="higher",
        history=True,
        interval=True,
        page=True,
        heading="× exact",
        form=".1f",
    ),
    Column(
        "process_speedup",
        "floats",
        "time",
        "`speedup_vs_exact` of each process that built and measured the index",
        since=6,
    ),
    Column(
        "bandwidth_fraction",
        "float",
        "time",
        "bytes read over what one thread reads from main memory in that time; above 1 the index "
        "lies in cache",
        page=True,
    ),
    Column(
        "bytes_read",
        "float",
        "memory",
        "bytes of vectors that a query reads, later stages included; empty if they are not counted",
        since=8,
        better="lower",
    ),
    Column(
        "build_seconds",
        "float",
        "time",
        "time to build the index, s",
        better="lower",
        history=True,
        page=True,
    ),
    Column(
        "bytes_per_vector",
        "float",
        "memory",
        "bytes per vector in memory: the serialised index and the vectors that later stages read",
        better="lower",
        history=True,
        page=True,
        heading="bytes",
        form=",.0f",
    ),
    Column("index_bytes", "int", "memory", "the same for the whole corpus, bytes", better="lower"),
    Column(
        "disk_bytes",
        "int",
        "memory",
        "bytes that later stages read from disk",
        since=3,
        better="lower",
    ),
    Column(
        "memory_bytes",
        "int",
        "memory",
        "growth of the process's unique set size (USS) by the build, bytes",
        better="lower",
        history=True,
        page=True,
    ),
    Column(
        "peak_memory_bytes",
        "int",
        "memory",
        "peak growth of the resident set during the build, bytes",
        better="lower",
    ),
    Column("threads_seen", "int", "provenance", "threads of the process while it searched"),
    Column(
        "threads_started", "int", "provenance", "threads that the library itself started", since=3
    ),
    Column(
        "allocator",
        "text",
        "provenance",
        "settings of the memory allocator and of huge pages while it was measured",
        since=6,
    ),
    Column(
        "caution",
        "text",
        "provenance",
        "why the configuration is not recommended: an adaptor that its training found no better",
        since=3,
    ),
    Column("started_at", "text", "provenance", "when the trial began, ISO 8601"),
    Column("library_versions", "text", "provenance", "versions behind the row, JSON"),
    Column("machine", "text", "provenance", "processor, cores, memory, system"),
    Column("notes", "text", "provenance", "what a reader must know of the dataset, a line each"),
)
"""``trials.parquet``: one row per trial."""

QUERY_COLUMNS = (
    Column("trial_id", "text", "query", "the trial"),
    Column("query_id", "text", "query", "the query's id in the dataset"),
    Column("query_group", "text", "query", "the group it belongs to; empty for none", since=6),
    Column("ndcg_at_10", "float", "query", "nDCG@10 of this query", better="higher"),
    Column("recall_at_10", "float", "query", "recall@10 of this query", better="higher"),
    Column(
        "first_relevant_rank",
        "int",
        "query",
        "rank of the best relevant document in the whole corpus (backend `exact` only)",
        since=2,
        better="lower",
    ),
    Column(
        "relevant_ranks",
        "ints",
        "query",
        "rank of each relevant document in the corpus, ascending; `n_corpus` + 1 for one that it "
        "lacks (backend `exact` only)",
        since=7,
    ),
    Column(
        "relevant_grades",
        "ints",
        "query",
        "the grades of those documents, in the same order",
        since=7,
    ),
    Column("fidelity_at_10", "float", "query", "fidelity@10 of this query", better="higher"),
    Column(
        "ann_recall_at_10",
        "float",
        "query",
        "ANN recall@10 of this query (timed trials only)",
        since=6,
        better="higher",
    ),
    Column("latency_ms", "float", "query", "its median time over the repeats, ms", better="lower"),
)
"""``queries.parquet``: one row per trial and query."""

RANKING_COLUMNS = (
    Column("query_id", "text", "query", "the query's id in the dataset"),
    Column("doc_ids", "texts", "query", "ids of the documents found, best first"),
)
"""``rankings/TRIAL.parquet``: ids of the documents found, one row per query."""

TEXT_COLUMNS = (
    Column("dataset", "text", "query", "the dataset as the study names it"),
    Column("query_id", "text", "query", "the query's id in the dataset"),
    Column("text", "text", "query", "its text, the first 300 letters"),
)
"""``texts.parquet``: the queries of text datasets."""

COLUMNS = {each.name: each for column in TRIAL_COLUMNS for each in column.all()}
"""Every column of the trials table by name, bounds of intervals included, in the table's order."""
CONFIGURATION = tuple(c.name for c in TRIAL_COLUMNS if c.group == "configuration")
"""Columns that identify the configuration of a row."""
