"""The texts of the queries lie beside the tables, one set per dataset."""

import pytest

from bench.errors import DamagedFile
from bench.results.texts import TEXTS, load_texts, write_texts


def test_texts_come_back_by_dataset_and_newer_ones_take_their_place(tmp_path):
    write_texts(tmp_path, "a", ["1", "2"], ["one", "two <b>"])
    write_texts(tmp_path, "b", ["1"], ["of b"])
    write_texts(tmp_path, "a", ["1"], ["uno"])
    assert load_texts(tmp_path, "a") == {"1": "uno"}
    assert load_texts(tmp_path, "b") == {"1": "of b"}
    assert load_texts(tmp_path, "c") == {}


def test_vectors_have_no_texts_and_leave_no_file(tmp_path):
    write_texts(tmp_path, "a", ["1"], [])
    assert not (tmp_path / TEXTS).exists()
    assert load_texts(tmp_path, "a") == {}


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / TEXTS).write_bytes(b"nothing")
    with pytest.raises(DamagedFile, match="is damaged"):
        load_texts(tmp_path, "a")
