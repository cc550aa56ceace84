"""Searches of several steps against plain numpy ones."""

import ctypes
import mmap
import sys

import numpy as np
import pytest

from bench.backends import get_backend
from bench.backends.faiss_flat import FaissFlat
from bench.measuring.mapped import as_read
from bench.measuring.stages import Cold, MultiStage, Step, steps
from bench.vectors import truncate
from tests.conftest import of_backend


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return tuple(truncate(rng.standard_normal((n, 48), dtype=np.float32), 48) for n in (800, 25))


def plain(corpus, query, low, shortlist, narrowing):
    """Narrow with numpy alone: cosines of prefixes, sorted, best first."""
    ids = np.argsort(-(truncate(corpus, low) @ truncate(query[None], low)[0]), kind="stable")[
        :shortlist
    ]
    for step in narrowing:
        scores = truncate(corpus[ids], step.dimension) @ truncate(query[None], step.dimension)[0]
        ids = ids[np.argsort(-scores, kind="stable")[: step.keep]]
    return ids


@pytest.mark.parametrize(
    "narrowing",
    [
        [Step(48, 10)],
        [Step(30, 10)],
        [Step(24, 20), Step(48, 10)],
        [Step(13, 30), Step(26, 15), Step(48, 10)],
    ],
    ids=["full", "between", "funnel", "long funnel"],
)
@pytest.mark.parametrize("unit", [True, False])
def test_narrowing_finds_what_plain_numpy_finds(data, narrowing, unit):
    corpus, queries = data
    backend = FaissFlat()
    backend.build(truncate(corpus, 12))
    stored = (
        corpus if unit else corpus * np.linspace(0.5, 3, len(corpus), dtype=np.float32)[:, None]
    )
    found = MultiStage(backend, stored, 40, narrowing, unit).search(truncate(queries, 12), queries)
    for row, query in enumerate(queries):
        np.testing.assert_array_equal(found[row], plain(corpus, query, 12, 40, narrowing))


def test_padding_stays_last_and_equals_keep_their_order():
    vectors = np.eye(3, dtype=np.float32)
    stage = MultiStage(FaissFlat(), vectors, 4, [Step(3, 4)], True)
    found = stage.narrow(
        np.array([[2, -1, 0, -1], [2, 1, 0, -1]]), np.array([[1, 0, 0], [0, 0, 0]], np.float32)
    )
    np.testing.assert_array_equal(found, [[0, 2, -1, -1], [2, 1, 0, -1]])


def test_a_funnel_doubles_the_dimension_and_halves_the_list():
    assert steps({"shortlist": 200, "funnel": True}, 16, 256, 10) == [
        Step(32, 100),
        Step(64, 50),
        Step(128, 25),
        Step(256, 10),
    ]
    assert steps({"shortlist": 20, "funnel": True, "dimension": 100}, 16, 256, 10) == [
        Step(32, 10),
        Step(64, 10),
        Step(100, 10),
    ]
    assert steps({"shortlist": 50}, 16, 256, 10) == [Step(256, 10)]


def test_from_a_file_the_same_is_found_and_its_pages_can_be_dropped(data, tmp_path):
    corpus, queries = data
    np.save(tmp_path / "corpus.npy", corpus)
    stored = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    shortlists = np.argsort(-(truncate(queries, 12) @ truncate(corpus, 12).T), axis=1)[:, :40]
    memory, disk = (MultiStage(FaissFlat(), v, 40, [Step(48, 10)], True) for v in (corpus, stored))
    cold = Cold(stored)
    cold.drop()
    np.testing.assert_array_equal(
        disk.narrow(shortlists, queries), memory.narrow(shortlists, queries)
    )
    cold.close()


def resident(vectors):
    """Return how many pages of a mapped file the page cache holds."""
    start = vectors.ctypes.data - vectors.ctypes.data % mmap.PAGESIZE
    length = vectors.ctypes.data + vectors.nbytes - start
    pages = (ctypes.c_ubyte * (-(-length // mmap.PAGESIZE)))()
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(length), pages) == 0
    return sum(page & 1 for page in pages)


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel of Linux")
def test_one_vector_is_read_without_its_neighbours_even_where_huge_pages_were_asked_for(tmp_path):
    np.save(tmp_path / "corpus.npy", np.ones((16_384, 256), np.float32))  # eight huge pages
    stored = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    as_read(stored)
    cold = Cold(stored)
    cold.drop()
    if resident(stored):
        pytest.skip("this file system keeps its files in memory")
    assert stored[9_000].sum() == 256
    assert 1 <= resident(stored) <= 4
    cold.close()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=of_backend(get_backend(name)))
        for name in ("pgvector-hnsw", "sqlite-vec")
    ],
)
def test_a_database_s_own_rescore_finds_what_plain_numpy_finds(data, name):
    cls = get_backend(name)
    corpus, queries = data
    backend = cls("float32", 12)
    backend.build(corpus, **{parameter: values[-1] for parameter, values in cls.build_grid.items()})
    backend.configure(**{parameter: values[-1] for parameter, values in cls.search_grid.items()})
    found = backend.search_stages(queries, 40, 10)
    backend.close()
    same = [
        len(set(row) & set(plain(corpus, query, 12, 40, [Step(48, 10)]))) / 10
        for row, query in zip(found.tolist(), queries, strict=True)
    ]
    assert np.mean(same) >= (1.0 if cls.exact else 0.98)
