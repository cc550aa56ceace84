"""Read exports back with pytrec_eval and mteb."""

import json

import numpy as np
import pytest
import pytrec_eval

from bench.cli import main
from bench.errors import NothingToShow
from bench.interop.export import _task_name, export_mteb, export_trec
from bench.results.store import load, load_queries


@pytest.fixture
def exact(frame):
    return frame[frame["backend"] == "exact"]


def test_a_trec_run_has_the_scores_of_the_table(frame, measured, vector_folder, tmp_path):
    paths = export_trec(frame, measured, tmp_path)
    assert len(paths) == len(frame)
    qrels: dict[str, dict[str, int]] = {}
    for line in (vector_folder / "qrels" / "test.tsv").read_text().splitlines()[1:]:
        query, document, grade = line.split("\t")
        qrels.setdefault(query, {})[document] = int(grade)
    for (_, row), path in zip(frame.iterrows(), paths, strict=True):
        with path.open() as file:
            run = pytrec_eval.parse_run(file)
        found = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "map_cut.100"}).evaluate(run)
        assert np.mean([q["ndcg_cut_10"] for q in found.values()]) == pytest.approx(
            row["ndcg_at_10"], abs=1e-9
        )
        if row["backend"] == "exact":
            assert np.mean([q["map_cut_100"] for q in found.values()]) == pytest.approx(
                row["map_at_100"], abs=1e-9
            )


@pytest.mark.needs_mteb
def test_mteb_reads_its_result_files(exact, tmp_path):
    import mteb
    from mteb.results import TaskResult

    paths = [path for path in export_mteb(exact, tmp_path) if path.name != "model_meta.json"]
    assert len(paths) == len(exact)
    for (_, row), path in zip(exact.iterrows(), paths, strict=True):
        result = TaskResult.from_disk(path)
        (scores,) = result.scores["test"]
        assert scores["main_score"] == scores["ndcg_at_10"] == row["ndcg_at_10"]
        assert scores["recall_at_100"] == row["recall_at_100"]
        meta = json.loads((path.parent / "model_meta.json").read_text())
        assert meta["embed_dim"] == row["dim"]
        assert meta["revision"] == row["trial_id"]
    assert mteb.__version__


def test_the_rank_of_the_first_relevant_document_matches_the_reciprocal_rank(exact, measured):
    queries = load_queries(measured).merge(exact[["trial_id", "mrr_at_10"]], on="trial_id")
    reciprocal = (1 / queries["first_relevant_rank"]).where(queries["first_relevant_rank"] <= 10, 0)
    np.testing.assert_allclose(
        reciprocal.groupby(queries["trial_id"]).mean(),
        queries.groupby("trial_id")["mrr_at_10"].first(),
    )


def test_the_command_and_what_it_cannot_export(measured, tmp_path, monkeypatch, capsys, frame):
    for kind in ("trec", "mteb"):
        monkeypatch.setattr(
            "sys.argv",
            ["bench", "export", str(measured), "--format", kind, "--out", str(tmp_path / kind)],
        )
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 0
        assert f"files in {tmp_path / kind}" in capsys.readouterr().out
        assert any((tmp_path / kind).iterdir())
    with pytest.raises(NothingToShow, match="no rankings"):
        export_trec(load(measured), tmp_path / "nowhere", tmp_path)
    with pytest.raises(NothingToShow, match="nothing to export"):
        export_mteb(frame.assign(ndcg_at_10=np.nan), tmp_path)


@pytest.mark.parametrize(
    ("dataset", "task"),
    [
        ("pydoc", "pydoc"),
        ("beir:data/scifact/", "scifact"),
        ("mteb:SciFact", "SciFact"),
        ("vectors:x.parquet", "x.parquet"),
    ],
)
def test_the_task_is_the_last_part_of_the_dataset(dataset, task):
    assert _task_name(dataset) == task
