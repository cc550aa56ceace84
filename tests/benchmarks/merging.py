"""The time and the memory of a merge of four folders with many rows of queries.

``python -m tests.benchmarks.merging [200 2000 …]`` takes numbers of trials, of 5,000 queries each.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench.results.store import Store
from bench.results.streaming import write_rows
from bench.results.tables import QUERIES, TRIALS
from bench.study.reader import write_study
from bench.study.schema import Study

FOLDERS, ASKED = 4, 5_000
MERGE = """
import resource, sys, time
from bench.results.merging import merge
begun = time.monotonic()
merge(sys.argv[2:], sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{time.monotonic() - begun:.1f} s, at most {peak:.0f} MiB resident")
"""


def fill(folder: Path, ids: list[str]) -> None:
    write_study(Study(name="s", dataset=["d"], dimensions=[8]), Store(folder).folder)
    same = {
        "status": "ok",
        "dataset": "d",
        "backend": "b",
        "machine": "m",
        "library_versions": "{}",
    }
    rows = [{"trial_id": i, "started_at": "2026-01-01T00:00:00+0000", **same} for i in ids]
    pq.write_table(pa.Table.from_pylist(rows, schema=TRIALS), folder / "trials.parquet")
    queries = [f"query-{i}" for i in range(ASKED)]
    figures = np.random.default_rng(0).random((len(ids), ASKED))

    def table(trial_id: str, values: np.ndarray) -> pa.Table:
        columns = {name: pa.nulls(ASKED, QUERIES.field(name).type) for name in QUERIES.names}
        columns |= {"trial_id": [trial_id] * ASKED, "query_id": queries}
        columns |= dict.fromkeys(("ndcg_at_10", "ann_recall_at_10", "latency_ms"), values)
        return pa.table(columns, schema=QUERIES)

    write_rows(folder / "queries.parquet", QUERIES, map(table, ids, figures))


def main() -> None:
    for trials in map(int, sys.argv[1:] or ["200", "2000"]):
        with tempfile.TemporaryDirectory() as name:
            folders = [Path(name) / str(number) for number in range(FOLDERS)]
            for number, folder in enumerate(folders):
                fill(folder, [f"{number}-{i}" for i in range(trials // FOLDERS)])
            print(f"{trials * ASKED:,} rows: ", end="", flush=True)
            command = [sys.executable, "-c", MERGE, f"{name}/merged", *map(str, folders)]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
