"""Shards: the same deal everywhere, whole indexes, and together the very trials of one run."""

import re
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import pytest

from bench.embeddings import embed
from bench.embeddings.smaller import sizes
from bench.errors import UsageError
from bench.measuring import workload
from bench.measuring.forecast import dry_run
from bench.measuring.remaining import Remaining, further
from bench.measuring.runner import run
from bench.measuring.shards import WHOLE, Shard, take
from bench.measuring.workload import first
from bench.results.shards import read_records
from bench.results.store import load
from bench.study.reader import load_study
from tests.measuring.packages import install
from tests.studies import FLAT_AND_HNSW, RESCORED

STUDY = (
    """
name = "s"
dataset = "vectors:{folder}"
dimensions = [8, 20]
reducers = ["truncate", "pca"]
repeats = 1
subsets = 0
"""
    + FLAT_AND_HNSW
    + RESCORED
)
INDEXES = 2 + 2 * 2
"""Two exact passes, and two indexes at two dimensions."""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory, vector_folder):
    path = tmp_path_factory.mktemp("shards") / "study.toml"
    path.write_text(STUDY.format(folder=vector_folder))
    return path


@pytest.fixture(scope="module")
def study(study_file):
    return load_study(study_file)


def planned(study, shard, folder=None, machine="m", corpora=(300, 600), **changed):
    """Return what is left of a study in one shard, without measuring anything."""
    found = Remaining(study, {}, False, machine)
    for each in sizes(embed(study.dataset[0], progress=False), corpora):
        found.add(replace(each, **changed))
    take(shard, found, folder)
    return found


def names(found):
    """Return the groups of a plan by what they measure, not by trial ids."""
    return [
        f"{len(work.embeddings.corpus)} {[*group.values()]}"
        for work, groups in found.sets
        for group in groups
    ]


def ids(found):
    return [trial_id for _, groups in found.sets for group in groups for trial_id in group]


@pytest.mark.parametrize(("text", "expected"), [("3/16", (3, 16)), (" 1 / 1 ", (1, 1))])
def test_a_shard_is_a_part_and_a_number_of_parts(text, expected):
    found = Shard.parse(text)
    assert (found.number, found.of) == expected
    assert Shard.parse(str(found)) == found


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "x", "3", "3/", "1/0", "-1/4", "1.5/4", "", "1/4/2"]
)
def test_what_is_no_shard_is_one_clear_line(text):
    with pytest.raises(UsageError, match="shard") as raised:
        Shard.parse(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("shard", [(0, 4), (5, 4)])
def test_an_impossible_shard_fails_before_anything_is_read(tmp_path, shard):
    with pytest.raises(UsageError, match=f"shard {shard[0]}/4"):
        run("no such study", tmp_path / "r", shard=shard)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("of", [1, 2, 3, 5, 7, 12, 20])
def test_shards_hold_every_trial_once_whole_indexes_and_as_many_to_within_one(study, of):
    everything = planned(study, WHOLE)
    shards = [planned(study, Shard(number, of)) for number in range(1, of + 1)]
    assert sorted(trial for shard in shards for trial in ids(shard)) == sorted(ids(everything))
    assert sorted(n for shard in shards for n in names(shard)) == sorted(names(everything))
    counts = [sum(len(groups) for _, groups in shard.sets) for shard in shards]
    assert sum(counts) == 2 * INDEXES
    assert max(counts) - min(counts) <= 1


def test_the_deal_is_the_same_with_another_machine_other_versions_and_another_place(
    study, monkeypatch
):
    here = [names(planned(study, Shard(number, 3))) for number in (1, 2, 3)]
    own = [ids(planned(study, Shard(number, 3))) for number in (1, 2, 3)]
    monkeypatch.setattr(workload, "versions_of", lambda backend, _: {backend: "0"})
    there = [
        planned(study, Shard(number, 3), machine="another", key="k", dataset="vectors:elsewhere")
        for number in (1, 2, 3)
    ]
    assert [names(each) for each in there] == here
    assert not {i for each in there for i in ids(each)} & {i for each in own for i in each}


def test_the_deal_of_today_is_that_of_tomorrow(study):
    """A pinned deal: shards that are measured with two versions of this package must fit."""
    found = planned(study, Shard(2, 4), dataset_fingerprint="f")
    indexes = [
        (len(work.embeddings.corpus), trial.backend, trial.reducer, trial.dim)
        for work, groups in found.sets
        for trial in map(first, groups)
    ]
    assert indexes == [
        (300, "exact", "truncate", 8),
        (300, "exact", "pca", 8),
        (600, "faiss-hnsw", "truncate", 20),
    ]


def test_other_data_are_dealt_otherwise(study):
    one, other = (
        [names(planned(study, Shard(n, 6), dataset_fingerprint=f)) for n in range(1, 7)]
        for f in ("a", "b")
    )
    assert one != other


def test_the_first_index_of_a_backend_gets_further_processes_in_one_shard_only(study):
    """The same processes as in one run, whatever the number of shards, also in a shared folder."""

    def repeated(found):
        rows = {
            trial_id: {
                "process_speedup": [1.0],
                "build_seconds": 1.0,
                "qps": 1.0,
                "repeats_done": 1,
            }
            for work, _ in found.sets
            for group in work.groups
            for trial_id in group
        }
        return [i for work, _ in found.sets for again, _ in further(work, rows, 1) for i in again]

    everything = repeated(planned(study, WHOLE))
    assert everything
    shards = [repeated(planned(study, Shard(number, 5))) for number in range(1, 6)]
    assert sorted(i for shard in shards for i in shard) == sorted(everything)


def test_a_record_tells_the_trials_of_the_shard_and_how_many_each_has(study, tmp_path):
    found = planned(study, Shard(2, 3), tmp_path)
    (record,) = read_records(tmp_path)
    assert record.shard == "2/3"
    assert sorted(i for of in record.trials.values() for i in of) == sorted(ids(found))
    assert record.deal[1] == {backend: len(of) for backend, of in sorted(record.trials.items())}
    assert sum(sum(part.values()) for part in record.deal) == len(ids(planned(study, WHOLE)))
    planned(study, Shard(2, 3), tmp_path)
    assert len(read_records(tmp_path)) == 1
    planned(study, Shard(2, 3), tmp_path, machine="another")
    assert len(read_records(tmp_path)) == 2
    planned(study, WHOLE, tmp_path)
    assert len(read_records(tmp_path)) == 2


@pytest.fixture(scope="module")
def measured_shards(tmp_path_factory, study_file):
    folder = tmp_path_factory.mktemp("measured-shards")
    for number in (1, 2):
        run(study_file, folder / str(number), progress=False, shard=(number, 2))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory, study_file):
    return run(study_file, tmp_path_factory.mktemp("whole"), progress=False)


TIMES = re.compile("ms_p|qps|seconds|speedup|bandwidth|memory|started|repeats_done|threads")


def quality(frame):
    """Return the columns that no clock and no machine decides."""
    kept = [c for c in frame.columns if not TIMES.search(c)]
    return frame[kept].sort_values("trial_id").reset_index(drop=True)


@pytest.mark.slow
def test_shards_find_together_what_one_run_finds_bit_for_bit(measured_shards, whole):
    parts = pd.concat([load(measured_shards / "1"), load(measured_shards / "2")])
    assert set(parts["status"]) == {"ok"}
    pd.testing.assert_frame_equal(quality(parts), quality(whole), check_exact=True)
    assert parts["process_speedup"].map(len, na_action="ignore").sum() == (
        whole["process_speedup"].map(len, na_action="ignore").sum()
    )


@pytest.mark.slow
def test_shards_one_after_the_other_fill_one_folder(measured_shards, study_file, whole, tmp_path):
    for number in (1, 2):
        found = run(study_file, tmp_path, progress=False, shard=(number, 2))
        assert len(found) == (len(whole) if number == 2 else len(load(measured_shards / "1")))
    assert set(found["trial_id"]) == set(whole["trial_id"])


def test_progress_names_the_shard_and_an_empty_one_ends_well(study_file, tmp_path, capsys):
    """Two exact passes in five shards: three have nothing to do."""
    exact = ["configurations=[]"]
    found = [run(study_file, tmp_path / f"{n}", exact, shard=(n, 5)) for n in range(1, 6)]
    lines = capsys.readouterr().err.splitlines()
    assert [f"shard {n}/5: 0 trials" in "\n".join(lines) for n in range(1, 6)] == [True] * 5
    empty = [n for n, frame in enumerate(found, 1) if frame.empty]
    assert len(empty) == 3
    assert [*found[empty[0] - 1].columns] == [*max(found, key=len).columns]
    done = command(study_file, tmp_path / "again", f"{empty[0]}/5", *exact)
    assert done.returncode == 0
    assert "holds no index, so nothing is measured" in done.stdout
    assert "Traceback" not in done.stderr


def command(study_file, out, shard, *overrides):
    line = [sys.executable, "-m", "bench", "run", str(study_file), "--out", str(out)]
    line += ["--shard", shard]
    for override in overrides:
        line += ["--set", override]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_a_bad_shard_is_exit_status_2_and_one_line(study_file, tmp_path):
    done = command(study_file, tmp_path / "r", "5/4")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "5/4" in done.stderr


def test_a_dry_run_tells_what_the_shard_takes(study_file, tmp_path):
    exact = ["configurations=[]"]
    every = [dry_run(study_file, tmp_path / "r", exact, (number, 3)).trials for number in (1, 2, 3)]
    assert sorted(every) == [0, 3, 3]
    assert dry_run(study_file, tmp_path / "r", exact).trials == 6
    assert not (tmp_path / "r").exists()


def test_shards_have_folders_of_their_own_by_default(study):
    assert str(Shard(3, 16).folder(study)) == "results/s-3-of-16"
    assert str(WHOLE.folder(study)) == "results/s"


TALLIED = """
import os
import sys
import numpy as np
from bench.encoders import Encoder

# A worker encodes a sample of the documents to time it; the corpus is encoded in the runner.
TIMED = "timed " * ("bench.measuring.worker" in sys.orig_argv)

class Tallied(Encoder):
    name = "tallied"
    dimension = 8
    identity = "tallied"
    def __init__(self, argument):
        pass
    def encode_full(self, texts, role):
        with open(os.environ["TALLY"], "a") as file:
            file.writelines(f"{TIMED}{role} {text}\\n" for text in texts)
        seeds = [sum(map(ord, text)) for text in texts]
        return np.stack([np.random.default_rng(s).standard_normal(8) for s in seeds])
"""
NESTED = """
name = "nested"
dataset = "beir:{folder}"
encoder = "tallied"
dimensions = [4]
corpus_sizes = [30, 60]
repeats = 1
subsets = 0
[[configurations]]
backend = "faiss-flat"
"""


@pytest.mark.slow
def test_a_corpus_is_encoded_once_for_all_its_sizes_and_shards(tmp_path, text_folder, monkeypatch):
    """Two shards that hold the smaller part alone, at once on one cache; then the others."""
    install(tmp_path / "package", monkeypatch, "tallied", "encoders", {"tallied": "Tallied"})
    (tmp_path / "package" / "tallied.py").write_text(TALLIED)
    path, tally = tmp_path / "nested.toml", tmp_path / "tally"
    path.write_text(NESTED.format(folder=text_folder))
    monkeypatch.setenv("TALLY", str(tally))
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "other"))
    parts = sizes(embed(f"beir:{text_folder}", "tallied", progress=False), [30, 60])
    small = []
    for number in range(1, 6):
        found = Remaining(load_study(path), {}, False, "m")
        for part in parts:
            found.add(part)
        take(Shard(number, 5), found)
        (corpus,) = {len(work.embeddings.corpus) for work, groups in found.sets if groups}
        small += [number] if corpus == 30 else []
    assert len(small) == 2  # of the exact pass, a flat index and, of the whole corpus, BM25

    def documents():
        return sum(line.startswith("document") for line in tally.read_text().splitlines())

    tally.unlink()
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    ours = [sys.executable, "-m", "bench", "run", str(path), "--quiet"]
    at_once = [
        subprocess.Popen([*ours, "--shard", f"{n}/5", "--out", str(tmp_path / f"{n}")])
        for n in small
    ]
    assert [each.wait() for each in at_once] == [0, 0]
    assert documents() == 60
    (large, *_) = set(range(1, 6)) - set(small)
    found = run(path, tmp_path / "large", progress=False, shard=(large, 5))
    assert set(found["n_corpus"]) == {60}
    assert documents() == 60
