"""AdANNS against exact search and against faiss's own inverted file."""

import numpy as np
import pytest

from bench.backends import get_backend
from bench.vectors import truncate


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    scale = np.linspace(2, 0.3, 64)
    return tuple(truncate(rng.standard_normal((n, 64)) * scale, 64) for n in (3000, 60))


def made(data, dimension, coarse, nprobe, name="adanns-ivf", precision="float32", **build):
    backend = get_backend(name)(precision, dimension)
    backend.build(data[0], coarse_dimension=coarse, lists_per_sqrt_n=1.0, **build)
    backend.configure(nprobe=nprobe)
    return backend


@pytest.mark.parametrize(("dimension", "coarse"), [(16, 64), (32, 8), (50, 50)])
def test_with_every_cell_probed_it_is_exact_at_the_distance_s_dimension(data, dimension, coarse):
    corpus, queries = data
    found = made(data, dimension, coarse, 10_000).search(queries, 10)
    true = np.argsort(
        -(truncate(queries, dimension) @ truncate(corpus, dimension).T), axis=1, kind="stable"
    )[:, :10]
    np.testing.assert_array_equal(found, true)


def test_cells_of_more_dimensions_find_more_at_the_same_distance_dimension(data):
    corpus, queries = data
    true = np.argsort(-(truncate(queries, 16) @ truncate(corpus, 16).T), axis=1)[:, :10]
    shares = [
        np.mean(
            [
                len(set(a) & set(b))
                for a, b in zip(
                    made(data, 16, c, 4).search(queries, 10).tolist(), true.tolist(), strict=True
                )
            ]
        )
        for c in (2, 16)
    ]
    assert shares[1] > shares[0]


def test_at_one_dimension_for_both_it_is_an_inverted_file(data):
    corpus, queries = data
    plain = get_backend("faiss-ivf")()
    plain.build(truncate(corpus, 32), lists_per_sqrt_n=1.0)
    plain.configure(nprobe=8)
    found = [made(data, 32, 32, 8).search(queries, 10), plain.search(truncate(queries, 32), 10)]
    same = np.mean(
        [len(set(a) & set(b)) / 10 for a, b in zip(*(f.tolist() for f in found), strict=True)]
    )
    assert same >= 0.9


def test_opq_codes_are_smaller_and_exhaustive_search_of_them_finds_no_less(data):
    corpus, queries = data
    backend = made(data, 32, 64, 4, "adanns-ivf-opq", "pq", components_per_byte=4)
    true = np.argsort(-(truncate(queries, 32) @ truncate(corpus, 32).T), axis=1)[:, :10]
    found = [backend.search(queries, 10), backend.exhaustive(queries, 10)]
    few, all_ = (
        np.mean([len(set(a) & set(b)) for a, b in zip(f.tolist(), true.tolist(), strict=True)])
        for f in found
    )
    assert all_ >= few > 2
    assert backend.size_bytes() < corpus[:, :32].nbytes
    assert backend.index.nprobe == 4
