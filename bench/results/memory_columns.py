"""The columns of memory in the table of trials."""

from __future__ import annotations

from bench.results.columns import Column

MEMORY_COLUMNS = (
    Column(
        "bytes_read",
        "float",
        "memory",
        "bytes of vectors read per query, by the index and later stages; empty if it does not "
        "count them",
        since=8,
        better="lower",
    ),
    Column(
        "bytes_per_vector",
        "float",
        "memory",
        "bytes per vector in memory: the index, vectors that later stages read, BM25's index if "
        "fused",
        better="lower",
        history=True,
        page=True,
        heading="bytes",
        form=",.0f",
    ),
    Column(
        "code_bytes",
        "float",
        "memory",
        "bytes of one stored vector, without what all vectors share; empty if the index adds to it",
        since=8,
        better="lower",
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
)
