"""BEIR folders with the irregularities of real ones."""

import pytest

from bench.datasets import load_dataset
from bench.errors import DataError, MissingSplit

CORPUS = (
    b'{"_id": "a", "title": "T", "text": "x"}\r\n\r\n{"_id": 7, "title": null, "text": "y"}\r\n'
)
QUERIES = b'{"_id": "q", "text": "?"}\r\n{"_id": "r", "text": "!"}\r\n{"_id": "s", "text": "."}\r\n'
QRELS = b"query-id\tcorpus-id\tscore\r\nq\ta\t-1\r\nq\t7\t3\r\nr\ta\t0\r\n"


def folder(path, corpus=CORPUS, queries=QUERIES, qrels=QRELS):
    (path / "qrels").mkdir(exist_ok=True)
    (path / "corpus.jsonl").write_bytes(corpus)
    (path / "queries.jsonl").write_bytes(queries)
    (path / "qrels" / "test.tsv").write_bytes(qrels)
    return load_dataset(f"beir:{path}")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_marks_line_ends_blank_lines_and_numbers_as_ids(tmp_path, mark):
    data = folder(tmp_path, mark + CORPUS, mark + QUERIES, mark + QRELS)
    assert (list(data.doc_ids), list(data.documents)) == (["a", "7"], ["T x", "y"])
    assert (list(data.query_ids), list(data.queries)) == (["q"], ["?"])
    assert data.qrels == {"q": {"a": -1, "7": 3}}
    assert data.notes == ("1 queries have no relevant document in the corpus and are not scored",)


def test_the_corpus_is_read_from_disk_each_time(tmp_path):
    data = folder(tmp_path)
    first = iter(data.documents)
    assert next(first) == "T x"
    assert list(data.documents) == ["T x", "y"], "two iterations do not disturb each other"
    (tmp_path / "corpus.jsonl").unlink()
    with pytest.raises(ValueError, match="is missing"):
        list(data.documents)


@pytest.mark.parametrize(
    "change",
    [
        {"corpus": CORPUS.replace(b'"y"', b'"z"')},
        {"corpus": CORPUS.replace(b'"a"', b'"b"'), "qrels": QRELS.replace(b"\ta\t", b"\tb\t")},
        {"queries": QUERIES.replace(b'"?"', b'"??"')},
        {"qrels": QRELS.replace(b"\t3", b"\t2")},
    ],
)
def test_the_fingerprint_follows_the_content(tmp_path, change):
    before = folder(tmp_path).fingerprint
    assert folder(tmp_path).fingerprint == before
    assert folder(tmp_path, **change).fingerprint != before


def test_counts_and_notes_of_cranfield(shared_beir):
    data = load_dataset(f"beir:{shared_beir('cranfield')}")
    assert sum(len(grades) for grades in data.qrels.values()) == 1837
    assert sum(not text for text in data.documents) == 2
    assert "2 documents are empty" in data.notes


def test_the_splits_of_scifact(shared_beir):
    path = shared_beir("scifact")
    test, train = load_dataset(f"beir:{path}"), load_dataset(f"beir:{path}", "train")
    assert [sum(map(len, d.qrels.values())) for d in (test, train)] == [339, 919]
    assert (len(train.query_ids), set(test.query_ids) & set(train.query_ids)) == (809, set())


def test_a_query_that_is_a_document_is_left_out_of_its_own_results(tmp_path):
    import json

    corpus = [
        {"_id": "1", "title": "T", "text": "the same words"},
        {"_id": "2", "title": "", "text": "others"},
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    queries = [{"_id": "1", "text": "the same words"}, {"_id": "2", "text": "only numbered alike"}]
    (tmp_path / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\t2\t1\n2\t1\t1\n")
    data = load_dataset(f"beir:{tmp_path}")
    assert data.own.tolist() == [0, -1]
    assert any("excluded from its own results" in note for note in data.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": b'{"_id": "a", "text": "\\ud800"}'}, "corpus.jsonl:1: .*surrogate"),
        ({"queries": b'{"_id": "\\udfff", "text": "?"}'}, "queries.jsonl:1: .*surrogate"),
        (
            {"corpus": b'{"_id": "a\\nb", "text": 3}'},
            r"corpus.jsonl: the \"text\" of 'a\\nb' is missing or not text",
        ),
        ({"corpus": b"[" * 100_000}, "corpus.jsonl:1: not JSON"),
        ({"qrels": b"q\ta\t1\nq\t7\t99999999999"}, "test.tsv:2: .* too large"),
        ({"qrels": b"q\ta\t1\nq\t7\t1\xe2\x80\xa8x"}, r"test.tsv:2: the score '1\\u2028x'"),
        ({"qrels": b"q\ta\t1\nq\t7\t" + b"9" * 5000}, "test.tsv:2: .* is not a whole number"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_file_and_line(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as error:
        folder(tmp_path, **change)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 400


def test_a_path_that_no_system_takes(tmp_path):
    with pytest.raises(DataError, match=r"cannot be read: .*too long"):
        load_dataset(f"beir:{tmp_path / ('x' * 5000)}")


def test_a_split_that_is_absent_is_not_data_that_is_bad(tmp_path):
    folder(tmp_path)
    with pytest.raises(MissingSplit, match="there are the splits test"):
        load_dataset(f"beir:{tmp_path}", "train")
    (tmp_path / "qrels" / "train.tsv").write_text("q\ta\t1\nq\t7\tmany\n")
    with pytest.raises(DataError, match=r"train\.tsv:2") as error:
        load_dataset(f"beir:{tmp_path}", "train")
    assert not isinstance(error.value, MissingSplit)


def test_groups_of_queries(tmp_path):
    plain = folder(tmp_path)
    assert plain.groups is None
    own = QUERIES.replace(b'"?"', b'"?", "group": "g"')
    data = folder(tmp_path, queries=own)
    assert data.groups == ["g"], "queries that are not scored need none"
    assert data.fingerprint != plain.fingerprint
    inner = QUERIES.replace(b'"?"', b'"?", "metadata": {"group": "g"}')
    assert folder(tmp_path, queries=inner).fingerprint == data.fingerprint
    both = b"query-id\tcorpus-id\tscore\nq\t7\t1\nr\t7\t1\n"
    assert folder(tmp_path, queries=own, qrels=both).groups is None, "not every query has one"
    with pytest.raises(DataError, match="\"group\" of 'q' is missing or not text"):
        folder(tmp_path, queries=QUERIES.replace(b'"?"', b'"?", "group": 3'))
