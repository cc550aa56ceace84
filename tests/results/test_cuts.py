"""Tables cut short at every byte, as a disk that is full or a copy that stopped leaves them."""

import os
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from bench.errors import DamagedFile
from bench.measuring.runner import run
from bench.results.history import _SCHEMA as HISTORY_SCHEMA
from bench.results.history import load_history
from bench.results.store import Store, load, load_queries, load_rankings
from bench.results.tables import QUERIES
from bench.results.texts import load_texts, write_texts
from tests.histories import history

FOOTER = 600
"""Bytes at either end of a table that are all tried; between them, one of so many."""
STEP = 7


@pytest.fixture
def folder(tmp_path):
    """A results folder whose rows lie in single parts, with rankings and texts."""
    store = Store(tmp_path / "r")
    row = {"trial_id": "a", "status": "ok", "dataset": "d", "backend": "b", "machine": "m"}
    asked = {name: [0.5] for name in QUERIES.names} | {
        "query_id": ["q"],
        "query_group": ["g"],
        "relevant_ranks": [[1]],
        "relevant_grades": [[1]],
    }
    store.add({**row, "started_at": "2026"}, asked, [["d1", "d2"]])
    write_texts(tmp_path / "r", "d", ["q"], ["what is it"])
    return tmp_path / "r"


def cut_anywhere(path, read, step=1):
    """Cut a file shorter and shorter; assert that each rest is refused in a line that names it."""
    size = path.stat().st_size
    for length in reversed(range(size)):
        if length % step and FOOTER < length < size - FOOTER:
            continue
        os.truncate(path, length)
        with pytest.raises(DamagedFile) as refused:
            read()
        message = str(refused.value)
        assert str(path) in message
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("parts/a.queries.parquet", load_queries),
        ("parts/a.trials.parquet", lambda folder: Store(folder).done()),
        ("rankings/a.parquet", lambda folder: load_rankings(folder, "a")),
        ("texts.parquet", lambda folder: load_texts(folder, "d")),
    ],
)
def test_a_table_cut_short_anywhere_is_named(folder, name, read):
    cut_anywhere(folder / name, lambda: read(folder), STEP if "trials" in name else 1)


@pytest.mark.slow
@pytest.mark.parametrize("joined", [True, False])
def test_all_rows_cut_short_at_every_byte_are_named(folder, joined):
    store = Store(folder)
    for i in range(2):
        store.add({**store.rows()["a"], "trial_id": f"b{i}"}, hold=joined)
    if joined:
        store.flush()
        path = next(store.parts.glob("joined-*.trials.parquet"))
    else:
        store.gather()
        path = folder / "trials.parquet"
    cut_anywhere(path, lambda: load(folder))


def test_a_history_cut_short_anywhere_is_named(tmp_path):
    table = pa.Table.from_pandas(history([1.0, 2.0]), schema=HISTORY_SCHEMA, preserve_index=False)
    path = tmp_path / "h.parquet"
    pq.write_table(table.replace_schema_metadata(HISTORY_SCHEMA.metadata), path)
    cut_anywhere(path, lambda: load_history(path))


@pytest.mark.parametrize("kind", ["trials", "queries"])
def test_a_run_over_a_part_cut_short_names_it_and_goes_on_once_it_is_gone(measured, tmp_path, kind):
    folder = shutil.copytree(measured, tmp_path / "r")
    study = measured.parent / "study.toml"
    store = Store(folder)
    trial_id, row = next(
        (i, row) for i, row in store.rows().items() if row["backend"] == "faiss-hnsw"
    )
    every = pq.read_table(folder / "queries.parquet")
    columns = every.filter(pc.equal(every["trial_id"], trial_id)).to_pydict()
    store.add(row, {name: columns[name] for name in QUERIES.names if name != "trial_id"})
    parts = {each: store.parts / f"{trial_id}.{each}.parquet" for each in ("trials", "queries")}
    os.truncate(parts[kind], 100)
    also = " and its .*trials" if kind == "queries" else ""
    with pytest.raises(DamagedFile, match=f"{parts[kind]} is damaged .*; delete it{also}"):
        run(study, folder, progress=False)
    for path in parts.values():
        path.unlink()
    before = load(folder)
    assert len(run(study, folder, progress=False)) == len(before)
