"""Targets that read what this package wrote: results, histories, pairs of the gate, plans.

What is accepted of a damaged file must be just what was written: these tables have checksums.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.advising.plan import PLAN, earlier_tables
from bench.analysis.recommendation import recommend
from bench.analysis.regression import compare
from bench.errors import UsageError
from bench.gate import compare_folder
from bench.report.advised import advised
from bench.report.page.build import _studies as shown_studies
from bench.results.history import _SCHEMA as HISTORY_SCHEMA
from bench.results.history import load_history
from bench.results.store import (
    ADVICE,
    Store,
    load,
    load_quality,
    load_queries,
    load_rankings,
    load_relevant,
)
from bench.results.tables import QUERIES, TRIALS
from bench.results.texts import load_texts, write_texts
from bench.study.schema import Study
from tests.fuzz.target import Target
from tests.histories import history

measured = Path()
"""A results folder that was measured; `measure` makes one."""
_STUDY = """
name = "s"
dataset = "vectors:{}"
dimensions = [4, 8]
repeats = 1
subsets = 9
[[configurations]]
backend = "faiss-flat"
[[configurations]]
backend = "faiss-hnsw"
build = {{ M = 8, ef_construction = 40 }}
search = {{ ef = [10, 40] }}
"""


def measure(folder: Path) -> None:
    """Measure a small study in a process of its own, for `measured`."""
    global measured
    vectors = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    (folder / "v" / "qrels").mkdir(parents=True)
    np.save(folder / "v" / "corpus.npy", vectors)
    np.save(folder / "v" / "queries.npy", vectors[:10] + np.float32(0.1))
    judged = "".join(f"{i}\t{i}\t1\n" for i in range(10))
    (folder / "v" / "qrels" / "test.tsv").write_text(judged)
    (folder / "study.toml").write_text(_STUDY.format(folder / "v"))
    measured = folder / "r"
    command = [sys.executable, "-m", "bench", "run", str(folder / "study.toml")]
    environment = {**os.environ, "MATRYOSHKA_BENCH_CACHE": str(folder / "cache")}
    subprocess.run(
        [*command, "--out", str(measured)], env=environment, check=True, capture_output=True
    )


def _frames(*frames: pd.DataFrame | None) -> list[str | None]:
    return [None if frame is None else frame.to_json(orient="split") for frame in frames]


def _results(folder: Path, rng: random.Random) -> None:
    store = Store(folder)
    for name in ("aa", "bb"):
        row = {
            "trial_id": name,
            "status": "ok",
            "dataset": "d",
            "backend": name,
            "dim": 8,
            "k": 10,
            "machine": "m",
            "started_at": f"2026-{name}",
            "ndcg_at_10": 0.5,
            "notes": "[]",
        }
        queries = {column: [0.5] * 5 for column in QUERIES.names} | {
            "query_id": [f"q{i}" for i in range(5)],
            "query_group": ["g"] * 5,
            "relevant_ranks": [[1, 3]] * 5,
            "relevant_grades": [[1, 2]] * 5,
        }
        store.add(row, queries, [["d1", "d2"]] * 5, hold=rng.random() < 0.5)
    store.flush()
    if rng.random() < 0.5:
        store.gather()


def _read_results(folder: Path) -> Any:
    store = Store(folder)
    done, rows = store.done(), store.rows(["status", "qps"])
    frame = load(folder)
    rankings = [load_rankings(folder, name) for name in sorted(frame["trial_id"])]
    relevant = load_relevant(folder, ["aa"])
    read = _frames(frame, load_queries(folder), load_quality(folder), relevant, *rankings)
    return done, rows, read


def _texts(folder: Path, rng: random.Random) -> None:
    for dataset in ("d", "e"):
        write_texts(folder, dataset, ["q1", "q2"], ["what is ü", f"what is {dataset}"])


def _read_texts(folder: Path) -> Any:
    found = load_texts(folder, "d")
    write_texts(folder, "f", ["q"], ["t"])
    return found, load_texts(folder, "e")


def _history(folder: Path, rng: random.Random) -> None:
    frame = history([1.0, 1.1, 1.2], samples=rng.randint(1, 2))
    table = pa.Table.from_pandas(frame, schema=HISTORY_SCHEMA, preserve_index=False)
    pq.write_table(
        table.replace_schema_metadata(HISTORY_SCHEMA.metadata),
        folder / "h.parquet",
        compression="zstd",
        write_page_checksum=True,
    )


def _read_history(folder: Path) -> Any:
    return _frames(load_history(folder / "h.parquet"))


def _two(folder: Path, rng: random.Random) -> None:
    for name in ("base", "head"):
        (folder / name).mkdir()
        for table in ("trials", "queries"):
            shutil.copy(measured / f"{table}.parquet", folder / name)


def _read_two(folder: Path) -> Any:
    one, other = load(folder / "base"), load(folder / "head")
    load_quality(folder / "base"), load_quality(folder / "head")
    return compare(one, other).verdict


def _pairs(folder: Path, rng: random.Random) -> None:
    """Write a comparison of two sides as the gate leaves it, of two pairs and one slice."""
    side = {"label": "main", "identity": "a"}
    about = {"study": {"name": "s"}, "slices": 1, "base": side, "head": {**side, "label": "."}}
    (folder / "sides.json").write_text(json.dumps(about, indent=1))
    done = [
        {"pair": pair, "slice": 0, "side": side, "seconds": 1.5, "imported": 0.2}
        for pair in (0, 1)
        for side in ("base", "head")
    ]
    (folder / "done.jsonl").write_text("".join(json.dumps(line) + "\n" for line in done))
    for name in ("base/0", "base/1", "head/0", "head/1"):
        (folder / name).mkdir(parents=True)
        for table in ("trials.parquet", "queries.parquet", "tasks.jsonl"):
            shutil.copy(measured / table, folder / name)


def _read_pairs(folder: Path) -> None:
    assert compare_folder(folder).verdict


def _values(folder: Path, rng: random.Random) -> None:
    """Write rows as JSON, so that damage makes whole tables of strange values."""
    table = pq.read_table(measured / "trials.parquet")
    rows = [row for row in table.to_pylist() if row["dim"] in (4, 8)]
    kept = [{k: v for k, v in row.items() if v is not None} for row in rows]
    (folder / "rows.json").write_text(json.dumps(kept, indent=0))
    shutil.copy(measured / "queries.parquet", folder)


def _read_values(folder: Path) -> None:
    try:
        rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
        filled = [{name: row.get(name) for name in TRIALS.names} for row in rows]
        table = pa.Table.from_pylist(filled, schema=TRIALS)
    except Exception as error:  # no table can hold these values
        raise UsageError(f"{folder} is no table") from error
    pq.write_table(table, folder / "trials.parquet", write_page_checksum=True)
    frame = load(folder)
    compare(frame, frame)
    recommend(frame, load_quality(folder))


def _advice(folder: Path, rng: random.Random) -> None:
    answer = {"dataset": "d", "encoder": "", "sentences": ["Use it."], "code": "deploy/a/x.py"}
    (folder / ADVICE).write_text(json.dumps(answer, indent=1))
    (folder / "deploy" / "a").mkdir(parents=True)
    (folder / "deploy" / "a" / "x.py").write_text("print('ü')\n")


def _read_advice(folder: Path) -> None:
    found = advised(folder)
    if found is not None:
        texts = [found.dataset, found.encoder, found.code, *found.sentences]
        assert all(isinstance(text, str) for text in texts)
        assert found.code in ("", "print('ü')\n") or "x.py" in str(list(folder.rglob("*")))


def _plan(folder: Path, rng: random.Random) -> None:
    (folder / PLAN).write_text(
        'name = "advise"\nkeep = 0.98\ndataset = ["d"]\ndimensions = [8]\n\n[[configurations]]\n'
        'backend = "exact"\nreducer = "truncate"\ndimensions = 8\nprecision = ["int8", "binary"]\n'
        "\n[configurations.stages]\nshortlist = [20, 50]\n"
    )


def _read_plan(folder: Path) -> None:
    tables = earlier_tables(folder, 0.98)
    Study(name="s", dataset=["d"], dimensions=[8], configurations=tables)


def _studies(folder: Path, rng: random.Random) -> None:
    (folder / "studies").mkdir()
    (folder / "studies" / "s.toml").write_text('name = "s – ü"\n')


def _read_studies(folder: Path) -> None:
    for text in shown_studies(folder).values():
        text.encode()


KEPT = {
    "results": Target(_results, _read_results, share=0.2, same=True),
    "rankings": Target(_results, _read_results, only="rankings/*.parquet", share=0.1, same=True),
    "texts": Target(_texts, _read_texts, same=True),
    "history": Target(_history, _read_history, same=True),
    "compare": Target(_two, _read_two, share=0.05, same=True),
    "pairs": Target(_pairs, _read_pairs, only="*.json*", share=0.03),
    "values": Target(_values, _read_values, only="rows.json", share=0.1, named=(" ",)),
    "advice": Target(_advice, _read_advice),
    "plan": Target(_plan, _read_plan),
    "studies": Target(_studies, _read_studies),
}
