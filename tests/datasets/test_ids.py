"""Ids of very many documents: made or read when asked for, and found without a table of all."""

import numpy as np
import pytest

from bench.datasets import _ids
from bench.datasets._files import distinct, scored_queries
from bench.datasets._ids import RowNumbers, StoredIds, positions, spooled, store_ids
from bench.errors import DataError


def test_row_numbers_are_a_sequence_of_texts():
    ids = RowNumbers(10**15)
    assert (len(ids), ids[7], ids[-1], ids[3:6]) == (10**15, "7", str(10**15 - 1), ["3", "4", "5"])
    assert list(RowNumbers(3)) == ["0", "1", "2"]
    with pytest.raises(IndexError):
        ids[10**15]


def test_stored_ids_are_those_that_were_stored(monkeypatch):
    monkeypatch.setattr(_ids, "_ROWS", 4)
    given = [f"dü{i}" for i in range(9)] + [""]
    ids = spooled(iter(given))
    assert list(ids) == given
    assert [ids[i] for i in range(-10, 10)] == given * 2
    assert ids[2:9:3] == given[2:9:3]
    with pytest.raises(IndexError):
        ids[10]
    assert list(spooled([])) == []


def test_only_canonical_numbers_are_row_numbers():
    wanted = ["3", "03", "-1", "10", "9", "٣", "+4", "4.0", "", "1" * 5_000]
    assert positions(RowNumbers(10), wanted) == {"3": 3, "9": 9}
    assert positions(["a", "3"], wanted) == {"3": 1}


def test_ids_that_share_a_hash_are_not_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.datasets._files._IDS", 2)
    monkeypatch.setattr(
        "pandas.util.hash_array",
        lambda block, categorize: block.astype("U1").view("u4").astype("u8"),
    )
    distinct(["aa", "ab", "b"], tmp_path, "document")
    with pytest.raises(DataError, match="2 document ids occur more than once: ac, b"):
        distinct(["aa", "ac", "b", "ab", "b", "ac"], tmp_path, "document")


def test_judgements_of_row_numbers():
    qrels, notes = scored_queries(
        {"0": {"7": 1, "99": 1}, "1": {"x": 1}}, RowNumbers(10), ["0", "1"], "x"
    )
    assert qrels == {"0": {"7": 1, "99": 1}}
    assert "name 2 documents that are not in the corpus: 99, x" in notes[0]


def test_many_ids_at_once_are_those_asked_for_one_by_one(tmp_path):
    names = [f"id {i} é" for i in range(70_000)]  # more than one block
    store_ids(tmp_path / "ids.arrow", names)
    asked = np.array([69_999, 0, 65_536, 65_535, 0])
    for ids in (StoredIds(tmp_path / "ids.arrow"), RowNumbers(70_000)):
        assert ids.at(asked).to_pylist() == [ids[i] for i in asked.tolist()]
        assert ids.at(asked[:0]).to_pylist() == []
