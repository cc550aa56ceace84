"""Embeddings are encoded once, resumed after an interruption and never confused."""

import json
import shutil

import numpy as np
import pytest

from bench import embeddings
from bench.embeddings import embed
from bench.embeddings.sets import open_embeddings
from bench.encoders import Encoder, get_encoder
from bench.errors import DataError, UsageError


class Counting(Encoder):
    """Count the encoded texts. A vector depends on the text and on the role."""

    batch_size = 7
    encoded = 0
    fail_after = 10**9
    value = 1.0
    identity_ = "counting"

    def __init__(self, argument=""):
        pass

    @property
    def dimension(self):
        return 16

    @property
    def identity(self):
        return self.identity_

    def encode_full(self, texts, role):
        if type(self).encoded + len(texts) > type(self).fail_after:
            raise KeyboardInterrupt
        type(self).encoded += len(texts)
        seeds = [sum(map(ord, text)) + (role == "query") for text in texts]
        return np.stack(
            [np.random.default_rng(s).standard_normal(16) * self.value for s in seeds]
        ).astype(np.float32)


@pytest.fixture
def counting(monkeypatch):
    class Fresh(Counting):
        pass

    monkeypatch.setattr(embeddings, "get_encoder", lambda spec: Fresh())
    return Fresh


def test_nothing_is_encoded_twice(text_folder, tmp_path, counting):
    first = embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    assert counting.encoded == 60 + 12
    again = embed(f"beir:{text_folder}/../{text_folder.name}", "counting", cache=tmp_path)
    assert counting.encoded == 60 + 12, "another name for the same texts"
    np.testing.assert_array_equal(first.corpus, again.corpus)
    assert list(first.doc_ids) == list(again.doc_ids)


def test_an_interrupted_encoding_resumes(text_folder, tmp_path, counting):
    counting.fail_after = 30
    with pytest.raises(KeyboardInterrupt):
        embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    part = next((tmp_path / "matrices").glob("*.part"))
    with part.open("ab") as file:
        file.write(b"half a row")
    done, counting.fail_after = counting.encoded, 10**9
    found = embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    assert counting.encoded == 72
    assert done == 28
    whole = embed(f"beir:{text_folder}", "counting", cache=tmp_path / "other")
    np.testing.assert_array_equal(found.corpus, whole.corpus)


def test_query_and_document_of_one_text_and_models_are_kept_apart(tmp_path, text_folder, counting):
    one = embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    counting.identity_, counting.value = "another", 2.0
    two = embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    assert one.key != two.key
    np.testing.assert_allclose(two.corpus, 2 * one.corpus)


def test_broken_numbers_are_refused(text_folder, tmp_path, counting):
    counting.value = np.nan
    with pytest.raises(
        DataError, match=r"NaN or infinite vectors for 60 documents \(d0, d1, d2, …\)"
    ):
        embed(f"beir:{text_folder}", "counting", cache=tmp_path)


def test_zero_vectors_are_named(text_folder, tmp_path, counting):
    counting.value = 0.0
    assert any(
        "60 documents (d0," in note
        for note in embed(f"beir:{text_folder}", "counting", cache=tmp_path).notes
    )


def test_a_cache_that_was_cut_short_is_made_again(text_folder, tmp_path, counting):
    found = embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    expected = np.array(found.corpus)
    for path in (tmp_path / "matrices").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    np.testing.assert_array_equal(
        embed(f"beir:{text_folder}", "counting", cache=tmp_path).corpus, expected
    )


def test_a_sample_of_queries_is_the_same_each_time(text_folder, tmp_path, counting):
    found = embed(f"beir:{text_folder}", "counting", cache=tmp_path, max_queries=5, seed=3)
    again = open_embeddings(found.folder, max_queries=5, seed=3)
    assert found.query_ids == again.query_ids
    assert len(found.query_ids) == 5
    assert set(found.qrels) == set(found.query_ids)


def test_judgements_name_documents_by_position(text_folder, tmp_path, counting):
    found = embed(f"beir:{text_folder}", "counting", cache=tmp_path)
    assert found.qrels["q3"] == {"18": 2, "19": 1}
    assert found.doc_ids[18] == "d18"


@pytest.mark.parametrize(
    ("dataset", "encoder", "message"),
    [
        ("beir", None, "needs an encoder"),
        ("vectors", "wordllama", "remove the encoder"),
        ("beir", "wordlama", "did you mean 'wordllama'"),
    ],
)
def test_encoder_and_dataset_must_fit(
    text_folder, vector_folder, tmp_path, dataset, encoder, message
):
    folder = {"beir": text_folder, "vectors": vector_folder}[dataset]
    with pytest.raises(UsageError, match=message):
        embed(f"{dataset}:{folder}", encoder, cache=tmp_path)


def test_wordllama_does_not_depend_on_the_batch_and_never_gives_nan():
    encoder = get_encoder("wordllama")
    texts = ["short", "", "a much longer text " * 40, "river bank", "short"]
    together = encoder.encode_full(texts, "document")
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder.encode_full([text], "document")[0], vector, atol=1e-6)
    assert np.isfinite(together).all()
    assert encoder.dimension == 256
    short = encoder.encode(texts, dimension=64)
    assert short.shape == (5, 64)
    np.testing.assert_allclose(np.linalg.norm(short, axis=1), [1, 0, 1, 1, 1], atol=1e-5)
    with pytest.raises(ValueError, match="257 is outside 1…256"):
        encoder.encode(texts, dimension=257)


def test_relevant_pairs_leave_out_documents_that_are_not_in_the_corpus(
    text_folder, tmp_path, counting
):
    folder = tmp_path / "beir"
    shutil.copytree(text_folder, folder)
    with (folder / "qrels" / "test.tsv").open("a") as file:
        file.write("q0\tgone\t1\nq1\td0\t0\n")
    found = embed(f"beir:{folder}", "counting", cache=tmp_path / "cache")
    assert found.qrels["q0"] == {"0": 2, "1": 1, "?gone": 1}
    rows, documents = found.relevant_pairs()
    assert rows.tolist() == [row for row in range(12) for _ in range(2)]
    assert documents[:2].tolist() == [0, 1]


def test_groups_are_kept_and_sampled_with_the_queries(text_folder, tmp_path, counting):
    grouped = tmp_path / "grouped"
    shutil.copytree(text_folder, grouped)
    lines = [json.loads(line) for line in (grouped / "queries.jsonl").read_text().splitlines()]
    for i, line in enumerate(lines):
        line["group"] = f"g{i // 3}"
    (grouped / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    cache = tmp_path / "cache"
    assert embed(f"beir:{text_folder}", "counting", cache=cache).groups is None
    before = counting.encoded
    found = embed(f"beir:{grouped}", "counting", cache=cache)
    assert counting.encoded == before, "another set names the same matrices"
    of = {line["_id"]: line["group"] for line in lines}
    assert found.groups == [of[query] for query in found.query_ids]
    some = embed(f"beir:{grouped}", "counting", cache=cache, max_queries=5, seed=1)
    assert some.groups == [of[query] for query in some.query_ids]
    assert len(some.groups) == 5
