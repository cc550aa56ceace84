"""What a study takes before it begins: the arithmetic, the probes, the plan without a measurement."""

import json

import numpy as np
import pytest

from bench.embeddings import embed, outline
from bench.errors import StudyError, UsageError
from bench.measuring import estimate as estimates
from bench.measuring.estimate import (
    Estimate,
    Probes,
    estimate,
    merged,
    probed_indexes,
    too_large,
)
from bench.measuring.forecast import Forecast, dry_run, probe
from bench.measuring.jobs import IndexProbe
from bench.measuring.remaining import Remaining, this_machine
from bench.measuring.runner import run
from bench.study.reader import load_study
from tests.studies import FLAT_AND_HNSW

STUDY = (
    """
name = "s"
dataset = "vectors:{folder}"
dimensions = [8, 32]
reducers = ["truncate", "pca"]
repeats = 1
subsets = 9
"""
    + FLAT_AND_HNSW
)


@pytest.fixture
def study(tmp_path, vector_folder):
    path = tmp_path / "s.toml"
    path.write_text(STUDY.format(folder=vector_folder))
    return path


@pytest.fixture
def remaining(study, vector_folder):
    found = Remaining(load_study(study), {}, False, "m")
    found.add(embed(f"vectors:{vector_folder}", progress=False))
    return found


def probes(sizes=(1000, 4000), build=(1.0, 4.0), index=(1000.0, 4000.0), query=(1e-4, 2e-4)):
    """Probes of faiss-flat at 32 dimensions."""
    found = IndexProbe(
        backend="faiss-flat",
        precision="float32",
        build_params="",
        dim=32,
        sizes=list(sizes),
        build_seconds=list(build),
        index_bytes=list(index),
        query_seconds={"": list(query)},
    )
    return Probes((found,), 1e8, 1e10, 1.0)


def test_values_extend_along_a_line_that_does_not_fall():
    assert estimates._linear([1000, 4000], [10.0, 40.0], 10_000) == pytest.approx(100)
    assert estimates._linear([1000, 4000], [12.0, 18.0], 10_000) == pytest.approx(30)  # 10 + 2 n
    assert estimates._linear([1000, 4000], [5.0, 4.0], 10_000) == 5.0  # noise
    assert estimates._linear([600, 600], [6.0, 7.0], 600) == pytest.approx(7.0)
    assert estimates._linear([1000], [10.0], 10_000) == pytest.approx(100)


def test_the_time_of_a_graph_grows_by_a_small_power():
    assert estimates._extended([1000, 4000], [1.0, 2**0.4], 16_000) == pytest.approx(2**0.8)
    steep = estimates._extended([1000, 4000], [1.0, 4.0], 40_000)
    assert steep == pytest.approx(4 * 10**estimates._GROWTH)
    assert estimates._extended([1000, 4000], [2.0, 1.0], 40_000) == 1.0


def test_parts_add_up_in_time_and_share_memory():
    found = merged(
        [Estimate("a", 1, 2.0, 30, 4), Estimate("b", 1, 1.0), Estimate("a", 2, 3.0, 20, 5)]
    )
    assert found == [Estimate("a", 3, 5.0, 30, 5), Estimate("b", 1, 1.0)]


def test_every_part_of_a_study_is_estimated(remaining):
    ((work, groups),) = remaining.sets
    found = {each.part: each for each in estimate(work, groups, probes())}
    assert list(found) == ["exact search", "faiss-flat", "faiss-hnsw"]
    assert [each.trials for each in found.values()] == [4, 2, 4]
    assert all(each.seconds > 0 and each.memory_bytes > 0 for each in found.values())
    slower = {each.part: each for each in estimate(work, groups, probes(query=(1e-2, 2e-2)))}
    assert slower["faiss-flat"].seconds > found["faiss-flat"].seconds
    assert slower["exact search"] == found["exact search"]


def test_the_first_index_of_a_backend_counts_three_times_and_each_with_processes(study, remaining):
    ((work, groups),) = remaining.sets
    flat = [group for group in groups if next(iter(group.values())).backend == "faiss-flat"]
    costs = estimates._Costs(work, probes())
    each = [costs.index(group).seconds for group in flat]
    assert costs.backend("faiss-flat", flat).seconds == pytest.approx(sum(each) + 2 * each[0])
    work.study = load_study(study, ["processes=4"])
    assert costs.study is not work.study
    costs = estimates._Costs(work, probes())
    assert costs.backend("faiss-flat", flat).seconds == pytest.approx(4 * sum(each))


def test_an_index_that_is_surely_too_large_is_named_before_it_is_tried(remaining):
    ((work, groups),) = remaining.sets
    flat = next(g for g in groups if next(iter(g.values())).backend == "faiss-flat")
    assert too_large(work, flat, probes(), 2**30) == ""
    heavy = probes(sizes=(300, 600), index=(3e9, 6e9))
    reason = too_large(work, flat, heavy, 2**30)
    assert reason.startswith("not tried: an index of 5.6 GiB does not fit into the 1.0 GiB")


def test_probes_name_the_smallest_and_largest_dimension_once(remaining):
    ((_, groups),) = remaining.sets
    found = probed_indexes(groups)
    assert list(found) == ["faiss"]
    listed = [(trial.backend, trial.dim, len(searches)) for trial, searches in found["faiss"]]
    assert listed == [
        ("faiss-flat", 32, 1),
        ("faiss-hnsw", 32, 2),
        ("faiss-flat", 8, 1),
        ("faiss-hnsw", 8, 2),
    ]


def test_probes_measure_what_they_are_asked(study, remaining):
    found = probe(remaining.sets, this_machine(load_study(study)))
    assert {(p.backend, p.dim) for p in found.indexes} == {
        (backend, dim) for backend in ("faiss-flat", "faiss-hnsw") for dim in (8, 32)
    }
    assert found.pairs_per_second > 0
    assert found.bandwidth > 0
    assert found.start_seconds > 0
    flat = next(p for p in found.indexes if (p.backend, p.dim) == ("faiss-flat", 32))
    assert flat.sizes == [600, 600]
    assert flat.index_bytes[0] == pytest.approx(600 * 32 * 4, abs=200)


def test_a_library_that_fails_in_a_probe_is_left_out(remaining):
    ((work, groups),) = remaining.sets
    rest = estimate(work, groups, Probes((), 0.0, 0.0, 1.0))
    assert all(np.isfinite(each.seconds) for each in rest)


def test_a_dry_run_measures_nothing_and_counts_what_is_measured(study, tmp_path):
    before = dry_run(study, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (before.trials, before.measured) == (10, 0)
    run(study, tmp_path / "out", progress=False)
    after = dry_run(study, tmp_path / "out")
    assert (after.trials, after.measured) == (0, 10)
    assert after.lines()[-1].startswith("in all 0 trials")


def test_a_dry_run_of_texts_encodes_a_few_of_them(text_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    text = f'name = "t"\ndataset = "beir:{text_folder}"\nencoder = "wordllama"\ndimensions = 16\n'
    (tmp_path / "t.toml").write_text(text)
    found = dry_run(tmp_path / "t.toml", tmp_path / "out")
    assert [part.part for part in found.parts] == ["encoding", "exact search", "BM25"]
    assert not (tmp_path / "cache" / "matrices").exists()
    shell = outline(f"beir:{text_folder}", "wordllama")
    assert shell.key == ""
    whole = embed(f"beir:{text_folder}", "wordllama", progress=False)
    assert shell.corpus.shape == whole.corpus.shape
    assert shell.query_ids == whole.query_ids
    assert outline(f"beir:{text_folder}", "wordllama").key == whole.key


def test_a_run_tells_its_parts_first_and_logs_what_they_took(study, tmp_path, capfd):
    run(study, tmp_path / "out", progress=True)
    told = capfd.readouterr().err
    assert told.index("part ") < told.index("faiss-hnsw") < told.index("in all 10 trials")
    tasks = [
        json.loads(line) for line in (tmp_path / "out" / "tasks.jsonl").read_text().splitlines()
    ]
    assert [t["task"] for t in tasks[:3]] == ["embed", "probes", "exact"]
    assert tasks[1]["forecast_seconds"] > 0
    builds = [task for task in tasks if task["task"] == "build"]
    assert len(builds) == 4 + 2 * 2  # and the first of each backend in two processes more
    assert all(task["seconds"] > 0 and task["worker_bytes"] > 0 for task in builds)


def test_what_cannot_fit_is_a_row_and_the_rest_is_measured(study, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "bench.measuring.runner.too_large",
        lambda work, group, *_: (
            "not tried: too large" if next(iter(group.values())).backend == "faiss-hnsw" else ""
        ),
    )
    frame = run(study, tmp_path / "out", progress=True)
    status = frame.groupby("backend")["status"].unique().str.join(",").to_dict()
    assert status == {"exact": "ok", "faiss-flat": "ok", "faiss-hnsw": "out_of_memory"}
    assert set(frame[frame["backend"] == "faiss-hnsw"]["error"]) == {"not tried: too large"}


def test_the_lines_are_of_equal_columns_and_end_with_the_total():
    lines = Forecast(
        (Estimate("exact search", 32, 75.0, 3e8), Estimate("annoy", 8, 4000.0, 5e9, 2e9)), 7
    ).lines()
    assert lines[0].split() == ["part", "trials", "time", "memory"]
    assert lines[1].split() == ["exact", "search", "32", "1", "min", "15", "s", "286", "MiB"]
    assert lines[2].split() == ["annoy", "8", "1", "h", "06", "min", "4.7", "GiB"]
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[3].startswith("in all 40 trials, about 1 h 07 min")
    assert "4.7 GiB of memory in a worker, 1.9 GiB on disk; 7 trials" in lines[3]


def test_bad_input_is_one_line_before_anything_runs(study, tmp_path):
    with pytest.raises(StudyError, match="threads = 999"):
        dry_run(study, tmp_path / "out", ["threads=999"])
    with pytest.raises(UsageError, match="no such file or folder"):
        dry_run(study, tmp_path / "out", ['dataset="vectors:/nowhere"'])
