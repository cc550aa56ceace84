"""The store: whole rows or none, and clear words about tables that cannot be read."""

import errno
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import bench.results.store as store_module
from bench.errors import DamagedFile, UsageError
from bench.results import tables
from bench.results.columns import UndeclaredColumn
from bench.results.derived import ALL_COLUMNS
from bench.results.schema import (
    HISTORY,
    QUERY_COLUMNS,
    SCHEMA_VERSION,
    TRIAL_COLUMNS,
)
from bench.results.store import (
    Store,
    load,
    load_quality,
    load_queries,
    load_rankings,
    other_machines,
)
from bench.results.tables import QUERIES, TRIALS


def row(trial_id, **values):
    defaults = {
        "status": "ok",
        "dataset": "d",
        "backend": "b",
        "dim": 8,
        "k": 10,
        "machine": "m",
        "started_at": f"2026-{trial_id}",
    }
    return {"trial_id": trial_id, "search_params": trial_id, **defaults, **values}


def asked(*ids):
    columns = {name: [0.5] * len(ids) for name in QUERIES.names}
    columns |= {name: [[3, 8]] * len(ids) for name in ("relevant_ranks", "relevant_grades")}
    return {**columns, "query_id": list(ids), "query_group": ["g"] * len(ids)}


def test_parts_and_gathered_tables_read_the_same(tmp_path):
    store = Store(tmp_path / "r")
    store.add(row("a"), asked("q1", "q2"))
    store.add(row("b", status="crashed"))
    before, before_queries = load(tmp_path / "r"), load_queries(tmp_path / "r")
    store.gather()
    assert not list(store.parts.iterdir())
    assert load(tmp_path / "r").equals(before)
    assert load_queries(tmp_path / "r").equals(before_queries)
    store.add(row("c"))
    assert store.done() == {"a": "ok", "b": "crashed", "c": "ok"}


def test_what_a_run_joins_while_it_is_read_is_read_whole(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add(row("a"), asked("q1", "q2"))
    store.add(row("b"), asked("q1"))
    before, before_queries = load(tmp_path), load_queries(tmp_path)
    listed = tables.files

    def overtaken(folder, kind):
        found = listed(folder, kind)
        monkeypatch.setattr(tables, "files", listed)
        store.gather()  # removes what is listed
        return found

    monkeypatch.setattr(tables, "files", overtaken)
    assert load_queries(tmp_path).equals(before_queries)
    assert load(tmp_path).equals(before)
    monkeypatch.setattr(tables, "files", lambda *_: [tmp_path / "gone.parquet"])
    with pytest.raises(DamagedFile, match=r"gone\.parquet"):
        load(tmp_path)


def test_a_kill_between_the_two_tables_of_a_gathering_doubles_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add(row("a"), asked("q1"))
    monkeypatch.setattr(
        type(store.parts), "unlink", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        store.gather()
    monkeypatch.undo()
    assert len(load(tmp_path)) == 1
    assert len(load_queries(tmp_path)) == 1


def test_a_partial_file_is_no_row_and_is_cleared(tmp_path):
    store = Store(tmp_path)
    store.add(row("a"))
    (tmp_path / "rankings").mkdir()
    leftovers = [
        folder / ".b.trials.77.partial.parquet" for folder in (store.parts, tmp_path / "rankings")
    ]
    for leftover in leftovers:
        leftover.write_bytes(b"PAR1half")
    assert list(Store(tmp_path).done()) == ["a"]
    assert all(each.exists() for each in leftovers), "another run may be writing them"
    with Store(tmp_path).held():
        assert not any(each.exists() for each in leftovers)
        assert list(Store(tmp_path).done()) == ["a"]


def test_what_has_several_lines_keeps_them_and_no_other_sign_acts(tmp_path):
    text = "the first\nthe \x1bsecond"
    Store(tmp_path).add(row("1", notes=text, error=text, backend=text))
    found = load(tmp_path).iloc[0]
    assert found["notes"] == found["error"] == "the first\nthe \\x1bsecond"
    assert found["backend"] == "the first the \\x1bsecond"


def test_a_configuration_measured_again_counts_once_the_newest(tmp_path):
    store = Store(tmp_path)
    store.add(row("1", search_params="same", ndcg_at_10=0.1))
    store.add(row("2", search_params="same", ndcg_at_10=0.2))
    assert list(load(tmp_path)["ndcg_at_10"]) == [0.2]


def test_unlike_machines_are_not_merged_in_silence(tmp_path):
    store = Store(tmp_path)
    store.add(row("1", machine="old"))
    store.add(row("2", machine="new"))
    frame = load(tmp_path)
    assert list(frame["machine"]) == ["new"]
    assert other_machines(tmp_path) == ["old"]
    assert len(load(tmp_path, all_machines=True)) == 2


def test_a_newer_schema_is_refused(tmp_path):
    table = TRIALS.empty_table().replace_schema_metadata({b"matryoshka-bench.schema": b"99"})
    pq.write_table(table, tmp_path / "trials.parquet")
    with pytest.raises(UsageError, match=r"newer matryoshka-bench .*99"):
        load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PAR1 cut off"])
def test_a_damaged_table_is_named(tmp_path, content):
    (tmp_path / "trials.parquet").write_bytes(content)
    with pytest.raises(UsageError, match=r"trials\.parquet is damaged"):
        load(tmp_path)


def test_a_table_of_an_older_schema_is_read_with_what_it_lacks_empty(tmp_path):
    Store(tmp_path).add(row("1"))
    path = next((tmp_path / "parts").glob("*.trials.parquet"))
    older = pq.read_table(path).drop_columns(["map_at_100", "clients"])
    pq.write_table(
        older.replace_schema_metadata({b"matryoshka-bench.schema": b"1"}),
        tmp_path / "trials.parquet",
    )
    path.unlink()
    assert load(tmp_path)["map_at_100"].isna().all()
    assert load(tmp_path)["clients"].tolist() == [1]


def test_a_foreign_table_is_refused(tmp_path):
    pq.write_table(pa.table({"x": [1]}), tmp_path / "trials.parquet")
    with pytest.raises(UsageError, match="no table of this suite"):
        load(tmp_path)


def test_a_full_disk_loses_nothing_measured(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.add(row("a"))

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bench.results.tables.pq.write_table", full)
    with pytest.raises(UsageError, match="No space left on device"):
        store.add(row("b"))
    monkeypatch.undo()
    assert list(store.done()) == ["a"]


def test_no_folder_and_no_trial_say_what_to_type(tmp_path):
    with pytest.raises(UsageError, match="no results folder"):
        load(tmp_path / "none")
    Store(tmp_path)
    with pytest.raises(UsageError, match="no measured trial yet"):
        load(tmp_path)


def test_a_column_that_no_table_has_is_refused_with_the_near_miss(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(UndeclaredColumn, match="'latncy_ms_p50'; did you mean 'latency_ms_p50'"):
        store.add(row("a", latncy_ms_p50=1.0))
    with pytest.raises(UndeclaredColumn, match="'dim' holds int, not str"):
        store.add(row("a", dim="8"))
    with pytest.raises(UndeclaredColumn, match="'ndgc_at_10'"):
        store.add(row("a"), {"query_id": ["q"], "ndgc_at_10": [1.0]})
    assert store.done() == {}


def test_a_table_that_an_older_version_wrote_is_read_whole():
    """`older.parquet` is a real table of schema 3: some rows of an earlier `results/baseline`."""
    path = Path(__file__).with_name("older.parquet")
    assert pq.read_schema(path).metadata[b"matryoshka-bench.schema"] == b"3"
    frame = load(path)
    exact = frame[frame["backend"] == "exact"]
    kinds = dict(zip(exact["reducer"], exact["reducer_kind"], strict=True))
    assert kinds == {"truncate": "prefix", "random_subset": "baseline", "pca": "rotation"}
    assert (frame["component_bits"] == 32).all()
    assert list(frame.columns) == list(ALL_COLUMNS)


def test_derived_columns_are_computed_and_never_stored(tmp_path):
    store = Store(tmp_path)
    store.add(row("a", encode_ms_p50=0.5, latency_ms_p50=2.0))
    assert load(tmp_path)["end_to_end_ms_p50"].tolist() == [2.5]
    assert (
        "end_to_end_ms_p50" not in pq.read_schema(next(store.parts.glob("*.trials.parquet"))).names
    )


def test_every_column_says_what_it_is_and_since_when():
    for column in ALL_COLUMNS.values():
        assert column.meaning, column.name
        assert column.since in HISTORY
    assert max(column.since for column in (*TRIAL_COLUMNS, *QUERY_COLUMNS)) == SCHEMA_VERSION


def test_a_number_that_was_damaged_on_disk_is_not_taken_for_a_measured_one(tmp_path):
    Store(tmp_path).add(row("a", ndcg_at_10=0.123456789))
    path = tmp_path / "parts" / "a.trials.parquet"
    whole = path.read_bytes()
    columns = pq.ParquetFile(path).metadata.row_group(0)
    column = columns.column(TRIALS.names.index("ndcg_at_10"))
    refused = 0
    for position in range(column.total_compressed_size):
        damaged = bytearray(whole)
        damaged[column.dictionary_page_offset + position] ^= 1
        path.write_bytes(damaged)
        try:
            assert load(tmp_path)["ndcg_at_10"].tolist() == [0.123456789]
        except DamagedFile:
            refused += 1
    assert refused > column.total_compressed_size / 2


def test_damaged_rankings_are_named(tmp_path):
    Store(tmp_path).add(row("a"), asked("q1"), [["d1"]])
    assert load_rankings(tmp_path, "a")["doc_ids"][0].tolist() == ["d1"]
    path = tmp_path / "rankings" / "a.parquet"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DamagedFile, match=r"a\.parquet is damaged"):
        load_rankings(tmp_path, "a")
    pq.write_table(pa.table({"x": [1]}), path)
    with pytest.raises(DamagedFile, match=r"a\.parquet is no table of this suite"):
        load_rankings(tmp_path, "a")


@pytest.mark.parametrize("change", ["type", "text", "twice", "version"])
def test_a_table_whose_columns_are_not_ours_is_named(tmp_path, change):
    Store(tmp_path).add(row("a"))
    table = pq.read_table(tmp_path / "parts" / "a.trials.parquet")
    if change == "type":
        table = table.set_column(table.column_names.index("dim"), "dim", pa.array(["many"]))
    elif change == "text":
        noise = pa.array([b"\xff\xfe"]).view(pa.string())
        table = table.set_column(table.column_names.index("backend"), "backend", noise)
    elif change == "twice":
        table = table.append_column("dim", table["dim"])
    else:
        foreign = {b"matryoshka-bench.schema": b"\xff"}
        table = table.drop_columns("dim").replace_schema_metadata(foreign)
    pq.write_table(table, tmp_path / "trials.parquet")
    with pytest.raises(DamagedFile, match=r"trials\.parquet is "):
        load(tmp_path / "trials.parquet")


def test_a_list_of_numbers_is_one_value_of_the_frame(tmp_path):
    store = Store(tmp_path)
    store.add(row("a", dim=8, process_speedup=[1.5, 2.0]))
    store.add(row("b", dim=16))
    assert store.rows()["a"]["process_speedup"] == [1.5, 2.0]
    frame = load(tmp_path)
    assert frame["process_speedup"].tolist() == [(1.5, 2.0), None]
    assert frame["process_speedup"].isna().tolist() == [False, True]
    json.dumps(frame["process_speedup"].tolist())


def filled(folder, trials=7, **values):
    store = Store(folder)
    for i in range(trials):
        store.add(row(f"{i}", ndcg_at_10=i / 10, **values), asked("q1", "q2"), [["d1"], ["d2"]])
    return store


def test_parts_are_joined_as_they_come_and_read_as_before(tmp_path, monkeypatch):
    before = filled(tmp_path / "single")
    monkeypatch.setattr("bench.results.store._MOST_PARTS", 3)
    joined = filled(tmp_path / "joined")
    names = sorted(path.name for path in joined.parts.glob("*.trials.parquet"))
    assert names == [
        "6.trials.parquet",
        "joined-000000.trials.parquet",
        "joined-000001.trials.parquet",
    ]
    assert load(joined.folder).equals(load(before.folder))
    assert load_queries(joined.folder).equals(load_queries(before.folder))
    joined.add(row("0", ndcg_at_10=0.9))
    assert joined.rows(["ndcg_at_10"])["0"] == {"trial_id": "0", "ndcg_at_10": 0.9}
    joined.gather()
    assert not list(joined.parts.iterdir())
    assert len(load(joined.folder)) == 7
    assert len(load_queries(joined.folder)) == 14


def test_a_kill_while_parts_are_joined_loses_and_doubles_nothing(tmp_path, monkeypatch):
    """Killed after each file that joining writes or removes."""
    monkeypatch.setattr("bench.results.store._MOST_PARTS", 3)
    for moment in range(8):
        store, left = filled(tmp_path / f"{moment}", 2), [moment]

        def stop(call, left=left):
            def counted(*arguments, **named):
                if left[0] == 0:
                    raise KeyboardInterrupt
                left[0] -= 1
                return call(*arguments, **named)

            return counted

        with monkeypatch.context() as patch:
            patch.setattr("bench.results.store.Store._join", stop_at(stop))
            with pytest.raises(KeyboardInterrupt):
                store.add(row("2", ndcg_at_10=0.2), asked("q1", "q2"))
        assert sorted(Store(store.folder).done()) == ["0", "1", "2"]
        assert len(load_queries(store.folder)) == 6
        Store(store.folder).gather()
        assert load(store.folder)["ndcg_at_10"].tolist() == [0.0, 0.1, 0.2]
        assert len(load_queries(store.folder)) == 6


def test_rows_that_are_held_are_written_together_and_read_as_others(tmp_path, monkeypatch):
    single, held = filled(tmp_path / "single"), Store(tmp_path / "held")
    for i in range(7):
        values = row(f"{i}", ndcg_at_10=i / 10), asked("q1", "q2"), [["d1"], ["d2"]]
        held.add(*values, hold=True)
    assert not list(held.parts.iterdir())
    held.flush()
    assert [p.name for p in held.parts.glob("*.trials.parquet")] == ["joined-000000.trials.parquet"]
    monkeypatch.setattr("bench.results.store._HELD_SECONDS", 0)
    held.add(row("0", ndcg_at_10=0.9), hold=True)
    assert held.done().keys() == single.done().keys()
    held.add(row("0", ndcg_at_10=0.0), asked("q1", "q2"))
    held.gather()
    single.gather()
    ids = "trial_id"
    found, expected = load(held.folder), load(single.folder)
    assert found.set_index(ids).sort_index().equals(expected.set_index(ids).sort_index())
    assert len(load_queries(held.folder)) == 14


def stop_at(stop):
    """Return `Store._join` with a write or a removal that raises when its turn has come."""
    join = Store._join

    def stopped(store):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bench.results.store.write_table", stop(store_module.write_table))
            patch.setattr(type(store.parts), "unlink", stop(type(store.parts).unlink))
            join(store)
        raise KeyboardInterrupt

    return stopped


def test_the_columns_of_quality_are_those_of_all_columns(tmp_path):
    store = filled(tmp_path, 3)
    store.gather()
    store.add(row("a"), asked("q3"))
    found, whole = load_quality(tmp_path), load_queries(tmp_path)
    assert str(found["trial_id"].dtype) == "category"
    for column in found:
        assert found[column].tolist() == whole[column].tolist()


def test_a_gathered_table_knows_its_version(tmp_path):
    store = filled(tmp_path, 1)
    store.gather()
    for name in ("trials", "queries"):
        metadata = pq.read_schema(tmp_path / f"{name}.parquet").metadata
        assert metadata[b"matryoshka-bench.schema"] == str(SCHEMA_VERSION).encode()
