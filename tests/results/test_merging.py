"""Merging: what is not alike is refused, nothing is lost or doubled, and no order matters."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import filelock
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bench
from bench.errors import DamagedFile, UsageError
from bench.measuring.runner import run
from bench.results import merging, streaming
from bench.results.locking import LOCK
from bench.results.merging import merge
from bench.results.shards import begun, read_records, write_records
from bench.results.store import Store, load, load_queries, load_rankings
from bench.results.texts import load_texts, write_texts
from bench.study.reader import write_study
from bench.study.schema import Study

STUDY = Study(name="s", dataset=["d"], dimensions=[8])
VERSIONS = '{"numpy": "2.0"}'


def row(trial_id, started="2026-01-01T00:00:00+0000", **values):
    defaults = {
        "status": "ok",
        "study": "s",
        "dataset": "d",
        "dataset_fingerprint": "f",
        "backend": "b",
        "dim": 8,
        "k": 10,
        "machine": "m",
        "library_versions": VERSIONS,
    }
    return {
        "trial_id": trial_id,
        "search_params": trial_id,
        "started_at": started,
        **defaults,
        **values,
    }


def asked(value):
    return {"query_id": ["q1", "q2"], "ndcg_at_10": [value, value]}


def folder_of(path, *rows, study=STUDY, gather=True):
    store = Store(path)
    write_study(study, path)
    for each in rows:
        value = float(each.get("ndcg_at_10", 0.5))
        found = each["status"] == "ok"
        store.add(each, asked(value) if found else None, [["d1"], [str(value)]] if found else None)
    if gather:
        store.gather()
    return path


def content(path):
    """Return all that a folder holds, whatever the order of its rows."""
    trials = sorted(Store(path).rows().values(), key=lambda each: each["trial_id"])
    queries = load_queries(path).to_dict("records")
    tasks = path / "tasks.jsonl"
    return {
        "trials": trials,
        "queries": sorted(map(repr, queries)),
        "rankings": {
            each["trial_id"]: repr(load_rankings(path, each["trial_id"])) for each in trials
        },
        "texts": load_texts(path, "d"),
        "studies": {p.name: p.read_text() for p in (path / "studies").iterdir()},
        "records": {record.name: record for record in read_records(path)},
        "tasks": tasks.read_text() if tasks.exists() else "",
    }


def files_of(path):
    return {p: p.read_bytes() for p in path.rglob("*") if p.is_file() and p.name != LOCK}


def test_trials_queries_rankings_texts_and_tasks_come_together(tmp_path):
    a = folder_of(tmp_path / "a", row("1", ndcg_at_10=0.1))
    b = folder_of(
        tmp_path / "b", row("2", ndcg_at_10=0.2), row("3", status="crashed"), gather=False
    )
    write_texts(a, "d", ["q1"], ["where"])
    write_texts(b, "d", ["q1", "q2"], ["where", "when"])
    Store(a).log("build", "x", 10.0)
    with (b / "tasks.jsonl").open("w") as file:
        file.write('{"task": "embed", "label": "", "begun": 1.0, "seconds": 2.0}\n{"task": "cu')
    before = files_of(a) | files_of(b)
    done = merge([a, b], tmp_path / "r")
    assert files_of(a) | files_of(b) == before
    assert done.added == 3
    assert done.machines == {"m": 3}
    assert list(load(tmp_path / "r").set_index("trial_id")["status"]) == ["ok", "ok", "crashed"]
    assert len(load_queries(tmp_path / "r")) == 4
    assert load_rankings(tmp_path / "r", "2")["doc_ids"].map(list).tolist() == [["d1"], ["0.2"]]
    assert load_rankings(tmp_path / "r", "3") is None
    assert load_texts(tmp_path / "r", "d") == {"q1": "where", "q2": "when"}
    tasks = [json.loads(x) for x in (tmp_path / "r" / "tasks.jsonl").read_text().splitlines()]
    assert [task["task"] for task in tasks] == ["embed", "build"]


def test_of_the_same_trial_one_that_ended_ok_counts_then_the_newest_whatever_the_time_zone(
    tmp_path,
):
    newest, older = "2026-01-01T10:30:00-0500", "2026-01-01T12:00:00+0000"
    a = folder_of(
        tmp_path / "a", row("1", newest, ndcg_at_10=0.1), row("2", older, status="timeout")
    )
    b = folder_of(
        tmp_path / "b",
        row("1", older, ndcg_at_10=0.2),
        row("2", "2020-01-01T00:00:00+0000", ndcg_at_10=0.3),
    )
    for order in ([a, b], [b, a]):
        out = tmp_path / f"r{order[0].name}"
        merge(order, out)
        rows = Store(out).rows()
        assert (rows["1"]["ndcg_at_10"], rows["2"]["ndcg_at_10"]) == (0.1, 0.3)
        found = load_queries(out).groupby("trial_id")["ndcg_at_10"].unique()
        assert [list(values) for values in found] == [[0.1], [0.3]]
        assert load_rankings(out, "1")["doc_ids"].iloc[1].tolist() == ["0.1"]


def test_the_newest_of_a_merged_folder_is_the_newest_wherever_its_clock_is_set(tmp_path):
    a = folder_of(tmp_path / "a", row("1", "2026-01-01T10:30:00-0500", machine="west"))
    b = folder_of(tmp_path / "b", row("2", "2026-01-01T12:00:00+0000", machine="east"))
    done = merge([a, b], tmp_path / "r")
    assert [*done.machines] == ["east", "west"]
    assert list(load(tmp_path / "r")["machine"]) == ["west"]
    assert any("one machine at a time" in line for line in done.lines())


@pytest.mark.parametrize(
    ("changed", "study", "message"),
    [
        (
            {},
            Study(name="s", dataset=["d"], dimensions=[16]),
            "study 's' .*not the same.*dimensions",
        ),
        ({}, Study(name="t", dataset=["d"], dimensions=[8]), "not the same study.*: s, t"),
        ({"dataset_fingerprint": "g"}, STUDY, "dataset 'd' is not the same: f in .*a, g in .*b"),
        ({"library_versions": '{"numpy": "2.1"}'}, STUDY, "numpy of b .*: 2.0 in .*a, 2.1 in .*b"),
    ],
)
def test_what_is_not_alike_is_refused_before_anything_is_written(tmp_path, changed, study, message):
    a = folder_of(tmp_path / "a", row("1"))
    b = folder_of(tmp_path / "b", row("2", **changed), study=study)
    with pytest.raises(UsageError, match=message):
        merge([a, b], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_other_versions_are_merged_if_asked_and_a_missing_library_has_none(tmp_path):
    a = folder_of(tmp_path / "a", row("1"))
    b = folder_of(tmp_path / "b", row("2", library_versions='{"numpy": "2.1"}'))
    c = folder_of(tmp_path / "c", row("3", library_versions='{"numpy": ""}', status="skipped"))
    assert merge([a, b], tmp_path / "r", any_versions=True).added == 2
    assert merge([a, c], tmp_path / "s").added == 2


def test_what_a_row_does_not_say_is_no_difference(tmp_path):
    unknown = dict.fromkeys(("dataset_fingerprint", "library_versions", "started_at", "machine"))
    folders = [folder_of(tmp_path / name, row(name) | unknown) for name in "ab"]
    folders += [folder_of(tmp_path / "c", row("c"))]
    assert merge(folders, tmp_path / "r").machines == {"": 2, "m": 1}


def test_vectors_of_another_model_are_refused(tmp_path):
    folders = [folder_of(tmp_path / name, row(name)) for name in "ab"]
    for folder, key in zip(folders, "kl", strict=True):
        write_records(folder, [begun(STUDY, 1, [{}], {}, {"d with e": key})])
    with pytest.raises(
        UsageError, match=r"vectors of d with e are not the same: k in .*a, l in .*b"
    ):
        merge(folders, tmp_path / "r")


def test_a_folder_that_is_being_written_is_refused(tmp_path):
    a, b = (folder_of(tmp_path / name, row(name)) for name in "ab")
    with filelock.FileLock(b / LOCK), pytest.raises(UsageError, match="b is being written by"):
        merge([a, b], tmp_path / "r")
    merge([a, b], tmp_path / "r")
    with filelock.FileLock(tmp_path / "r" / LOCK), pytest.raises(UsageError, match="r is being"):
        merge([a], tmp_path / "r")


def test_what_is_no_results_folder_is_refused(tmp_path):
    a = folder_of(tmp_path / "a", row("1"))
    with pytest.raises(UsageError, match="none is no results folder"):
        merge([a, tmp_path / "none"], tmp_path / "r")
    Store(tmp_path / "bare").add(row("1"))
    with pytest.raises(UsageError, match="bare is no results folder"):
        merge([a], tmp_path / "bare")
    with pytest.raises(UsageError, match="nothing to merge"):
        merge([], tmp_path / "r")
    (a / "studies" / "s.toml").write_text("name = ")
    with pytest.raises(DamagedFile, match=r"s\.toml is no study"):
        merge([a], tmp_path / "r")
    assert not (tmp_path / "r").exists()


def test_a_damaged_table_is_named_and_nothing_of_the_target_is_lost(tmp_path):
    a, b = (folder_of(tmp_path / name, row(name)) for name in "ab")
    merge([a], tmp_path / "r")
    before = content(tmp_path / "r")
    (b / "queries.parquet").write_bytes(b"PAR1 cut off")
    with pytest.raises(DamagedFile, match=r"queries\.parquet is damaged"):
        merge([b], tmp_path / "r")
    assert content(tmp_path / "r") == before


def test_versions_that_are_no_json_are_named(tmp_path):
    a, b = folder_of(tmp_path / "a", row("1")), tmp_path / "b"
    for text in ("numpy 2.0", "[1]"):
        shutil.rmtree(b, ignore_errors=True)
        folder_of(b, row("2", library_versions=text))
        with pytest.raises(DamagedFile, match="b: library_versions of b are no JSON"):
            merge([a, b], tmp_path / "r")


def test_an_id_that_climbs_out_of_its_folder_copies_nothing(tmp_path):
    a = folder_of(tmp_path / "a", row("1"))
    b = folder_of(tmp_path / "b", row("2"))
    pq.write_table(pa.table({"x": [1]}), tmp_path / "secret.parquet")
    table = pq.read_table(b / "trials.parquet")
    climbing = table.set_column(0, "trial_id", pa.array(["../../secret"]))
    pq.write_table(climbing, b / "trials.parquet")
    with pytest.raises(DamagedFile, match="is no id of a trial"):
        merge([a, b], tmp_path / "deep" / "r")
    assert not list((tmp_path / "deep").rglob("*.parquet"))


def shard(folder, number, deal, **trials):
    write_records(folder, [begun(STUDY, number, deal, trials, {})])


def test_a_merge_says_which_shards_are_missing_whole_or_in_part(tmp_path):
    deal = [{"b": 2}, {"b": 1, "c": 4}, {"b": 1}, {}]
    a = folder_of(tmp_path / "a", row("1"))
    c = folder_of(tmp_path / "c", row("5"))
    shard(a, 1, deal, b=["1", "2"])
    shard(c, 3, deal, b=["5"])
    done = merge([a, c], tmp_path / "r")
    assert [line for line in done.lines() if line.startswith("missing")] == [
        "missing: 1 trials of shard 1/4 of s (b 1)",
        "missing: 5 trials of shard 2/4 of s (b 1, c 4)",
    ]
    d = folder_of(tmp_path / "d", row("2"), row("7"))
    shard(d, 1, deal, b=["1", "2"])
    shard(d, 2, deal, b=["7"], c=["8", "9", "10", "11"])
    assert [(each.shard, each.trials) for each in merge([d], tmp_path / "r").missing] == [
        ("2/4", {"c": 4})
    ]
    # Another machine finished what the first had begun.
    e = folder_of(tmp_path / "e", *(row(i, machine="n") for i in ("70", "80", "90", "100", "110")))
    shard(e, 2, deal, b=["70"], c=["80", "90", "100", "110"])
    assert merge([e], tmp_path / "r").missing == ()
    assert merge([folder_of(tmp_path / "f", row("1"))], tmp_path / "s").missing is None


def test_an_empty_shard_merges(tmp_path):
    a = folder_of(tmp_path / "a", row("1"))
    empty = folder_of(tmp_path / "b")
    shard(a, 1, [{"b": 1}, {}], b=["1"])
    shard(empty, 2, [{"b": 1}, {}])
    for order in ([a, empty], [empty, a]):
        assert merge(order, tmp_path / order[0].name / "r").missing == ()
    assert merge([empty], tmp_path / "only").added == 0


def test_a_merge_into_one_of_its_folders_adds_to_it(tmp_path):
    a, b = (folder_of(tmp_path / name, row(name)) for name in "ab")
    assert merge([a, b], a).added == 1
    assert set(load(a)["trial_id"]) == {"a", "b"}
    before = files_of(a)
    assert merge([a, b], a).added == 0
    assert files_of(a) == before


MOMENTS = st.sampled_from(["2026-01-01T00:00:00+0000", "2026-01-01T00:30:00+0100", "2026-01-02"])
ENDINGS = st.tuples(st.sampled_from(["ok", "ok", "crashed", "timeout"]), MOMENTS, st.integers(1, 2))
FOLDERS = st.lists(
    st.tuples(st.dictionaries(st.sampled_from("abcde"), ENDINGS, max_size=4), st.booleans()),
    min_size=3,
    max_size=3,
)


def drawn(path, trials, gather):
    """Make a folder whose figures follow from what was drawn, so that equal trials are equal."""
    rows = [
        row(
            name,
            started,
            status=status,
            process_speedup=[1.0] * processes,
            ndcg_at_10=len(started) / 100 + processes / 10,
            machine="m" if name < "d" else "n",
        )
        for name, (status, started, processes) in trials.items()
    ]
    folder_of(path, *rows, gather=gather)
    write_texts(path, "d", [*trials], [f"{started}" for _, started, _ in trials.values()])
    shard(path, 1, [{"b": 9}], b=sorted(trials))
    return path


@pytest.mark.slow
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(FOLDERS)
def test_neither_order_nor_grouping_nor_repetition_of_merges_matters(folders):
    with tempfile.TemporaryDirectory() as name:
        a, b, c = (drawn(Path(name) / str(i), *each) for i, each in enumerate(folders))
        out = Path(name) / "merged"

        def merged(*given):
            path = out / str(len(list(out.glob("*"))) if out.exists() else 0)
            merge(given, path)
            return path

        expected = content(merged(a, b, c))
        assert content(merged(c, b, a)) == expected
        left, right = merged(a, b), merged(b, c)
        assert content(merged(left, c)) == expected
        assert content(merged(a, right)) == expected
        before = files_of(left)
        merge([a, b, a], left)
        assert files_of(left) == before
        merge([c], left)
        assert content(left) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"status": "crashed"}, {"status": "timeout"}),
        ({"status": "crashed", "error": "a"}, {"status": "crashed", "error": "b"}),
        ({"build_seconds": 1.0}, {"build_seconds": 2.0}),
        ({"latency_ms_p50": 1.0}, {"latency_ms_p50": None}),
    ],
)
def test_trials_that_began_in_the_same_moment_count_in_any_order_of_the_folders(
    tmp_path, one, other
):
    a = folder_of(tmp_path / "a", row("1", **one))
    b = folder_of(tmp_path / "b", row("1", **other))
    merge([a, b], tmp_path / "ab")
    merge([b, a], tmp_path / "ba")
    assert content(tmp_path / "ab") == content(tmp_path / "ba")
    assert merge([a, b], tmp_path / "ba").added == 0


class Killed(BaseException):
    """Stands for a kill: nothing cleans up after it."""


def test_a_merge_killed_before_any_of_its_files_is_completed_by_the_same_command(
    tmp_path, monkeypatch
):
    a = folder_of(tmp_path / "a", row("1", ndcg_at_10=0.1), row("2", status="crashed"))
    b = folder_of(tmp_path / "b", row("2", ndcg_at_10=0.2), row("3", ndcg_at_10=0.3), gather=False)
    for number, folder in enumerate((a, b), 1):
        write_texts(folder, "d", [f"q{number}"], ["t"])
        shard(folder, number, [{"b": 1}, {"b": 2}], b=[str(number)])
        Store(folder).log("build", folder.name, 1.0)
    sources = files_of(a) | files_of(b)
    merge([a, b], tmp_path / "whole")
    expected = content(tmp_path / "whole")
    for at in range(100):
        out = tmp_path / f"r{at}"
        if at % 2:
            merge([a], out)
        count = 0
        rename = Path.replace

        def killed(path, target, at=at, rename=rename):
            nonlocal count
            count += 1
            if count > at // 2:
                raise Killed
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", killed)
            try:
                merge([a, b], out)
            except Killed:
                pass
            else:
                break
        assert files_of(a) | files_of(b) == sources
        merge([a, b], out)
        assert content(out) == expected
        shutil.rmtree(out)
    assert at > 10


def test_a_full_disk_is_one_line_and_the_target_stays(tmp_path, monkeypatch):
    a, b = (folder_of(tmp_path / name, row(name)) for name in "ab")
    merge([a], tmp_path / "r")
    before = content(tmp_path / "r")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(merging, "write_rows", full)
    with pytest.raises(UsageError, match=r"r cannot be written .No space left"):
        merge([b], tmp_path / "r")
    monkeypatch.undo()
    assert content(tmp_path / "r") == before


def test_pieces_of_a_large_table_are_written_as_they_come(tmp_path, monkeypatch):
    """No more than a piece is held: the groups of the file are its pieces."""
    monkeypatch.setattr(streaming, "_PIECE_BYTES", 0)
    a, b = (folder_of(tmp_path / name, row(name)) for name in "ab")
    merge([a, b], tmp_path / "r")
    assert pq.read_metadata(tmp_path / "r" / "queries.parquet").num_row_groups == 2
    assert len(load_queries(tmp_path / "r")) == 4


def test_a_folder_that_nobody_may_write_is_merged(tmp_path):
    a, b = (folder_of(tmp_path / name, row(name)) for name in "ab")
    before = files_of(a)
    for path in (a, *a.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert merge([a, b], tmp_path / "r").added == 2
    finally:
        for path in (a, *a.rglob("*")):
            path.chmod(path.stat().st_mode | 0o200)
    assert files_of(a) == before


def command(*arguments):
    line = [sys.executable, "-m", "bench", "merge", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_command_says_what_is_missing_and_fails_only_if_asked_to(tmp_path):
    a = folder_of(tmp_path / "a", row("1"))
    shard(a, 1, [{"b": 1}, {"b": 3}], b=["1"])
    done = command(a, "--out", tmp_path / "r")
    assert done.returncode == 0
    assert "missing: 3 trials of shard 2/2 of s (b 3)" in done.stdout
    done = command(a, "--out", tmp_path / "r", "--strict", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["missing"] == [
        {"study": "s", "shard": "2/2", "trials": {"b": 3}}
    ]
    done = command(a, tmp_path / "none", "--out", tmp_path / "r")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_merged_shards_are_read_by_every_verb_and_a_run_finds_nothing_left(
    tmp_path, vector_folder, measured
):
    study = (measured.parent / "study.toml").read_text()
    (tmp_path / "study.toml").write_text(study)
    for number in (1, 2, 3):
        run(tmp_path / "study.toml", tmp_path / str(number), progress=False, shard=(number, 3))
    done = bench.merge([tmp_path / str(number) for number in (1, 2, 3)], tmp_path / "r")
    assert done.missing == ()
    assert set(load(tmp_path / "r")["trial_id"]) == set(load(measured)["trial_id"])
    before = (tmp_path / "r" / "trials.parquet").stat().st_mtime_ns
    run(tmp_path / "study.toml", tmp_path / "r", progress=False)
    assert (tmp_path / "r" / "trials.parquet").stat().st_mtime_ns == before
    for verb in (["show"], ["recommend", "--retain", "0.5"], ["verdict"], ["report"]):
        line = [sys.executable, "-m", "bench", *verb, str(tmp_path / "r")]
        told = subprocess.run(line, capture_output=True, text=True, check=False)
        assert told.returncode == 0, (verb, told.stderr)
