"""Search that reads prefixes first: exact against brute force, and it reads what it says."""

import numpy as np
import pytest

from bench.backends import get_backend
from bench.backends.faiss_panorama import levels_of
from bench.vectors import truncate

SETTINGS = {
    "faiss-panorama": ({"levels": 8, "batch": 128}, {}),
    "faiss-ivf-panorama": ({"levels": 8, "lists_per_sqrt_n": 1.0}, {"nprobe": 10_000}),
    "prefix-scan": ({"levels": 3}, {}),
    "faiss-hnsw-panorama": ({"levels": 8, "M": 16, "ef_construction": 100}, {"ef": 256}),
    "prefix-hnsw": ({"entry_dimension": 16, "M": 16, "ef_construction": 100}, {"ef": 256}),
}
EXACT = ("faiss-panorama", "faiss-ivf-panorama", "prefix-scan")


@pytest.fixture(scope="module")
def data():
    """Vectors whose first coordinates hold most of them, one of zeros, and queries."""
    rng = np.random.default_rng(0)
    scale = np.linspace(2, 0.1, 60)
    corpus, queries = (truncate(rng.standard_normal((n, 60)) * scale, 60) for n in (1500, 40))
    corpus[7] = 0
    return corpus, queries


def made(name, vectors, **build):
    backend = get_backend(name)("float32", vectors.shape[1])
    built, searched = SETTINGS[name]
    backend.build(vectors, **built | build)
    backend.configure(**searched)
    return backend


def nearest(queries, corpus, k):
    return np.argsort(-(queries @ corpus.T), axis=1, kind="stable")[:, :k]


def recall(found, true):
    pairs = zip(found.tolist(), true.tolist(), strict=True)
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in pairs])


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize("k", [1, 10, 100])
def test_what_is_pruned_is_not_among_the_best(data, name, k):
    corpus, queries = data
    np.testing.assert_array_equal(
        made(name, corpus).search(queries, k), nearest(queries, corpus, k)
    )


@pytest.mark.parametrize("levels", [1, 2, 5, 60])
@pytest.mark.parametrize("d", [1, 7, 60])
def test_any_number_of_levels_is_exact(data, levels, d, capfd):
    corpus, queries = (truncate(each, d) for each in data)
    true = np.take_along_axis(queries @ corpus.T, nearest(queries, corpus, 10), axis=1)
    for name in ("faiss-panorama", "prefix-scan"):
        found = made(name, corpus, levels=levels).search(queries, 10)
        scores = np.take_along_axis(queries @ corpus.T, found, axis=1)
        np.testing.assert_allclose(scores, true, atol=1e-6)
    assert "WARNING" not in "".join(capfd.readouterr()), "faiss was asked for levels it lacks"
    assert -(-d // -(-d // levels_of(d, levels))) == levels_of(d, levels) <= levels


def test_equal_scores_come_in_the_order_of_the_corpus(data):
    corpus, queries = data
    twice = np.concatenate([corpus[:100], corpus[:100]])
    found = made("prefix-scan", twice).search(queries, 20)
    np.testing.assert_array_equal(found[:, 1::2], found[:, ::2] + 100)


@pytest.mark.parametrize("name", ["faiss-panorama", "faiss-ivf-panorama", "prefix-scan"])
def test_it_reads_less_where_the_first_coordinates_hold_most(data, name):
    corpus, queries = data
    turned = made(name, np.ascontiguousarray(corpus[:, ::-1]))
    backwards = turned.bytes_read(np.ascontiguousarray(queries[:, ::-1]), 10)
    assert made(name, corpus).bytes_read(queries, 10) < backwards


def test_the_scan_reads_the_first_level_the_bounds_and_what_a_bound_lets_pass(data):
    """With two levels: half of all, a length each, the leads' rest, and that of the survivors."""
    corpus, queries = data
    products = queries[:, :30] @ corpus[:, :30].T
    rests = np.linalg.norm(queries[:, 30:], axis=1)[:, None] * np.linalg.norm(
        corpus[:, 30:], axis=1
    )
    read = []
    for i in range(len(queries)):
        leads = np.argsort(-products[i], kind="stable")[:20]
        bar = np.sort(corpus[leads] @ queries[i])[-10]
        passing = np.count_nonzero(products[i] + rests[i] >= bar)
        read.append(4 * (len(corpus) * 31 + (20 + passing) * 30))
    backend = made("prefix-scan", corpus, levels=2)
    assert backend.bytes_read(queries, 10) == pytest.approx(np.mean(read), rel=1e-3)


def test_panorama_with_a_single_level_reads_every_vector(data):
    corpus, queries = data
    n, d = corpus.shape
    for name, more in (("faiss-panorama", 0), ("faiss-ivf-panorama", 39 * d * 4)):
        backend = made(name, corpus, levels=1)
        assert backend.bytes_read(queries, 10) == pytest.approx(n * (d + 2) * 4 + more)


def test_the_graphs_find_what_a_graph_of_faiss_finds(data):
    corpus, queries = data
    plain = get_backend("faiss-hnsw")()
    plain.build(corpus, M=16, ef_construction=100)
    plain.configure(ef=256)
    true = nearest(queries, corpus, 10)
    for name in ("faiss-hnsw-panorama", "prefix-hnsw"):
        backend = made(name, corpus)
        assert (
            recall(backend.search(queries, 10), true)
            >= recall(plain.search(queries, 10), true) - 0.01
        )
        assert 0 < backend.bytes_read(queries, 10) < 1.3 * plain.bytes_read(queries, 10)


def test_an_empty_document_is_not_found_by_a_distance_of_one(data):
    corpus, _ = data
    rng = np.random.default_rng(1)
    far = truncate(rng.standard_normal((5, 60)), 60)
    backend = made(
        "faiss-hnsw-panorama", truncate(np.abs(corpus) * (corpus.any(axis=1)[:, None]), 60)
    )
    assert 7 not in backend.search(np.abs(far), 100)


def test_a_graph_that_is_entered_over_all_dimensions_has_the_same_way_in(data):
    corpus, queries = data
    whole = made("prefix-hnsw", corpus, entry_dimension=60).search(queries, 10)
    capped = made("prefix-hnsw", corpus, entry_dimension=600).search(queries, 10)
    np.testing.assert_array_equal(whole, capped)
