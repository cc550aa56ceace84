"""Fusion with BM25 and a rerank: what the formula says, in every row and program."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.at_size import AtSize
from bench.analysis.findings import findings
from bench.analysis.labels import label, stage_label
from bench.backends import get_backend
from bench.cli import commands
from bench.errors import StudyError
from bench.measuring.bm25 import bm25_topk
from bench.measuring.runner import run
from bench.measuring.texts import RANK_CONSTANT, Texts, fused
from bench.results.rows import fused_rows, timed, untimed, with_texts
from bench.results.store import load_queries, load_rankings
from bench.study.schema import Stages

LISTS = st.lists(st.lists(st.integers(0, 30), unique=True, max_size=12), min_size=1, max_size=3)


def by_formula(lists):
    """Sum the reciprocal ranks in plain Python; equals are in the order of their appearance."""
    scores = {}
    for ids in lists:
        for rank, i in enumerate(ids, 1):
            scores[i] = scores.get(i, 0.0) + 1 / (60 + rank)
    return sorted(scores, key=lambda i: -scores[i])


@settings(max_examples=200, derandomize=True, database=None)
@given(LISTS)
def test_fusion_is_the_sum_of_reciprocal_ranks(lists):
    padded = [np.array([*ids, -1, -1], dtype=np.int64) for ids in lists]
    assert fused(padded).tolist() == by_formula(lists)
    assert RANK_CONSTANT == 60, "the constant of the paper"


STUDY = """
name = "texts"
dataset = "beir:{folder}"
encoder = "wordllama"
dimensions = [16, 256]
repeats = 1
subsets = 0
[[configurations]]
backend = ["exact", "faiss-flat"]
stages = {{ shortlist = [10, 20], fusion = "bm25" }}
[[configurations]]
backend = ["exact", "faiss-flat"]
precision = "binary"
dimensions = 16
stages = {{ shortlist = 20, fusion = "bm25", dimension = 256 }}
"""


@pytest.fixture(scope="module")
def results(text_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("texts")
    (folder / "study.toml").write_text(STUDY.format(folder=text_folder))
    return run(folder / "study.toml", folder / "out", progress=False), folder / "out"


def texts_in(folder):
    """Return the texts of documents and queries of a BEIR folder."""
    corpus = [json.loads(line) for line in (folder / "corpus.jsonl").read_text().splitlines()]
    queries = [json.loads(line) for line in (folder / "queries.jsonl").read_text().splitlines()]
    return [f"{each['title']} {each['text']}" for each in corpus], [q["text"] for q in queries]


def test_a_row_has_the_fusion_of_exact_search_and_bm25(results, text_folder):
    frame, out = results
    assert (frame["status"] == "ok").all(), frame["error"].tolist()
    words = bm25_topk(*reversed(texts_in(text_folder)), 20)
    rows = untimed(frame)
    for dim in (16, 256):
        (exact,) = rows.loc[(rows["dim"] == dim) & (rows["stages"] == ""), "trial_id"]
        dense = load_rankings(out, exact).set_index("query_id")["doc_ids"]
        for size in (10, 20):
            stages = json.dumps({"fusion": "bm25", "shortlist": size})
            (trial,) = rows.loc[(rows["dim"] == dim) & (rows["stages"] == stages), "trial_id"]
            found = load_rankings(out, trial).set_index("query_id")["doc_ids"]
            for row in range(12):
                near = [int(name[1:]) for name in dense[f"q{row}"][:size]]
                expected = by_formula([near, [i for i in words[row, :size].tolist() if i >= 0]])
                assert [int(n[1:]) for n in found[f"q{row}"]] == expected[:10], (dim, size, row)


def test_a_timed_index_finds_what_the_row_without_times_finds(results):
    frame, out = results
    ndcg = load_queries(out).set_index(["trial_id", "query_id"])["ndcg_at_10"]
    setting = ["dim", "precision", "stages"]
    alone, clocked = untimed(frame).set_index(setting), timed(frame)
    assert len(clocked) == 5
    for _, row in clocked.iterrows():
        key = tuple(row[setting])
        other = alone.loc[key]
        assert ndcg[row["trial_id"]].tolist() == ndcg[other["trial_id"]].tolist(), key
        assert row["ann_recall_at_10"] == 1 or key[1] == "binary"
        assert row["rescore_ms_p50"] > 0
    assert with_texts(clocked).all()
    assert clocked[["loss_dimension", "loss_precision", "loss_search"]].isna().all(axis=None)


def test_the_index_of_words_is_counted(results):
    frame, _ = results
    rows = untimed(frame).set_index(["dim", "stages"])["bytes_per_vector"]
    one, two = (rows[16, json.dumps({"fusion": "bm25", "shortlist": n})] for n in (10, 20))
    assert one == two > rows[16, ""]
    stages = json.dumps({"dimension": 256, "fusion": "bm25", "shortlist": 20})
    assert rows[16, stages] == pytest.approx(one - 64 + 4 * 256 + 2, abs=2)


def test_versions_and_labels_name_what_reads(results):
    frame, _ = results
    row = frame[with_texts(frame)].iloc[0]
    assert "bm25s" in json.loads(row["library_versions"])
    assert label(row).endswith("10 fused with BM25")
    assert len(fused_rows(frame)) == 4
    both = {"shortlist": 50, "dimension": 64, "fusion": "bm25", "rerank": "some/model"}
    assert stage_label(both) == "rescore 50 at 64 d, 50 fused with BM25, 50 reranked by model"


def test_a_finding_says_whether_the_dimension_still_matters(results):
    frame, out = results
    ndcg = load_queries(out).groupby("trial_id")["ndcg_at_10"].mean()
    (found,) = [f for f in findings(frame, load_queries(out)) if f.kind == "fusion"]
    assert found.values["BM25"] in ("better", "worse", "not distinguished")
    rows = fused_rows(frame).assign(ndcg=lambda rows: rows["trial_id"].map(ndcg))
    longest = rows[rows["dim"] == 256]
    best = longest.loc[longest["ndcg"].idxmax()]
    short = rows[(rows["dim"] == 16) & (rows["stages"] == best["stages"])].iloc[0]
    assert found.values["difference"][16] == pytest.approx(short["ndcg"] - best["ndcg"])
    assert "Shorter vectors in the fusion, against 256 d" in found.text


def test_what_words_find_is_not_projected(results):
    frame, out = results
    change = AtSize(frame, load_queries(out), 6_000).change(frame[with_texts(frame)].iloc[0])
    assert "not projected" in change.refused


@pytest.mark.parametrize("verb", ["show", "report", "recommend", "figures", "compare"])
def test_every_verb_reads_a_table_with_fusion(results, verb, tmp_path):
    out = str(results[1])
    more = {"compare": [out], "figures": ["--out", str(tmp_path)]}.get(verb, [])
    found = CliRunner().invoke(commands, [verb, out, *more])
    assert found.exit_code == 0, found.output


def test_a_querys_own_document_is_in_no_list(text_folder):
    own = np.full(12, -1)
    own[3] = 7
    ids = [f"q{i}" for i in range(12)]
    texts = Texts(f"beir:{text_folder}", ids, own)
    stages = {"shortlist": 20, "fusion": "bm25"}
    shortlists = np.tile(np.arange(21), (1, 1))
    found = texts.finish(stages, shortlists, [3], 21)[0]
    assert 7 not in found
    words = texts.by_words(3, 20).tolist()
    near = [i for i in range(21) if i != 7]
    assert found.tolist() == [*by_formula([near, [i for i in words if i >= 0]])[:20], -1]


def test_combinations_that_say_the_same_are_measured_once():
    swept = Stages(shortlist=20, fusion=["none", "bm25"], vectors=["memory", "disk"])
    found = swept.swept(get_backend("faiss-flat"))
    assert found == [
        {"shortlist": 20},
        {"shortlist": 20, "fusion": "bm25"},
        {"shortlist": 20, "vectors": "disk"},
    ]


@pytest.mark.parametrize(
    ("dataset", "more"),
    [
        ("vectors:{vectors}", ""),
        ("beir:{texts}", 'encoder = "wordllama"\norder = 1\n'),
        ("beir:{texts}", 'encoder = "wordllama"\ncorpus_sizes = [40]\n'),
    ],
    ids=["ready vectors", "another order", "a part"],
)
def test_texts_that_are_not_there_are_one_line(dataset, more, vector_folder, text_folder, tmp_path):
    named = dataset.format(vectors=vector_folder, texts=text_folder)
    (tmp_path / "study.toml").write_text(
        f'name = "s"\ndataset = "{named}"\n{more}dimensions = 8\n[[configurations]]\n'
        'backend = "faiss-flat"\nstages = { shortlist = 10, fusion = "bm25" }\n'
    )
    with pytest.raises(StudyError, match="fusion and rerank read texts"):
        run(tmp_path / "study.toml", tmp_path / "out", progress=False)


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    """A folder with a cross-encoder that nobody has trained."""
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    folder = tmp_path_factory.mktemp("reader")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "where", "is", "the", "a", "red", "big"]
    (folder / "vocab.txt").write_text("\n".join(words))
    import torch

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, num_labels=1,
    )  # fmt: skip
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.mark.needs_torch
def test_a_rerank_orders_the_shortlist_as_the_model_does(reader, text_folder, tmp_path):
    from sentence_transformers import CrossEncoder

    study = STUDY.split("[[")[0].format(folder=text_folder)
    (tmp_path / "study.toml").write_text(
        f'{study}[[configurations]]\nbackend = ["exact", "faiss-flat"]\ndimensions = 16\n'
        f'stages = {{ shortlist = 12, rerank = "{reader}" }}\n'
        f'[[configurations]]\nbackend = "faiss-flat"\ndimensions = 16\n'
        'stages = { shortlist = 12, rerank = "no/such-model-here" }\n'
    )
    frame = run(tmp_path / "study.toml", tmp_path / "out", progress=False)
    bad = frame[frame["stages"].str.contains("no/such")].iloc[0]
    assert bad["status"] == "failed"
    assert "rerank = 'no/such-model-here' cannot be loaded" in bad["error"]
    documents, queries = texts_in(text_folder)
    model, rows = CrossEncoder(str(reader)), untimed(frame)
    (exact,) = rows.loc[(rows["dim"] == 16) & (rows["stages"] == ""), "trial_id"]
    dense = load_rankings(tmp_path / "out", exact).set_index("query_id")["doc_ids"]
    read = frame[frame["stages"].str.contains(str(reader)) & (frame["status"] == "ok")]
    assert read["backend"].tolist() == ["exact", "faiss-flat"]
    for trial in read["trial_id"]:
        found = load_rankings(tmp_path / "out", trial).set_index("query_id")["doc_ids"]
        for row, query in enumerate(queries):
            near = np.array([int(name[1:]) for name in dense[f"q{row}"][:12]])
            scores = model.predict([(query, documents[i]) for i in near])
            expected = near[np.argsort(-scores, kind="stable")][:10]
            assert [int(n[1:]) for n in found[f"q{row}"]] == expected.tolist()
