"""Every column of the tables, declared once.

The parquet schema, the README of this folder, the page, the terminal, the gate and the export are
read off these declarations. To add a measured column, declare it here and measure it; a column
computed from others belongs in `bench.results.derived`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import near_miss
from bench.quality.measures import MEASURES

Type = Literal["text", "int", "float", "flag", "texts", "floats"]
Group = Literal[
    "identity", "data", "configuration", "quality", "time", "memory", "provenance", "query"
]
_PYTHON: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "int": (int,),
    "float": (float, int),
    "flag": (bool,),
    "texts": (list,),
    "floats": (list,),
}

HISTORY = {
    1: "The first tables.",
    2: "nDCG at 1, 5 and 100, MAP at 100, the rank of the first relevant document.",
    3: "Rescoring time, bytes on disk, cautions, threads started; the status `pruned`.",
    4: "Several clients per server, and the server's own time.",
    5: "The kind of reducer and the bits per component are stored with each row.",
    6: "Intervals of times and of ANN recall, the worst queries, cold caches, a fixed arrival "
    "rate, groups of queries, BM25, random subsets.",
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
}
"""Every status of a trial, with its meaning."""


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: Type
    group: Group
    meaning: str
    """One line for the README and the page's legend, the unit included."""
    since: int = 1
    """Version of the tables that added it."""
    before: Any = None
    """Default in older tables: a constant, a function of the older row, or None for empty."""
    better: Literal["higher", "lower"] | None = None
    interval: bool = False
    """Whether NAME_low and NAME_high, the bounds of its 95 % interval, are columns too."""
    interval_since: int = 0
    """Version that added the bounds, if later than the column."""
    gate: bool = False
    """Whether the regression gate compares it exactly."""
    page: bool = False
    """Whether the page's table of all trials shows it."""
    heading: str = ""
    """Its heading in the table of the Pareto front; not listed if empty."""
    form: str = ".3f"
    """Format of its numbers in that table."""

    def all(self) -> tuple[Column, ...]:
        """Return this column and, if it has an interval, those of the two bounds."""
        if not self.interval:
            return (self,)
        bounds = (("low", "lower"), ("high", "upper"))
        return self, *(
            Column(
                f"{self.name}_{short}",
                "float",
                self.group,
                f"{word} bound of the 95 % interval of `{self.name}`",
                max(self.since, self.interval_since),
            )
            for short, word in bounds
        )


def _kind_before(row: Mapping[str, Any]) -> str:
    kinds = {"truncate": "prefix", "random_subset": "baseline", "adaptor": "learned"}
    return kinds.get(row["reducer"], "rotation")


def _bits_before(row: Mapping[str, Any]) -> float | None:
    bits = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}
    return (bits | {"binary": 1, "binary_asymmetric": 1}).get(row["precision"])


def _measure(name: str) -> Column:
    words = {"ndcg": "nDCG", "recall": "Recall", "mrr": "MRR", "map": "MAP"}
    kind, _, depth = name.partition("_at_")
    return Column(
        name,
        "float",
        "quality",
        f"{words[kind]}@{depth}, mean over queries; "
        f"empty if the trial's `k` is below {MEASURES[name]}",
        since=2 if name in ("ndcg_at_1", "ndcg_at_5", "ndcg_at_100", "map_at_100") else 1,
        better="higher",
        interval=True,
        gate=name in ("ndcg_at_10", "recall_at_10", "recall_at_100", "mrr_at_10"),
        page=True,
    )


def _worst(name: str) -> tuple[Column, Column]:
    return (
        Column(
            f"{name}_worst_tenth",
            "float",
            "quality",
            f"mean of `{name}` over the tenth of the queries where it is lowest",
            since=6,
            better="higher",
            page=True,
            heading="worst tenth" if name == "ann_recall_at_10" else "",
        ),
        Column(
            f"{name}_p5",
            "float",
            "quality",
            f"5th percentile of `{name}` over the queries",
            since=6,
            better="higher",
        ),
    )


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
    *(_measure(name) for name in MEASURES),
    Column(
        "retained_ndcg_at_10",
        "float",
        "quality",
        "share kept: nDCG@10 over that of exact search at the full dimension, paired by query",
        better="higher",
        interval=True,
        page=True,
    ),
    Column(
        "ann_recall_at_10",
        "float",
        "quality",
        "agreement with exact float32 search at the same dimension and stages; near-ties count",
        better="higher",
        interval=True,
        interval_since=6,
        gate=True,
        page=True,
        heading="recall",
    ),
    *_worst("ann_recall_at_10"),
    Column(
        "fidelity_at_10",
        "float",
        "quality",
        "agreement with exact search at the full dimension; ties and copies as above",
        better="higher",
        interval=True,
        gate=True,
        page=True,
    ),
    *_worst("fidelity_at_10"),
    Column(
        "loss_dimension",
        "float",
        "quality",
        "nDCG@10 lost by the dimension; the three losses add up to the distance from exact search "
        "at the full dimension",
        page=True,
    ),
    Column("loss_precision", "float", "quality", "nDCG@10 lost by the precision", page=True),
    Column("loss_search", "float", "quality", "nDCG@10 lost by the index", page=True),
    Column(
        "subsets",
        "int",
        "quality",
        "random permutations of the coordinates that truncation is ranked among (exact pass only)",
        since=6,
    ),
    Column(
        "subsets_quality",
        "float",
        "quality",
        "truncation's nDCG@10 on the queries and documents sampled for that; without judgements, "
        "fidelity@10",
        since=6,
    ),
    Column(
        "subsets_median",
        "float",
        "quality",
        "the same of the random subsets, median",
        since=6,
    ),
    Column("subsets_low", "float", "quality", "2.5th percentile of the random subsets", since=6),
    Column("subsets_high", "float", "quality", "97.5th percentile of the random subsets", since=6),
    Column(
        "subsets_p_better",
        "float",
        "quality",
        "p value of truncation being better than a random subset, by its rank among them",
        since=6,
    ),
    Column(
        "subsets_p_worse",
        "float",
        "quality",
        "p value of its being worse, likewise",
        since=6,
    ),
    Column(
        "latency_ms_p50",
        "float",
        "time",
        "median time of one query with warm caches, ms; with `arrival`, from when it was due",
        better="lower",
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
        "build_seconds", "float", "time", "time to build the index, s", better="lower", page=True
    ),
    Column(
        "bytes_per_vector",
        "float",
        "memory",
        "bytes per vector in memory: the serialised index and the vectors that later stages read",
        better="lower",
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
        "rank of the best relevant document in the whole corpus (exact pass only)",
        since=2,
        better="lower",
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

COLUMNS = {each.name: each for column in TRIAL_COLUMNS for each in column.all()}
"""Every column of the trials table by name, bounds of intervals included, in the table's order."""
CONFIGURATION = tuple(c.name for c in TRIAL_COLUMNS if c.group == "configuration")
"""Columns that identify the configuration of a row."""


class UndeclaredColumn(ValueError):
    """A row names a column that no table has, or holds a value of the wrong type."""


def checked(row: Mapping[str, Any], columns: Iterable[Column]) -> dict[str, Any]:
    """Return a copy of `row`; raises UndeclaredColumn for an unknown name or a wrong type."""
    known = {column.name: column for column in columns}
    for name, value in row.items():
        if name not in known:
            raise UndeclaredColumn(f"no column is called '{name}'{near_miss(name, known)}")
        wanted = known[name].type
        if value is None:
            continue
        if not isinstance(value, _PYTHON[wanted]) or (
            isinstance(value, bool) and wanted in ("int", "float")
        ):
            raise UndeclaredColumn(
                f"the column '{name}' holds {wanted}, not {type(value).__name__}"
            )
    return dict(row)
