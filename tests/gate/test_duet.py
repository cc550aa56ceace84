"""Slices of a study, and pairs that survive a kill."""

import json

import pytest

from bench import load
from bench.analysis.regression.limits import LIMITS
from bench.cli import commands
from bench.errors import UsageError
from bench.gate import compare_folder, measure_and_compare
from bench.gate.duet import measured_pairs
from bench.gate.sides import Wanted
from bench.gate.slices import reachable, slices
from bench.study.plan import plan
from bench.study.reader import load_study, shipped
from bench.study.schema import Study


@pytest.mark.parametrize("name", shipped())
def test_slices_hold_every_trial_of_the_study_once(name):
    study = load_study(name)
    parts = [Study(**part.table) for part in slices(study)]
    assert plan(parts[0]) == []
    assert parts[0].reducers == study.reducers
    trials = [trial for part in parts[1:] for trial in plan(part)]
    assert len({trial.build_key for trial in trials}) == len(parts) - 1
    assert all(len({t.build_key for t in plan(part)}) == 1 for part in parts[1:])
    wanted = set(plan(study))
    assert set(trials) == wanted
    assert len(trials) == len(wanted)


def test_a_quick_comparison_has_one_index_per_backend():
    study = load_study("regress")
    parts = [Study(**part.table) for part in slices(study, quick=True)]
    assert [plan(part)[0].backend for part in parts[1:]] == [
        "faiss-flat", "faiss-ivf", "faiss-hnsw", "annoy",
    ]  # fmt: skip


def test_data_that_a_work_tree_lacks_are_found_where_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "tree/data", "untracked"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    study = Study(
        name="s", dataset=["vectors:data", "vectors:untracked", "pydoc", "synthetic:100x8"],
        encoder="st:untracked", dimensions=4,
    )  # fmt: skip
    found = reachable(study, [tmp_path, tmp_path / "tree"])
    outside = tmp_path / "untracked"
    assert found.dataset == ["vectors:data", f"vectors:{outside}", "pydoc", "synthetic:100x8"]
    assert found.encoder == [f"st:{outside}"]


@pytest.fixture(scope="module")
def study(vector_folder):
    return Study(
        name="small",
        dataset=f"vectors:{vector_folder}",
        dimensions=[8, 32],
        configurations=[
            {"backend": "faiss-hnsw", "dimensions": [8], "build": {"M": 8}, "search": {"ef": 20}}
        ],
    )


@pytest.fixture(scope="module")
def compared(study, tmp_path_factory):
    out = tmp_path_factory.mktemp("compared") / "out"
    same = Wanted(".")
    return out, measure_and_compare(study, same, same, out, pairs=2)


def test_both_sides_measure_each_pair_in_one_order_of_the_documents(compared):
    out, found = compared
    assert found.pairs == 2
    assert found.compared == 3
    # Two pairs on a busy machine may call a time worse; what does not depend on the clock is equal.
    assert not [f.figure for f in found.of("regressed") if LIMITS[f.figure].kind != "noisy"]
    assert (found.base, found.head) == ("working tree", "working tree")
    quality = {}
    for side in ("base", "head"):
        for pair in (0, 1):
            frame = load(out / side / str(pair))
            quality[side, pair] = frame.set_index("backend")["ndcg_at_10"].to_dict()
            assert ("random order" in frame["notes"].iloc[0]) == bool(pair)
            assert (frame["repeats_done"].dropna() == 1).all()
    assert quality["base", 0] == quality["head", 0]
    assert quality["base", 1] == quality["head", 1]
    lines = [json.loads(line) for line in (out / "done.jsonl").read_text().splitlines()]
    assert [line["side"] for line in lines] == [
        "base", "head", "head", "base", "head", "base", "base", "head",
    ]  # fmt: skip


def test_a_comparison_goes_on_where_it_was_killed(compared, study):
    out, first = compared
    noted = (out / "done.jsonl").read_text()
    before = (out / "base" / "0" / "trials.parquet").stat().st_mtime_ns
    lines = noted.splitlines(keepends=True)
    (out / "done.jsonl").write_text("".join(lines[:-1]) + lines[-1][:9])
    assert measured_pairs(out)[1] == [0]
    again = measure_and_compare(study, Wanted("."), Wanted("."), out, pairs=2)
    assert again.pairs == first.pairs
    assert (out / "base" / "0" / "trials.parquet").stat().st_mtime_ns == before
    assert [f.subject for f in again.findings] == [f.subject for f in first.findings]


def test_other_sides_are_not_mixed(compared, study):
    out, _ = compared
    with pytest.raises(UsageError, match="holds a comparison of other sides or of another study"):
        measure_and_compare(
            study.model_copy(update={"k": [5]}), Wanted("."), Wanted("."), out, pairs=2
        )


def test_what_a_side_raises_names_the_side(study, tmp_path):
    bad = study.model_copy(update={"dimensions": [8, 4000]})
    with pytest.raises(UsageError, match=r"base \(working tree\): StudyError: .*4000"):
        measure_and_compare(bad, Wanted("."), Wanted("."), tmp_path / "out", pairs=1)


def test_a_folder_without_a_pair_is_refused(tmp_path):
    with pytest.raises(UsageError, match="holds no comparison"):
        compare_folder(tmp_path)
    assert "compare" in commands.commands
