"""Contents of datasets, and the errors of unusable ones."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest

from bench.datasets import load_dataset
from bench.embeddings import embed
from bench.errors import UsageError


def beir(folder, corpus=None, queries=None, qrels=None):
    folder.mkdir(exist_ok=True)
    corpus = corpus or [{"_id": "a", "title": "T", "text": "x"}, {"_id": "b", "text": ""}]
    queries = queries or [{"_id": "q", "text": "?"}]
    for name, lines in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text(
            "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
        )
    (folder / "qrels").mkdir(exist_ok=True)
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "".join(f"{line}\n" for line in qrels or ["q\ta\t2"])
    )
    return f"beir:{folder}"


def test_beir_folder(tmp_path):
    data = load_dataset(beir(tmp_path / "f", qrels=["q\ta\t2", "q\tgone\t1", "stranger\ta\t1"]))
    assert (data.doc_ids, data.query_ids, list(data.documents)) == (["a", "b"], ["q"], ["T x", ""])
    assert list(data.documents) == list(data.documents), "it can be read again"
    assert data.qrels == {"q": {"a": 2, "gone": 1}}
    notes = " ".join(data.notes)
    assert "1 documents that are not in the corpus: gone" in notes
    assert "1 unknown queries: stranger" in notes
    assert "1 documents are empty" in notes


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"corpus": ['{"_id": "a", "text": "x"}', "{broken"]}, r"corpus\.jsonl:2: not JSON"),
        ({"corpus": ['["a"]']}, r"corpus\.jsonl:1: each line"),
        ({"corpus": [{"_id": "a", "text": "x"}] * 2}, "1 document ids occur more than once: a"),
        ({"queries": [{"_id": "q", "text": "?"}] * 2}, "1 query ids occur more than once: q"),
        ({"corpus": [{"_id": "a", "text": 3}]}, "the \"text\" of 'a' is missing or not text"),
        ({"qrels": ["q\ta"]}, r"test\.tsv:2: 2 fields"),
        ({"qrels": ["q\ta\thigh"]}, r"test\.tsv:2: the score 'high'"),
        ({"qrels": ["q\tnowhere\t1"]}, "no query has a relevant document"),
        ({"qrels": ["q\ta\t0"]}, "no query has a relevant document"),
        ({"corpus": [""]}, "the corpus is empty"),
        ({"queries": [""]}, "there are no queries"),
    ],
)
def test_broken_beir_folders_are_reported_in_one_line(tmp_path, parts, message):
    with pytest.raises(UsageError, match=message) as error:
        load_dataset(beir(tmp_path / "f", **parts))
    assert "\n" not in str(error.value)


def test_a_split_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="there are the splits test"):
        load_dataset(beir(tmp_path / "f"), split="dev")


@pytest.mark.parametrize(
    ("name", "docs", "queries"),
    [("cranfield", 1400, 225), ("scifact", 5183, 300), ("cacm", 3204, 52)],
)
def test_real_collections_have_the_published_counts(shared_beir, name, docs, queries):
    data = load_dataset(f"beir:{shared_beir(name)}")
    assert (len(data.doc_ids), len(data.query_ids)) == (docs, queries)


def unit(n, d, seed=0):
    vectors = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_vectors_come_the_same_from_every_format(tmp_path):
    corpus, queries = unit(20, 6), unit(4, 6, 1)
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "folder" / "corpus.npy", corpus.astype(np.float64))
    np.save(tmp_path / "folder" / "queries.npy", queries)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["train"], file["test"] = corpus, queries
        file.attrs["distance"] = "euclidean"
    for name, vectors in (("s_base", corpus), ("s_query", queries)):
        np.hstack([np.full((len(vectors), 1), 6, "<i4").view("<f4"), vectors]).astype("<f4").tofile(
            tmp_path / f"{name}.fvecs"
        )
    for path in ("folder", "x.hdf5", "s_base.fvecs"):
        data = embed(f"vectors:{tmp_path / path}")
        np.testing.assert_allclose(data.corpus, corpus, atol=1e-6)
        np.testing.assert_allclose(data.queries, queries, atol=1e-6)
    assert any("euclidean" in note for note in embed(f"vectors:{tmp_path / 'x.hdf5'}").notes)
    pd.DataFrame(
        {"id": [f"d{i}" for i in range(20)], "v": list(corpus), "other": range(20)}
    ).to_parquet(tmp_path / "p.parquet")
    data = embed(f"vectors:{tmp_path / 'p.parquet'}")
    np.testing.assert_allclose(data.corpus, corpus)
    assert data.doc_ids[3] == "d3"


def test_without_queries_a_sample_of_documents_serves(tmp_path):
    np.save(tmp_path / "corpus.npy", 3 * unit(30, 4))
    data = embed(f"vectors:{tmp_path}")
    np.testing.assert_array_equal(data.queries, data.corpus[data.own])
    assert any("not of unit length" in note for note in data.notes)


def test_copies_are_counted(tmp_path):
    np.save(tmp_path / "corpus.npy", np.concatenate([unit(10, 4), unit(3, 4)]))
    assert any(
        "3 of 13 documents are exact copies" in note for note in embed(f"vectors:{tmp_path}").notes
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda c, q: (np.where(np.arange(len(c))[:, None] == 2, np.nan, c), q),
            "1 documents contain NaN or infinite numbers: 2",
        ),
        (
            lambda c, q: (np.where(np.arange(len(c))[:, None] == 5, 0, c), q),
            "1 documents are all-zero vectors.*: 5",
        ),
        (lambda c, q: (c, q[:, :3]), "6 dimensions, query vectors 3"),
        (lambda c, q: (c[0], q), "shape"),
        (lambda c, q: (c[:0], q), "is empty"),
        (lambda c, q: (c.astype(object), q), "pickle"),
        (lambda c, q: (c.astype(str), q), "array of numbers"),
    ],
)
def test_vectors_that_cannot_be_searched(tmp_path, change, message):
    corpus, queries = change(unit(10, 6), unit(3, 6))
    np.save(tmp_path / "corpus.npy", corpus, allow_pickle=True)
    np.save(tmp_path / "queries.npy", queries)
    with pytest.raises(UsageError, match=message):
        embed(f"vectors:{tmp_path}")


def test_a_pickle_is_never_loaded(tmp_path):
    for name in ("x.pkl", "corpus.npy"):
        (tmp_path / name).write_bytes(b"\x80\x04cos\nsystem\n")
    for path in (tmp_path / "x.pkl", tmp_path):
        with pytest.raises(UsageError, match="pickle"):
            load_dataset(f"vectors:{path}")


def test_synthetic_is_seeded_and_carries_a_note():
    one, two = (load_dataset("synthetic:n=50,d=8,q=5") for _ in range(2))
    np.testing.assert_array_equal(one.query_vectors, two.query_vectors)
    for mine, theirs in zip(one.corpus_vectors.blocks(), two.corpus_vectors.blocks(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert one.synthetic
    assert "speed and scale only" in one.notes[0]
    with pytest.raises(UsageError, match="unknown parameter 'dims'"):
        load_dataset("synthetic:dims=4")


@pytest.mark.slow
def test_pydoc_is_deterministic_split_by_module_and_without_copies():
    test, train = load_dataset("pydoc"), load_dataset("pydoc", "train")
    assert test.fingerprint == load_dataset("pydoc").fingerprint
    assert test.doc_ids == train.doc_ids
    assert 7_000 < len(test.doc_ids) < 13_000
    assert 0.2 < len(test.query_ids) / (len(test.query_ids) + len(train.query_ids)) < 0.35
    assert not set(test.query_ids) & set(train.query_ids)
    documents = [" ".join(text.split()) for text in test.documents]
    assert len(set(documents)) == len(documents)
    assert len(set(test.queries)) == len(test.queries)
    position = {doc_id: i for i, doc_id in enumerate(test.doc_ids)}
    assert not any(
        query in documents[position[query_id]]
        for query, query_id in zip(test.queries, test.query_ids, strict=True)
    )


@pytest.mark.needs_mteb
def test_mteb_task_is_the_same_as_its_beir_folder(text_folder, monkeypatch):
    import mteb

    from tests.interop.mteb_task import local_task

    monkeypatch.setattr(mteb, "get_task", lambda name: local_task(text_folder))
    ours, theirs = load_dataset(f"beir:{text_folder}"), load_dataset("mteb:Local")
    assert list(ours.documents) == list(theirs.documents)
    assert (ours.doc_ids, ours.query_ids, ours.queries, ours.qrels) == (
        theirs.doc_ids,
        theirs.query_ids,
        theirs.queries,
        theirs.qrels,
    )


@pytest.mark.needs_mteb
def test_unknown_mteb_task_offers_the_near_miss():
    with pytest.raises(UsageError, match="did you mean 'SciFact'"):
        load_dataset("mteb:SciFac")


def test_a_split_is_a_name_and_no_path(tmp_path):
    with pytest.raises(UsageError, match="is not the name of a split"):
        load_dataset(beir(tmp_path / "f"), split="../qrels/test")
