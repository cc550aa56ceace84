"""Whole runs in child processes: rows for every ending, resumption, and kills at any moment."""

import json
import random
import signal
import subprocess
import textwrap
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from bench.errors import UsageError
from bench.measuring import executor, remaining, runner
from bench.measuring.dispatch import Dispatch
from bench.measuring.remaining import seconds_again
from bench.measuring.runner import run
from bench.results.schema import CONFIGURATION
from bench.results.spread import pooled
from bench.results.store import Store, load, load_queries
from bench.study.schema import Study
from tests.benchmarks.large import finished as as_finished
from tests.measuring.packages import command, install
from tests.studies import FLAT_AND_HNSW, RESCORED

STUDY = (
    """
name = "s"
dataset = "vectors:{folder}"
dimensions = [8, 20, 32]
reducers = ["truncate", "pca"]
repeats = 1
{more}
"""
    + FLAT_AND_HNSW
    + RESCORED
)
EXACT, TIMED = 2 * 3, 3 + 3 * 2 + 1

# A third party's package: backends that misbehave in the ways that real libraries do.
MISBEHAVING = """
import os, time
import numpy as np
from bench.backends.faiss_flat import FaissFlat

class Aborts(FaissFlat):
    name = "aborts"
    search_grid = {"at": [0, 1]}
    def configure(self, *, at):
        self.at = at
    def search(self, queries, k):
        if self.at:
            os.abort()
        return super().search(queries, k)

class Hangs(FaissFlat):
    name = "hangs"
    def search(self, queries, k):
        time.sleep(3600)

class OutOfRange(FaissFlat):
    name = "out-of-range"
    def search(self, queries, k):
        return super().search(queries, k) + 100_000

class Raises(FaissFlat):
    name = "raises"
    def build(self, vectors):
        raise RuntimeError("no such instruction")

class Hungry(FaissFlat):
    name = "hungry"
    def build(self, vectors):
        self.kept = []
        while True:
            self.kept.append(np.ones(10_000_000))
            time.sleep(0.01)

class Exits(FaissFlat):
    name = "exits"
    def build(self, vectors):
        os._exit(0)

class Absent(FaissFlat):
    name = "absent"
    module = "no_such_library"
    install = "pip install no-such-library"
"""
CLASSES = {
    "aborts": "Aborts",
    "hangs": "Hangs",
    "out-of-range": "OutOfRange",
    "raises": "Raises",
    "hungry": "Hungry",
    "exits": "Exits",
    "absent": "Absent",
}


def study_file(folder, vector_folder, more="", text=STUDY):
    path = folder / "study.toml"
    path.write_text(text.format(folder=vector_folder, more=more))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory, vector_folder):
    folder = tmp_path_factory.mktemp("finished")
    path = study_file(folder, vector_folder)
    return path, folder / "out", run(path, folder / "out", progress=False)


def test_a_run_measures_every_trial(finished):
    _, out, frame = finished
    assert (frame["status"] == "ok").all(), frame[["backend", "status", "error"]].to_string()
    assert len(frame) == EXACT + TIMED
    timed = frame[frame["backend"] != "exact"]
    for column in (
        "latency_ms_p50",
        "latency_ms_p95",
        "latency_ms_p99",
        "qps",
        "batch_qps",
        "build_seconds",
        "bytes_per_vector",
        "index_bytes",
        "speedup_vs_exact",
        "bandwidth_fraction",
        "ndcg_at_10",
        "ann_recall_at_10",
        "fidelity_at_10",
    ):
        assert timed[column].notna().all(), column
    assert timed["recall_at_100"].isna().all(), "a search of ten has no recall at a hundred"
    assert frame.loc[frame["backend"] == "exact", "recall_at_100"].notna().all()
    queries = load_queries(out)
    assert len(queries) == len(frame) * 40
    means = queries.groupby("trial_id")["ndcg_at_10"].mean()
    np.testing.assert_allclose(
        frame.set_index("trial_id")["ndcg_at_10"], means.loc[frame["trial_id"]], atol=1e-12
    )


def test_exact_search_loses_nothing_to_search_and_the_losses_add_up(finished):
    frame = finished[2]
    flat = frame[(frame["backend"] == "faiss-flat") & (frame["stages"] == "")]
    np.testing.assert_allclose(flat["ann_recall_at_10"], 1)
    np.testing.assert_allclose(flat["loss_search"], 0, atol=1e-12)
    full = frame.query("backend == 'exact' and reducer == 'truncate' and dim == 32")[
        "ndcg_at_10"
    ].item()
    np.testing.assert_allclose(
        frame["loss_dimension"] + frame["loss_precision"] + frame["loss_search"],
        full - frame["ndcg_at_10"],
        atol=1e-12,
    )
    assert frame.query("dim == 32 and backend == 'faiss-flat'")[
        "retained_ndcg_at_10"
    ].item() == pytest.approx(1)


def test_two_stages_count_the_full_vectors_and_keep_more(finished):
    frame = finished[2]
    one, two = (
        frame.query(f"backend == 'faiss-flat' and dim == 8 and stages {sign} ''").iloc[0]
        for sign in ("==", "!=")
    )
    assert two["bytes_per_vector"] == pytest.approx(one["bytes_per_vector"] + 32 * 4)
    assert two["fidelity_at_10"] > one["fidelity_at_10"]
    assert two["ann_recall_at_10"] == 1


def test_a_second_run_measures_nothing_again(finished):
    path, out, frame = finished
    pd.testing.assert_frame_equal(run(path, out, progress=False), frame)


def test_a_wider_study_measures_only_what_is_new(finished):
    path, out, frame = finished
    wider = run(path, out, ["dimensions=[8, 16, 20, 32]"], progress=False)
    assert set(frame["trial_id"]) < set(wider["trial_id"])
    assert set(wider.loc[~wider["trial_id"].isin(frame["trial_id"]), "dim"]) == {16}


def counts(frame):
    """Processes that timed each row, by backend and dimension, the most."""
    rows = frame[frame["backend"] != "exact"]
    found = rows["process_speedup"].map(len).groupby([rows["backend"], rows["dim"]]).max()
    return found.to_dict()


def test_the_first_index_of_each_backend_tells_how_far_processes_differ(finished):
    frame = finished[2]
    timed = frame[(frame["backend"] != "exact") & (frame["dim"] != 16)]
    assert counts(timed) == {
        (backend, dim): 3 if dim == 8 else 1
        for backend in ("faiss-flat", "faiss-hnsw")
        for dim in (8, 20, 32)
    }
    assert pooled(timed)["speedup_vs_exact"].degrees == 2 * 2
    for _, row in timed.iterrows():
        assert row["speedup_vs_exact"] == np.median(row["process_speedup"])
        assert row["latency_ms_p50"] == np.median(row["process_latency_ms_p50"])
        for figure in ("latency_ms_p50", "speedup_vs_exact", "latency_cold_ms_p50"):
            assert row[f"{figure}_low"] <= row[figure] <= row[f"{figure}_high"], figure
    assert (timed["repeats_done"] == 1).all()
    assert timed["allocator"].str.contains("transparent_hugepage|MALLOC").all()


@pytest.mark.slow
def test_a_run_that_was_cut_short_measures_the_processes_that_are_left(
    tmp_path, vector_folder, monkeypatch
):
    path = study_file(tmp_path, vector_folder)
    override = ["dimensions=[8]", "reducers=['truncate']"]
    again = runner._Run._measure_again

    def cut(self, work, process):
        if process == 2:
            raise KeyboardInterrupt
        again(self, work, process)

    monkeypatch.setattr(runner._Run, "_measure_again", cut)
    with pytest.raises(KeyboardInterrupt):
        run(path, tmp_path / "out", override, progress=False)
    before = load(tmp_path / "out")
    assert set(counts(before).values()) == {2}
    monkeypatch.undo()
    after = run(path, tmp_path / "out", override, progress=False)
    assert set(counts(after).values()) == {3}
    assert set(after["trial_id"]) == set(before["trial_id"])
    first = after["process_speedup"].map(lambda found: None if found is None else list(found[:2]))
    was = before["process_speedup"].map(lambda found: None if found is None else list(found))
    assert first.tolist() == was.tolist()
    assert len(load_queries(tmp_path / "out")) == len(after) * 40


@pytest.mark.slow
def test_an_index_that_takes_long_to_build_is_built_as_often_as_the_study_says(
    tmp_path, vector_folder, monkeypatch
):
    monkeypatch.setattr(remaining, "SPREAD_BUILD_SECONDS", -1.0)
    path = study_file(tmp_path, vector_folder)
    override = ["dimensions=[8]", "reducers=['truncate']"]
    once = run(path, tmp_path / "once", override, progress=False)
    assert set(counts(once).values()) == {1}
    twice = run(path, tmp_path / "twice", [*override, "processes=2"], progress=False)
    assert set(counts(twice).values()) == {2}
    assert not set(once["trial_id"]) & set(twice["trial_id"])


@pytest.fixture
def misbehaving(tmp_path, monkeypatch):
    install(tmp_path / "site", monkeypatch, "misbehaving", "backends", CLASSES)
    (tmp_path / "site" / "misbehaving.py").write_text(MISBEHAVING)


@pytest.mark.slow
def test_every_way_to_fail_is_a_row_and_the_sweep_goes_on(tmp_path, vector_folder, misbehaving):
    text = STUDY + "".join(
        f'[[configurations]]\nbackend = "{name}"\ndimensions = 8\n' for name in CLASSES
    )
    path = study_file(tmp_path, vector_folder, "timeout_seconds = 4\nmemory_gib = 1.0", text)
    frame = run(path, tmp_path / "out", progress=False)
    status = frame.groupby("backend")["status"].agg(lambda s: sorted(s)).to_dict()
    assert status["aborts"] == ["crashed", "ok"]
    assert status["hangs"] == ["timeout"]
    assert status["out-of-range"] == ["failed"]
    assert status["raises"] == ["failed"]
    assert status["hungry"] == ["out_of_memory"]
    assert status["exits"] == ["crashed"]
    assert status["absent"] == ["skipped"]
    errors = frame.set_index("backend")["error"]
    assert "SIGABRT" in errors["aborts"].dropna().item()
    assert "100000" in errors["out-of-range"] or "outside 0…599" in errors["out-of-range"]
    assert "no such instruction" in errors["raises"]
    assert "pip install no-such-library" in errors["absent"]
    others = frame[~frame["backend"].isin(CLASSES)]
    assert len(others) == EXACT + TIMED
    assert (others["status"] == "ok").all()
    again = run(path, tmp_path / "out", progress=False)
    assert set(again["trial_id"]) == set(frame["trial_id"])


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_nothing(tmp_path, finished, vector_folder):
    path, _, undisturbed = finished
    out, chance = tmp_path / "out", random.Random(0)
    for _ in range(10):
        process = subprocess.Popen(command(path, out))
        time.sleep(chance.uniform(0.8, 4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (out / "parts").exists():
            Store(out).done()  # reads every file: none is half a file
    subprocess.run(command(path, out), check=True)
    frame = load(out)
    key = list(CONFIGURATION)
    base = undisturbed[undisturbed["dim"] != 16]
    assert set(map(tuple, frame[key].to_numpy().tolist())) == set(
        map(tuple, base[key].to_numpy().tolist())
    )
    assert set(frame["trial_id"]) == set(base["trial_id"])
    assert (frame["status"] == "ok").all()
    assert not list((out / "parts").iterdir())


def test_a_child_ends_with_its_runner(tmp_path, vector_folder, misbehaving):
    path = study_file(
        tmp_path,
        vector_folder,
        text=STUDY + '[[configurations]]\nbackend = "hangs"\ndimensions = 8\n',
    )
    process = subprocess.Popen(command(path, tmp_path / "out"))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(
        (tmp_path / "out" / "parts").glob("*") if (tmp_path / "out" / "parts").exists() else []
    ):
        time.sleep(0.1)
    children = psutil.Process(process.pid).children()
    process.kill()
    process.wait()
    time.sleep(1)
    assert not [
        child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE
    ]


def test_two_runs_into_one_folder_do_not_mix(tmp_path, finished, vector_folder):
    import filelock

    (tmp_path / "out").mkdir()
    with (
        filelock.FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(UsageError, match="another run"),
    ):
        run(finished[0], tmp_path / "out", progress=False)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("dimensions=[33]", "dimension 33 is outside 1…32"),
        ("k=601", "k = 601"),
        ("threads=4096", "4096"),
        ("dataset=vectors:/nowhere", "nowhere"),
        ("encoder=wordlama", "wordllama|ready vectors|encoder"),
        ("dataset=pydocs", "did you mean 'pydoc'"),
    ],
)
def test_impossible_studies_fail_before_anything_is_measured(tmp_path, finished, override, message):
    with pytest.raises(UsageError, match=message):
        run(finished[0], tmp_path / "out", [override], progress=False)
    assert not list((tmp_path / "out").rglob("*.parquet"))


def test_vectors_without_judgements_or_queries_are_scored_by_fidelity(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "corpus.npy", rng.standard_normal((300, 16)).astype(np.float32))
    (tmp_path / "study.toml").write_text(
        textwrap.dedent(f"""
        name = "s"
        dataset = "vectors:{tmp_path}"
        dimensions = [4, 16]
        repeats = 1
        [[configurations]]
        backend = ["faiss-flat", "faiss-ivf"]
        """)
    )
    frame = run(tmp_path / "study.toml", tmp_path / "out", ["queries=50"], progress=False)
    assert (frame["status"] == "ok").all(), frame["error"].dropna().tolist()
    assert frame["ndcg_at_10"].isna().all()
    flat = frame[frame["backend"] == "faiss-flat"].set_index("dim")
    assert flat.loc[16, "fidelity_at_10"] == 1
    assert flat.loc[4, "fidelity_at_10"] < 0.9
    assert flat.loc[4, "ann_recall_at_10"] == 1


def test_results_say_where_they_come_from(finished):
    row = finished[2].iloc[-1]
    versions = json.loads(row["library_versions"])
    assert {"python", "matryoshka-bench", "numpy", "faiss-cpu"} <= set(versions)
    assert "cores" in row["machine"]
    assert len(row["dataset_fingerprint"]) >= 16


@pytest.mark.slow
def test_vectors_on_disk_are_found_alike_and_counted_as_disk(tmp_path, vector_folder):
    path = tmp_path / "study.toml"
    path.write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [8]\nrepeats = 1\n'
        'reducers = ["truncate", "pca"]\n[[configurations]]\nbackend = "faiss-flat"\n'
        'reducer = ["truncate", "pca"]\n'
        'stages = { shortlist = 30, vectors = ["memory", "disk"] }\n'
    )
    frame = run(path, tmp_path / "out", progress=False)
    assert (frame["status"] == "ok").all(), frame["error"].dropna().tolist()
    rows = frame[frame["backend"] == "faiss-flat"].sort_values("stages")
    for _, pair in rows.groupby("reducer"):
        disk = pair[pair["stages"].str.contains("disk")].iloc[0]
        memory = pair[~pair["stages"].str.contains("disk")].iloc[0]
        assert disk["ndcg_at_10"] == memory["ndcg_at_10"]
        assert disk["disk_bytes"] == 600 * 32 * 4
        assert memory["disk_bytes"] == 0
        more = memory["bytes_per_vector"] - disk["bytes_per_vector"]
        assert more == pytest.approx(32 * 4)
        assert np.isnan(disk["bandwidth_fraction"]), "the disk is no memory"
        assert memory["bandwidth_fraction"] > 0
        assert 0 < memory["rescore_ms_p50"] < memory["latency_ms_p95"]


def test_progress_counts_the_exact_rows_of_the_full_dimension_too(tmp_path, vector_folder, capsys):
    path = tmp_path / "study.toml"
    path.write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = [8, 16]\nrepeats = 1\n'
        '[[configurations]]\nbackend = "faiss-flat"\n'
    )
    frame = run(path, tmp_path / "out", progress=False)
    assert len(frame) == 2 + 1 + 2
    run(path, tmp_path / "out", progress=True)
    assert f"{len(frame)} trials are measured already, 0 are left" in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_measured_and_is_exit_status_130(tmp_path, vector_folder):
    path, out = study_file(tmp_path, vector_folder), tmp_path / "out"
    process = subprocess.Popen(
        command(path, out),
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, a shell has them ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list(out.glob("parts/*.trials.parquet")):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "results so far are kept" in error
    assert "Traceback" not in error
    assert Store(out).done()


def test_nothing_is_begun_after_the_deadline(vector_folder, tmp_path, monkeypatch):
    study = {"name": "s", "dataset": f"vectors:{vector_folder}", "dimensions": [8], "subsets": 0}
    first = run(Study.model_validate(study), tmp_path / "out", progress=False)
    study["configurations"] = [
        {"backend": "exact", "precision": "int8"},
        {"backend": ["faiss-flat", "faiss-ivf"]},
    ]
    monkeypatch.setattr(executor, "Worker", None)
    late = Study.model_validate(study)
    again = run(late, tmp_path / "out", progress=False, deadline=time.monotonic())
    assert set(again["trial_id"]) == set(first["trial_id"])


def test_another_process_is_expected_to_take_what_the_first_took():
    rows = [
        {"build_seconds": 3.0, "repeats_done": 3, "qps": 100.0},
        {"build_seconds": 3.0, "repeats_done": None, "qps": 10.0},
    ]
    assert seconds_again(rows, 50) == pytest.approx(3.0 + 1.5 + 5.0)
    assert seconds_again([], 50) == 0


def test_a_finished_study_is_resumed_without_a_worker(vector_folder, tmp_path, monkeypatch):
    study = tmp_path / "study.toml"
    study.write_text(STUDY.format(folder=vector_folder, more=""))
    assert as_finished(tmp_path / "out", str(study)) == EXACT + TIMED
    before = load(tmp_path / "out")
    monkeypatch.setattr(executor, "Worker", None)
    pd.testing.assert_frame_equal(run(study, tmp_path / "out", progress=False), before)


def test_a_run_that_breaks_off_ends_the_pass_that_it_began_ahead(
    tmp_path, vector_folder, monkeypatch
):
    begun = []
    start = Dispatch._start

    def noted(self, job):
        begun.append(start(self, job))
        return begun[-1]

    def broken(self, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Dispatch, "_start", noted)
    monkeypatch.setattr(runner._Run, "_add", broken)
    with pytest.raises(KeyboardInterrupt):
        run(study_file(tmp_path, vector_folder), tmp_path / "out", progress=False)
    assert [worker.job.exact.reducer for worker in begun] == ["truncate", "pca"]
    assert all(worker.process.poll() is not None for worker in begun)
