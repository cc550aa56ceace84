"""What stands in for queries and judgements."""

import json

import numpy as np
import pytest

from bench.datasets import _sampled, load_dataset, load_documents, stand_in
from bench.datasets.passages import drawn
from bench.embeddings import embed
from bench.errors import DataError, MissingSplit, NoQueries, UsageError
from bench.exact.one_pass import exact_topk


@pytest.fixture
def alone(tmp_path):
    """A BEIR folder of 30 documents of three sentences, and nothing else."""
    lines = [
        {
            "_id": f"d{i}",
            "text": f"Number {i} has a door. It was sold {i} years ago. Nobody knows {i}.",
        }
        for i in range(30)
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_a_passage_asks_for_the_rest_of_its_document(alone):
    data, whole = load_dataset(f"passages:beir:{alone}"), load_documents(f"beir:{alone}")
    before, after = list(whole.documents), list(data.documents)
    assert len(data.query_ids) == 30
    assert list(data.doc_ids) == list(whole.doc_ids)
    for query_id, text in zip(data.query_ids, data.queries, strict=True):
        assert data.qrels[query_id] == {query_id: 1}
        position = list(data.doc_ids).index(query_id)
        assert text in before[position]
        assert text not in after[position]
        words = sorted([*text.split(), *after[position].split()])
        assert words == sorted(before[position].split()), "nothing is lost"
    assert list(data.documents) == after, "the corpus can be read again"
    assert data.notes[0].startswith("the queries are stand-ins: one passage of each of 30 ")


def test_the_sample_is_seeded_and_its_size_can_be_named(alone):
    few = load_dataset(f"passages:7:beir:{alone}")
    assert few.query_ids == load_dataset(f"passages:7:beir:{alone}").query_ids
    assert len(few.query_ids) == 7
    assert few.fingerprint != load_dataset(f"passages:beir:{alone}").fingerprint
    changed = [few.documents, load_documents(f"beir:{alone}").documents]
    assert sum(one != other for one, other in zip(*changed, strict=True)) == 7
    left_in = drawn(f"7:beir:{alone}", f"beir:{alone}", 7, whole=True)
    assert left_in.queries == few.queries
    assert list(left_in.documents) == list(load_documents(f"beir:{alone}").documents)
    assert left_in.fingerprint != few.fingerprint


def test_a_passage_is_a_sentence_or_a_run_of_words_and_half_of_its_document_at_most():
    rng = np.random.default_rng(0)
    code = "x = [ 1 ] ; " * 20
    texts = [
        "a b c d e f g h",
        code,
        "One two three four five. " * 3,
        "\n\nun deux trois quatre cinq\n" * 2,
    ]
    for text in texts:
        for _ in range(20):
            start, end = _sampled.sentence(text, rng)
            assert 4 <= len(text[start:end].split()) <= len(text.split()) / 2
            assert not text[start:end][0].isspace()
    asked, _ = _sampled.passages(["a b c", "", "same words in both of them here. " * 2] * 2, 9)
    assert asked == {}, "too short, empty, or the answer of two"


def test_documents_ask_for_their_neighbours(text_folder):
    data = embed(f"documents:20:beir:{text_folder}", "wordllama", progress=False)
    real = embed(f"beir:{text_folder}", "wordllama", progress=False)
    assert data.qrels is None
    assert len(data.own) == len(data.query_ids) == 20
    np.testing.assert_allclose(data.queries, real.corpus[data.own], atol=1e-6)
    found = exact_topk(data.queries, data.corpus, [256], 5, own=data.own)[256][0]
    assert not (found == data.own[:, None]).any()
    assert any("fidelity" in note for note in data.notes)


def test_ready_vectors_have_documents_but_no_passages(vector_folder):
    data = embed(f"documents:50:vectors:{vector_folder}", progress=False)
    corpus = np.load(vector_folder / "corpus.npy")
    assert data.qrels is None
    np.testing.assert_array_equal(data.queries, corpus[data.own])
    with pytest.raises(UsageError, match=r"has ready vectors.*documents:vectors"):
        load_dataset(f"passages:vectors:{vector_folder}")


def test_documents_alone_name_what_stands_in(alone):
    with pytest.raises(NoQueries, match=r"documents alone.*passages:beir:"):
        load_dataset(f"beir:{alone}")
    assert stand_in(f"beir:{alone}") == f"passages:beir:{alone}"
    (alone / "corpus.jsonl").write_text('{"_id": "a", "text": "too short"}\n')
    assert stand_in(f"beir:{alone}") == f"documents:beir:{alone}"
    (alone / "corpus.jsonl").unlink()
    with pytest.raises(DataError, match=r"corpus\.jsonl is missing"):
        load_dataset(f"beir:{alone}")


def test_what_has_queries_stands_for_itself(text_folder, vector_folder):
    for spec in (f"beir:{text_folder}", f"vectors:{vector_folder}", "synthetic:n=20,d=4,q=5"):
        assert stand_in(spec) == spec


def test_the_judgements_of_a_dataset_do_not_change_its_stand_in(text_folder, tmp_path):
    (tmp_path / "corpus.jsonl").write_bytes((text_folder / "corpus.jsonl").read_bytes())
    one, other = (load_dataset(f"documents:beir:{path}") for path in (tmp_path, text_folder))
    assert (one.fingerprint, one.query_ids) == (other.fingerprint, other.query_ids)


def test_queries_without_judgements_are_scored_by_fidelity(alone):
    (alone / "queries.jsonl").write_text('{"_id": "q", "text": "which door"}\n')
    data = load_dataset(f"beir:{alone}")
    assert (data.qrels, list(data.queries)) == (None, ["which door"])
    assert "fidelity" in data.notes[-1]
    assert stand_in(f"beir:{alone}") == f"beir:{alone}"
    with pytest.raises(MissingSplit):
        load_dataset(f"beir:{alone}", "train")


def test_a_folder_may_say_where_its_queries_and_judgements_come_from(text_folder, tmp_path):
    for path in text_folder.rglob("*.*"):
        target = tmp_path / path.relative_to(text_folder)
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(path.read_bytes())
    plain = load_dataset(f"beir:{tmp_path}")
    meta = tmp_path / "meta.json"
    meta.write_text('{"queries": "log of 2026-10", "judgements": "model X", "docs": 60}')
    told = load_dataset(f"beir:{tmp_path}")
    assert told.notes[:2] == (
        "source of the queries, as its meta.json says: log of 2026-10",
        "source of the judgements, as its meta.json says: model X",
    )
    assert told.fingerprint != plain.fingerprint, "the notes are kept with the vectors"
    meta.write_text('{"queries": 12}')
    assert load_dataset(f"beir:{tmp_path}").fingerprint == plain.fingerprint
    for broken in ("{", "[]"):
        meta.write_text(broken)
        with pytest.raises(DataError, match=r"meta\.json"):
            load_dataset(f"beir:{tmp_path}")


@pytest.mark.parametrize("spec", ["passages:", "passages:5:", "documents:0:pydoc", "documents:"])
def test_a_stand_in_needs_a_dataset_and_a_query(spec):
    with pytest.raises(UsageError, match="DATASET"):
        load_dataset(spec)


def test_a_stand_in_has_no_other_split(alone):
    with pytest.raises(MissingSplit, match="split test only"):
        load_dataset(f"passages:beir:{alone}", "train")


def test_collections_of_lower_case_code_and_glosses_have_passages(shared_beir):
    for name in ("cranfield", "med", "cosqa", "cacm"):
        data = load_dataset(f"passages:200:beir:{shared_beir(name)}")
        assert len(data.query_ids) > 190, name
