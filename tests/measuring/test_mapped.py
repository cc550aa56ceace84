"""Vectors in mapped files: the same numbers as in memory, and no copy of them."""

import json
import sys

import faiss
import numpy as np
import pytest

from bench import machine
from bench.backends.faiss_flat import FaissFlat
from bench.embeddings import embed
from bench.measuring import mapped
from bench.measuring.prepared import StoredVectors, plain, reduced, unit_vectors
from bench.measuring.runner import run
from bench.reducers import get_reducer
from bench.vectors import normalise, truncate

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def large(monkeypatch):
    """Make every corpus one that stays in its file."""
    monkeypatch.setattr(mapped, "COPIED_BYTES", 0)


def is_mapped(vectors):
    return mapped._map_of(vectors) is not None


def test_large_vectors_are_mapped_and_small_ones_copied(tmp_path, monkeypatch):
    rows = np.random.default_rng(0).standard_normal((1000, 7)).astype(np.float32)
    blocks = [rows[:300], rows[300:301], rows[301:]]
    small = mapped.filled(rows.shape, blocks, tmp_path)
    assert not is_mapped(small)
    monkeypatch.setattr(mapped, "COPIED_BYTES", rows.nbytes - 1)
    large = mapped.filled(rows.shape, blocks, tmp_path)
    assert is_mapped(large)
    assert large.flags.c_contiguous
    np.testing.assert_array_equal(small, rows)
    np.testing.assert_array_equal(large, rows)
    assert not list(tmp_path.iterdir())  # the file has no name, so nothing can leave it behind


@pytest.mark.parametrize("name", ["truncate", "pca"])
@pytest.mark.parametrize("dimension", [8, 32])
def test_mapped_vectors_equal_those_in_memory(vector_folder, monkeypatch, name, dimension):
    embeddings = embed(f"vectors:{vector_folder}", progress=False)
    reducer = get_reducer(name)()
    reducer.fit(embeddings.corpus)
    copied = reduced(reducer, embeddings, dimension)
    monkeypatch.setattr(mapped, "COPIED_BYTES", 0)
    found = reduced(reducer, embeddings, dimension)
    assert is_mapped(found)
    np.testing.assert_allclose(found, copied, atol=1e-6)  # unit vectors are not normalised again
    expected = truncate(reducer.map(normalise(embeddings.corpus)), dimension)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_vectors_of_unit_length_are_searched_in_their_own_file(tmp_path, large):
    vectors = normalise(np.random.default_rng(1).standard_normal((50, 6)))
    np.save(tmp_path / "corpus.npy", vectors)
    embeddings = embed(f"vectors:{tmp_path}", progress=False)
    found = unit_vectors(embeddings)
    assert found.ctypes.data == embeddings.corpus.ctypes.data
    assert not (embeddings.folder / "unit.npy").exists()


def test_other_vectors_get_one_file_of_unit_length_that_all_share(tmp_path, large):
    np.save(tmp_path / "corpus.npy", 3 * np.random.default_rng(2).standard_normal((50, 6)))
    embeddings = embed(f"vectors:{tmp_path}", progress=False)
    first = unit_vectors(embeddings)
    made = (embeddings.folder / "unit.npy").stat().st_mtime_ns
    np.testing.assert_array_equal(unit_vectors(embeddings), first)
    assert (embeddings.folder / "unit.npy").stat().st_mtime_ns == made
    np.testing.assert_allclose(first, normalise(embeddings.corpus), atol=1e-7)
    assert is_mapped(first)


def test_a_file_whose_pages_are_dropped_is_not_the_one_that_the_reference_reads(
    vector_folder, tmp_path, monkeypatch
):
    embeddings = embed(f"vectors:{vector_folder}", progress=False)
    stored = StoredVectors(plain(), embeddings, unit_vectors(embeddings), tmp_path / "rows.npy")
    assert stored.disk()[0] is embeddings.corpus  # small: the reference has a copy in memory
    monkeypatch.setattr(mapped, "COPIED_BYTES", 0)
    own, unit = stored.disk()
    assert own.filename == tmp_path / "rows.npy"
    assert unit
    np.testing.assert_allclose(own, normalise(embeddings.corpus), atol=1e-7)


def test_exact_search_in_place_finds_what_a_copy_finds(tmp_path):
    rng = np.random.default_rng(3)
    vectors, queries = (normalise(rng.standard_normal((n, 24))) for n in (500, 40))
    np.save(tmp_path / "v.npy", vectors)
    in_place = FaissFlat()
    in_place.build_in_place(np.load(tmp_path / "v.npy", mmap_mode="r"))
    index = faiss.IndexFlatIP(24)
    index.add(vectors)
    np.testing.assert_array_equal(in_place.search(queries, 10), index.search(queries, 10)[1])


@linux
def test_pages_of_a_map_do_not_count_as_an_index(tmp_path):
    np.save(tmp_path / "v.npy", np.ones((10_000, 1_000), np.float32))
    vectors = np.load(tmp_path / "v.npy", mmap_mode="r")
    before = machine.unique_bytes(tmp_path)
    vectors.sum()
    held = np.ones((10_000, 1_000), np.float32)
    grown = machine.unique_bytes(tmp_path) - before
    assert held.nbytes * 0.9 < grown < held.nbytes * 1.5
    assert machine.unique_bytes() - before > 1.5 * held.nbytes
    mapped.release(vectors)
    assert machine.unique_bytes() - before < 1.5 * held.nbytes
    assert vectors.sum() == 10_000_000


@pytest.mark.slow
@linux
def test_a_worker_holds_its_index_and_little_more(tmp_path):
    n, d, k = 300_000, 256, 10
    rng = np.random.default_rng(4)
    rows = np.lib.format.open_memmap(tmp_path / "corpus.npy", "w+", np.float32, (n, d))
    for start in range(0, n, 50_000):
        rows[start : start + 50_000] = normalise(rng.standard_normal((50_000, d)))
    rows.flush()
    queries = normalise(rows[:20] + 0.05 * rng.standard_normal((20, d)))
    np.save(tmp_path / "queries.npy", queries)
    study = tmp_path / "s.toml"
    study.write_text(
        f'name = "s"\ndataset = "vectors:{tmp_path}"\ndimensions = [64]\nrepeats = 1\nsubsets = 0\n'
        '[[configurations]]\nbackend = "faiss-flat"\ndimensions = [64, 256]\n'
        '[[configurations]]\nbackend = "faiss-flat"\nprecision = ["int8", "binary"]\n'
        "dimensions = 256\nstages = { shortlist = 50 }\n"
        '[[configurations]]\nbackend = "faiss-ivf"\nsearch = { nprobe = [8] }\n'
    )
    frame = run(study, tmp_path / "out", progress=False)
    assert set(frame["status"]) == {"ok"}
    full = frame[(frame["dim"] == d) & (frame["precision"] == "float32")]
    assert (full["fidelity_at_10"] == 1).all()
    timed = frame[frame["latency_ms_p50"].notna()]
    assert (timed["memory_bytes"] > 0.9 * timed["index_bytes"].where(timed["stages"] == "")).sum()
    lines = (tmp_path / "out" / "tasks.jsonl").read_text().splitlines()
    held = max(json.loads(line).get("worker_bytes", 0) for line in lines)
    vectors = 4 * n * d
    assert held < timed["index_bytes"].max() + 0.6 * vectors + 150 * 2**20
    assert k == timed["k"].iloc[0]
