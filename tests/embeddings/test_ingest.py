"""Ready vectors are read once, and copied only where they cannot be mapped."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from bench.datasets import Dataset, VectorStream
from bench.embeddings import embed
from bench.embeddings.ingest import Look
from bench.embeddings.sets import open_embeddings
from bench.errors import DataError, UsageError
from bench.files import read_checked

VECTORS = np.random.default_rng(0).standard_normal((90, 8)).astype(np.float32)


@pytest.fixture
def passes(monkeypatch):
    """Count the passes over vectors, by their number of rows."""
    found, blocks = Counter(), VectorStream.blocks

    def counted(self):
        found[len(self)] += 1
        return blocks(self)

    monkeypatch.setattr(VectorStream, "blocks", counted)
    return found


def save(path, array=VECTORS):
    np.save(path, array)
    return f"vectors:{path}"


def taken_in(spec, tmp_path):
    return embed(spec, cache=tmp_path / "cache", progress=False)


def test_a_look_finds_what_numpy_finds():
    vectors = VECTORS.copy()
    vectors[[3, 50]] = vectors[[70, 70]]
    vectors[8, 2], vectors[80, 0], vectors[11, 5] = np.nan, np.inf, -np.inf
    vectors[12] = 0
    vectors[13] = np.float32(1e-45)  # the smallest number: its square is no float32
    vectors[14] = np.float32(3e38)
    look = Look(90)
    for block in np.split(vectors, 9):
        look.add(block)
    assert (look.broken.count, look.broken.first[:2]) == (3, [8, 11])
    assert look.broken.names([f"d{i}" for i in range(90)]) == "d8, d11, d80"
    assert (look.zero.count, look.zero.first) == (1, [12])
    assert look.copies() == 90 - len(np.unique(vectors.view("V32")))
    assert not look.unit


def test_the_lengths_are_those_of_the_vectors():
    look = Look(90)
    look.add(VECTORS)
    lengths = np.linalg.norm(VECTORS.astype(np.float64), axis=1)
    np.testing.assert_allclose([look.shortest, look.longest], [lengths.min(), lengths.max()])
    for shift, unit in ((0, True), (5e-7, True), (3e-6, False)):
        look = Look(90)
        look.add((VECTORS / lengths[:, None] * (1 + shift)).astype(np.float32))
        assert look.unit == unit


def test_no_rows_share_a_hash_that_differ_in_one_bit():
    word = np.zeros((1, 1), np.uint32)
    rows = [np.pad(word | 1 << bit, ((0, 0), (c, 7 - c))) for bit in range(32) for c in range(8)]
    look = Look(256)
    with np.errstate(all="ignore"):
        look.add(np.vstack(rows).astype(np.uint32).view(np.float32))
    assert look.copies() == 0


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_vectors_are_read_once(tmp_path, passes, kind):
    spec = save(tmp_path / "x.npy", VECTORS.astype(kind))
    first = taken_in(spec, tmp_path)
    before = passes[90]
    again = taken_in(spec, tmp_path)
    # The sample of queries is all 90 documents, so they make a pass as well.
    assert (before, passes[90]) == (2, 2)
    assert first.key == again.key
    np.testing.assert_array_equal(again.corpus, VECTORS)


def test_a_file_that_has_changed_is_read_again_and_never_used_unread(tmp_path):
    spec = save(tmp_path / "x.npy")
    first = taken_in(spec, tmp_path)
    time.sleep(0.01)
    save(tmp_path / "x.npy", VECTORS + 1)
    with pytest.raises(
        DataError, match=r"x\.npy has changed since it was read; run the study again"
    ):
        open_embeddings(first.folder)
    second = taken_in(spec, tmp_path)
    assert second.key != first.key
    np.testing.assert_array_equal(second.corpus, VECTORS + 1)
    (tmp_path / "x.npy").unlink()
    with pytest.raises(DataError, match=r"x\.npy cannot be read any more: No such file"):
        open_embeddings(second.folder)


def test_a_file_that_was_moved_or_touched_keeps_its_results(tmp_path):
    first = taken_in(save(tmp_path / "x.npy"), tmp_path)
    (first.folder / "exact").mkdir()
    os.utime(tmp_path / "x.npy")
    assert taken_in(f"vectors:{tmp_path / 'x.npy'}", tmp_path).key == first.key
    (tmp_path / "x.npy").rename(tmp_path / "y.npy")
    moved = taken_in(f"vectors:{tmp_path / 'y.npy'}", tmp_path)
    assert moved.key == first.key
    assert (first.folder / "exact").is_dir()
    np.testing.assert_array_equal(open_embeddings(first.folder).corpus, VECTORS)


def test_a_matrix_that_was_cut_short_is_made_again(tmp_path):
    spec = save(tmp_path / "x.npy", VECTORS.astype(np.float64))
    found = taken_in(spec, tmp_path)
    expected = np.array(found.corpus)
    for path in (tmp_path / "cache" / "matrices").glob("*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    np.testing.assert_array_equal(taken_in(spec, tmp_path).corpus, expected)


def test_the_content_decides_and_not_the_format(tmp_path):
    one = taken_in(save(tmp_path / "x.npy"), tmp_path)
    two = taken_in(save(tmp_path / "y.npy", VECTORS.astype(np.float64)), tmp_path)
    assert one.dataset_fingerprint == two.dataset_fingerprint
    assert taken_in(save(tmp_path / "z.npy", VECTORS[::-1]), tmp_path).key != one.key


def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2_000))
    with pytest.raises(
        UsageError, match=r"its vectors take 2880 bytes and the cache .* has 2000 free"
    ):
        taken_in(save(tmp_path / "x.npy", VECTORS.astype(np.float16)), tmp_path)
    assert not list((tmp_path / "cache" / "matrices").iterdir())


def test_a_source_that_breaks_off_leaves_nothing_behind(tmp_path, monkeypatch):
    def load(spec, split):
        return Dataset(
            name="x",
            fingerprint="x",
            doc_ids=[str(i) for i in range(90)],
            query_ids=["0"],
            corpus_vectors=VectorStream((90, 8), lambda: iter([VECTORS[:50]]), fingerprint="x"),
            query_vectors=VECTORS[:1],
        )

    monkeypatch.setattr("bench.embeddings.load_dataset", load)
    with pytest.raises(DataError, match="50 vectors were read instead of 90"):
        taken_in("x", tmp_path)
    assert not list((tmp_path / "cache" / "matrices").iterdir())


def test_a_source_that_goes_on_is_stopped():
    stream = VectorStream((80, 8), lambda: iter([VECTORS[:50], VECTORS[50:]]))
    with pytest.raises(DataError, match="more than 80 vectors"):
        list(stream.blocks())


def test_what_a_killed_process_left_is_written_over(tmp_path):
    spec = save(tmp_path / "x.npy", np.tile(VECTORS, (20, 1)).astype(np.float64))
    program = """
import os, sys
from pathlib import Path
from bench.datasets import _stream
from bench.embeddings import embed
from bench.embeddings.ingest import Look
_stream._BLOCK_BYTES = 4096
add, Look.add = Look.add, lambda look, block: os.kill(os.getpid(), 9) if look.seen else add(look, block)
embed(sys.argv[1], cache=Path(sys.argv[2]), progress=False)
"""
    done = subprocess.run([sys.executable, "-c", program, spec, str(tmp_path / "cache")])
    assert done.returncode == -9
    (left,) = (tmp_path / "cache" / "matrices").iterdir()
    assert left.name.endswith(".partial.npy")
    found = taken_in(spec, tmp_path)
    np.testing.assert_array_equal(found.corpus, np.tile(VECTORS, (20, 1)))
    assert not left.exists()


def test_the_description_of_a_set_does_not_grow_with_the_corpus(tmp_path):
    sizes = []
    for n in (2_000, 20_000):
        vectors = np.random.default_rng(0).standard_normal((n, 2)).astype(np.float32)
        (tmp_path / str(n)).mkdir()
        save(tmp_path / str(n) / "corpus.npy", vectors)
        save(tmp_path / str(n) / "queries.npy", vectors[:5])
        (tmp_path / str(n) / "corpus_ids.txt").write_text("".join(f"d{i}\n" for i in range(n)))
        (tmp_path / str(n) / "qrels.tsv").write_text(f"0\td{n - 1}\t1\n")
        found = taken_in(f"vectors:{tmp_path / str(n)}", tmp_path)
        assert found.doc_ids[n - 1] == f"d{n - 1}"
        assert found.qrels == {"0": {str(n - 1): 1}}
        meta = read_checked(found.folder / "meta.json")
        sizes.append(len(json.dumps(meta)))
    assert abs(sizes[1] - sizes[0]) < 30
