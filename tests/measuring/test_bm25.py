"""BM25 is the ranking that its formula says, and one row of every study of judged texts."""

import json
import math
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from bench.cli import commands
from bench.measuring.bm25 import PARAMETERS, bm25_topk
from bench.measuring.runner import run
from bench.results.rows import bm25_rows, exact_rows, plain, timed
from bench.results.store import load_queries, load_rankings

DOCUMENTS = [
    "Red apples and green apples on trees",
    "the tree",
    "Green apples",
    "a red red bridge over red water",
    "green apples",
    "nothing here",
]
QUERIES = ["red apples", "green apples", "the tree over water", "unknown words", "the and"]
STOP_WORDS = {"and", "on", "the", "a", "over"}


def by_formula(query, documents):
    """Score by Lucene's BM25, written down once more."""
    split = [[w for w in re.findall(r"\w\w+", d.lower()) if w not in STOP_WORDS] for d in documents]
    mean, scores = np.mean([len(words) for words in split]), np.zeros(len(documents))
    for word in re.findall(r"\w\w+", query.lower()):
        holding = sum(word in words for words in split)
        weight = math.log(1 + (len(split) - holding + 0.5) / (holding + 0.5))
        for i, words in enumerate(split):
            count, length = (
                words.count(word),
                PARAMETERS["k1"] * (1 - PARAMETERS["b"] + PARAMETERS["b"] * len(words) / mean),
            )
            if word not in STOP_WORDS:
                scores[i] += weight * count / (count + length)
    return scores


def test_the_ranking_follows_the_formula():
    found = bm25_topk(QUERIES, DOCUMENTS, 4)
    for query, ids in zip(QUERIES, found, strict=True):
        scores = by_formula(query, DOCUMENTS)
        order = [i for i in np.argsort(-scores, kind="stable") if scores[i] > 0][:4]
        assert ids[ids >= 0].tolist() == order, query
    assert found[1, :2].tolist() == [2, 4], "equal scores are in the order of positions"
    assert (found[3:] == -1).all(), "no word in common, nothing found"


def test_a_querys_own_document_is_left_out():
    found = bm25_topk(["green apples"], DOCUMENTS, 2, own=np.array([2]))
    assert found.tolist() == [[4, 0]]


@pytest.fixture(scope="module")
def results(text_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bm25")
    data = folder / "data"
    shutil.copytree(text_folder, data)
    lines = [json.loads(line) for line in (data / "queries.jsonl").read_text().splitlines()]
    grouped = ({**line, "group": f"g{i % 4}"} for i, line in enumerate(lines))
    (data / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in grouped))
    (folder / "study.toml").write_text(
        f'name = "s"\ndataset = "beir:{data}"\nencoder = "wordllama"\ndimensions = [16, 256]\n'
        'repeats = 1\nsubsets = 19\n[[configurations]]\nbackend = "faiss-flat"\n'
    )
    run(folder / "study.toml", folder / "out", progress=False)
    return folder


def test_a_study_of_texts_has_one_row_of_bm25(results):
    frame = run(results / "study.toml", results / "out", progress=False)
    row = bm25_rows(frame).iloc[0]
    assert len(frame) == 1 + 2 + 2
    assert (row["reducer"], row["dim"], row["precision"]) == ("", 0, "")
    assert 0 <= row["ndcg_at_10_low"] <= row["ndcg_at_10"] <= row["ndcg_at_10_high"] <= 1
    assert row["retained_ndcg_at_10"] > 0
    assert row[["loss_dimension", "fidelity_at_10", "latency_ms_p50", "subsets"]].isna().all()
    assert "bm25s" in json.loads(row["library_versions"])
    assert json.loads(row["build_params"]) == PARAMETERS
    for rows in (exact_rows, plain, timed):
        assert row["trial_id"] not in set(rows(frame)["trial_id"])
    queries = load_queries(results / "out")
    mine = queries[queries["trial_id"] == row["trial_id"]]
    assert mine["ndcg_at_10"].mean() == pytest.approx(row["ndcg_at_10"])
    assert len(load_rankings(results / "out", row["trial_id"])) == len(mine)


def test_groups_of_queries_are_in_the_tables(results):
    frame = run(results / "study.toml", results / "out", progress=False)
    assert set(frame["n_groups"]) == {4}
    queries = load_queries(results / "out")
    assert queries.groupby("trial_id")["query_group"].nunique().eq(4).all()
    assert queries.groupby("query_id")["query_group"].nunique().eq(1).all()


def test_what_was_measured_is_not_measured_again(results):
    frames = [run(results / "study.toml", results / "out", progress=False) for _ in range(2)]
    assert frames[0]["started_at"].tolist() == frames[1]["started_at"].tolist()


@pytest.mark.parametrize(
    "verb",
    [
        ["show"],
        ["report"],
        ["recommend"],
        ["export", "--format", "mteb"],
        ["export", "--format", "trec"],
        ["compare"],
    ],
)
def test_every_verb_reads_a_table_with_bm25(results, verb):
    out = str(results / "out")
    found = CliRunner().invoke(commands, [*verb, out, *([out] if verb == ["compare"] else [])])
    assert found.exit_code == 0, found.output
