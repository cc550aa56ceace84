"""What changes under a study: files, the clock, versions, other runs, the memory that is left."""

import json
import os
import subprocess
import sys
import textwrap
import time

import filelock
import numpy as np
import psutil
import pytest

import bench
from bench.errors import DataError, UsageError
from bench.files import append, clear, unfinished, whole
from bench.measuring import runner, workload
from bench.measuring.dispatch import Dispatch
from bench.results.store import TASKS, Store, load
from tests.faults.ground import finished, vectors, wait_for
from tests.measuring.packages import command, install
from tests.results.test_store import row

TINY = {"name": "s", "dimensions": [8], "repeats": 1, "subsets": 0, "configurations": []}


@pytest.fixture
def study(tmp_path):
    """Return a function that gives the study of vectors that are mapped where they lie."""
    folder = vectors(tmp_path / "data", kind=np.float32)

    def of(**keys):
        return bench.study.schema.Study.model_validate(
            {**TINY, "dataset": f"vectors:{folder}", **keys}
        )

    return of


HUNGRY = """
import numpy as np
import psutil
from bench.backends.faiss_flat import FaissFlat

class Hungry(FaissFlat):
    name = "hungry"
    build_grid = {"builds": [True, False]}
    def build(self, vectors, *, builds):
        super().build(vectors)
        self.builds = builds
        if builds:
            self.eat()
    def search(self, queries, k):
        if not self.builds:
            self.eat()
        return super().search(queries, k)
    def eat(self):
        kept = []
        while True:
            kept.append(np.ones(5_000_000))
"""


@pytest.mark.slow
def test_too_much_memory_in_a_build_or_a_search_is_a_row_and_the_sweep_goes_on(
    tmp_path, study, monkeypatch
):
    install(tmp_path / "site", monkeypatch, "hungry", "backends", {"hungry": "Hungry"})
    (tmp_path / "site" / "hungry.py").write_text(HUNGRY)
    asked = study(memory_gib=1.0, configurations=[{"backend": ["hungry", "faiss-flat"]}])
    frame = bench.run(asked, tmp_path / "out", progress=False, again=False)
    status = frame.groupby("backend")["status"].agg(list).to_dict()
    assert status == {"exact": ["ok"] * 2, "hungry": ["out_of_memory"] * 2, "faiss-flat": ["ok"]}


def test_vectors_cut_short_under_a_study_end_it_with_one_line(tmp_path, study, monkeypatch):
    path, start = tmp_path / "data" / "corpus.npy", Dispatch._start

    def cut(self, job):
        os.truncate(path, 4096)
        return start(self, job)

    monkeypatch.setattr(Dispatch, "_start", cut)
    with pytest.raises(DataError, match=r"corpus\.npy has changed since it was read"):
        bench.run(study(), tmp_path / "out", progress=False)
    assert not Store(tmp_path / "out").done(), "no trial is to blame"


def test_vectors_written_over_under_a_study_leave_neither_rows_nor_exact_results(
    tmp_path, study, monkeypatch
):
    path, add = tmp_path / "data" / "corpus.npy", runner._Run._add
    sound = path.read_bytes()

    def changed(self, *arguments):
        path.write_bytes(sound[:-4] + b"\0\0\0\0")
        os.utime(path, ns=(1, 1))
        add(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(runner._Run, "_add", changed)
        with pytest.raises(DataError, match="has changed"):
            bench.run(study(), tmp_path / "out", progress=False)
    assert not Store(tmp_path / "out").done()
    path.write_bytes(sound)
    assert len(bench.run(study(), tmp_path / "out", progress=False)) == 2


def test_a_run_after_the_clock_stepped_back_is_the_newest(tmp_path):
    store = Store(tmp_path)
    for year, value in (("2030", 0.1), ("2020", 0.2)):
        with store.held():
            store.add(
                row(year, search_params="same", ndcg_at_10=value, machine=f"of {year}")
                | {"machine": "m"}
            )
    assert load(tmp_path)["ndcg_at_10"].tolist() == [0.2]


def test_a_run_that_was_killed_before_the_clock_stepped_back_is_the_older(tmp_path):
    Store(tmp_path).add(row("2030", search_params="same", ndcg_at_10=0.1))
    store = Store(tmp_path)
    with store.held():
        store.add(row("2020", search_params="same", ndcg_at_10=0.2))
        assert load(tmp_path)["ndcg_at_10"].tolist() == [0.2]
    store.gather()
    assert load(tmp_path)["ndcg_at_10"].tolist() == [0.2]


def test_what_a_task_took_is_never_negative(tmp_path, monkeypatch):
    store, begun = Store(tmp_path), time.monotonic()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    store.log("build", "x", begun)
    (line,) = map(json.loads, (tmp_path / TASKS).read_text().splitlines())
    assert line["seconds"] >= 0


def test_a_run_logs_when_its_tasks_began_and_what_they_took(tmp_path, study):
    before = time.time()
    bench.run(study(), tmp_path / "out", progress=False)
    lines = [json.loads(line) for line in (tmp_path / "out" / TASKS).read_text().splitlines()]
    assert all(line["seconds"] >= 0 and line["begun"] > before - 5 for line in lines)


def test_a_line_that_a_kill_cut_short_is_not_joined_by_the_next(tmp_path):
    (tmp_path / "f").write_text('{"a": 1}\n{"b"')
    append(tmp_path / "f", '{"c": 3}')
    append(tmp_path / "f", '{"d": 4}')
    assert (tmp_path / "f").read_text().splitlines() == ['{"a": 1}', '{"b"', '{"c": 3}', '{"d": 4}']


def test_joined_parts_that_a_gathering_left_do_not_hide_newer_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.results.store._MOST_PARTS", 1)
    store = Store(tmp_path)
    for name in "abc":
        store.add(row(name, ndcg_at_10=0.1))
    (store.parts / "joined-000000.trials.parquet").unlink()
    (store.parts / "joined-000001.trials.parquet").unlink()
    Store(tmp_path).add(row("c", ndcg_at_10=0.2))
    assert store.rows(["ndcg_at_10"])["c"]["ndcg_at_10"] == 0.2


def test_another_library_version_is_measured_anew_and_both_are_kept(tmp_path, study, monkeypatch):
    first = bench.run(study(), tmp_path / "out", progress=False)
    versions = workload.versions
    monkeypatch.setattr(workload, "versions", lambda *names: versions(*names) | {"numpy": "99"})
    second = bench.run(study(), tmp_path / "out", progress=False)
    assert not set(first["trial_id"]) & set(second["trial_id"])
    assert set(Store(tmp_path / "out").done()) == {*first["trial_id"], *second["trial_id"]}
    assert second["library_versions"].str.contains('"numpy": "99"').all()


@pytest.mark.slow
def test_a_package_that_is_upgraded_is_measured_anew(tmp_path, monkeypatch):
    install(tmp_path / "site", monkeypatch, "other", "backends", {"other": "Other"})
    (tmp_path / "site" / "other.py").write_text(
        "from bench.backends.faiss_flat import FaissFlat\n"
        "class Other(FaissFlat):\n    name = 'other'\n    module = 'other'\n"
    )
    folder = vectors(tmp_path / "data")
    path, out = tmp_path / "study.toml", tmp_path / "out"
    path.write_text(
        f'name = "s"\ndataset = "vectors:{folder}"\ndimensions = [8]\nsubsets = 0\nrepeats = 1\n'
        '[[configurations]]\nbackend = "other"\n'
    )
    for version in ("1.0", "2.0"):
        metadata = tmp_path / "site" / "other-1.0.dist-info" / "METADATA"
        metadata.write_text(f"Metadata-Version: 2.1\nName: other\nVersion: {version}\n")
        (metadata.parent / "top_level.txt").write_text("other\n")
        subprocess.run(command(path, out), check=True)
    rows = Store(out).rows(["backend", "library_versions"]).values()
    found = [json.loads(r["library_versions"])["other"] for r in rows if r["backend"] == "other"]
    assert sorted(found) == ["1.0", "2.0"]
    frame = load(out)
    assert len(frame[frame["backend"] == "other"]) == 1


def test_a_second_run_does_not_touch_what_the_first_is_writing(tmp_path, study):
    (tmp_path / "out").mkdir()
    with (
        filelock.FileLock(tmp_path / "out" / ".lock"),
        whole(tmp_path / "out" / "table.parquet") as partial,
    ):
        partial.write_bytes(b"half")
        with pytest.raises(UsageError, match="another run"):
            bench.run(study(), tmp_path / "out", progress=False)
        assert partial.read_bytes() == b"half"


def test_a_lock_that_another_process_holds_is_respected(tmp_path, study):
    holder = (
        "import filelock, sys; held = filelock.FileLock(sys.argv[1]).acquire(); "
        "print(flush=True); sys.stdin.read()"
    )
    (tmp_path / "out").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "out" / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        other.stdout.readline()
        with pytest.raises(UsageError, match="another run"):
            bench.run(study(), tmp_path / "out", progress=False)
        other.kill()
    assert len(bench.run(study(), tmp_path / "out", progress=False)) == 2


def test_two_runs_on_one_cache_find_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    folder, path = vectors(tmp_path / "data"), tmp_path / "study.toml"
    path.write_text(
        textwrap.dedent(f"""
        name = "s"
        dataset = "vectors:{folder}"
        dimensions = [4, 8]
        reducers = ["truncate", "pca"]
        corpus_sizes = [200]
        """)
    )
    outs = [tmp_path / name for name in ("a", "b")]
    for process in [subprocess.Popen(command(path, out)) for out in outs]:
        assert process.wait(120) == 0
    first, second = map(finished, outs)
    assert len(first) == 6
    assert first == second


def test_only_partial_files_that_nobody_writes_are_cleared(tmp_path):
    (tmp_path / "sets").mkdir()
    leftover = tmp_path / "sets" / ".a.1.partial.npy"
    leftover.write_bytes(b"")
    with unfinished(tmp_path / "sets" / "b.npy") as partial:
        clear(tmp_path)
        assert partial.exists()
        assert not leftover.exists()


def test_the_disk_of_a_worker_is_not_blamed_on_a_trial(tmp_path, study, monkeypatch):
    install(tmp_path / "site", monkeypatch, "fills", "backends", {"fills": "Fills"})
    (tmp_path / "site" / "fills.py").write_text(
        "from bench.backends.faiss_flat import FaissFlat\n"
        "class Fills(FaissFlat):\n    name = 'fills'\n"
        "    def search(self, queries, k):\n"
        "        raise RuntimeError('could not extend file: No space left on device')\n"
    )
    asked = study(configurations=[{"backend": "fills"}])
    with pytest.raises(UsageError, match=r"a disk is full: .*No space left.*run again to resume"):
        bench.run(asked, tmp_path / "out", progress=False)
    assert set(Store(tmp_path / "out").done().values()) == {"ok"}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_an_answer_that_a_full_disk_cannot_take_is_one_line():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        listed = [sys.executable, "-m", "bench", "list", "backends"]
        done = subprocess.run(listed, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr == "matryoshka-bench: the output: No space left on device\n"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_a_process_ends_with_its_parent():
    child = (
        "import os, sys, time; from bench import machine; machine.end_with(int(sys.argv[1])); "
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    parent = (
        "import os, subprocess, sys; "
        f"subprocess.run([sys.executable, '-c', {child!r}, str(os.getpid())])"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        orphan = psutil.Process(int(process.stdout.readline()))
        process.kill()
    assert wait_for(lambda: not orphan.is_running() or orphan.status() == "zombie", 30.0)
