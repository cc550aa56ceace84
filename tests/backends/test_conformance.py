"""What every backend must do, whoever wrote it."""

import numpy as np
import pytest

from bench.backends import backends
from bench.vectors import normalise

N = 2000
FLOORS = {"float32": 0.95, "float16": 0.95, "bfloat16": 0.93, "int8": 0.9, "int4": 0.6}
"""Recall against brute force in float32 that the widest setting must reach; other precisions promise less than a floor."""
BITS = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "int8": 8,
    "int4": 4,
    "binary": 1,
    "binary_asymmetric": 1,
    "pq": 1,
}


@pytest.fixture(
    scope="module",
    params=[(name, precision) for name, cls in backends().items() if cls.available() for precision in cls.precisions],
    ids=lambda pair: "-".join(pair),
)
def kind(request):
    """A backend's class and one of its precisions."""
    return backends()[request.param[0]], request.param[1]


@pytest.fixture(scope="module", params=[name for name, cls in backends().items() if cls.available()])
def backend_class(request):
    return backends()[request.param]


def made(cls, vectors, precision=None, **search):
    backend = cls(precision or cls.precisions[0], vectors.shape[1])
    backend.build(vectors, **{p: _fitting(p, values[-1], vectors) for p, values in cls.build_grid.items()})
    backend.configure(**{p: values[-1] for p, values in cls.search_grid.items()} | search)
    return backend


def _fitting(parameter, value, vectors):
    """A build parameter that is itself a dimension cannot exceed that of the vectors."""
    return min(value, vectors.shape[1]) if parameter.endswith("_dimension") else value


def clustered(n, d, seed=0):
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((20, d))
    return normalise(centres[rng.integers(20, size=n)] + 0.5 * rng.standard_normal((n, d)))


@pytest.mark.parametrize("d", [8, 50, 128])
def test_widest_setting_finds_what_brute_force_finds(kind, d):
    backend_class, precision = kind
    vectors, queries = clustered(N, d), clustered(40, d, seed=1)
    if d % 4 and precision == "pq":
        pytest.skip("product codes want a dimension that they divide")
    found = made(backend_class, vectors, precision).search(queries, 10)
    true = np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), true.tolist(), strict=True)])
    assert shared >= (0.999 if backend_class.exact and precision == "float32" else FLOORS.get(precision, 0.05))
    assert found.dtype == np.int64
    assert found.shape == (40, 10)


def test_best_comes_first_and_nothing_twice(kind):
    backend_class, precision = kind
    vectors = clustered(N, 32)
    found = made(backend_class, vectors, precision).search(vectors[:20], 10)
    scores = np.einsum("qd,qkd->qk", vectors[:20], vectors[found])
    if precision == "float32":
        assert (np.diff(scores, axis=1) <= 1e-5).all()
    assert (scores[:, 0] >= scores[:, -1]).mean() >= 0.9
    assert all(len(set(row)) == 10 for row in found.tolist())


def test_same_seed_same_result(kind):
    vectors = clustered(N, 32)
    np.testing.assert_array_equal(*(made(kind[0], vectors, kind[1]).search(vectors[:50], 10) for _ in range(2)))


@pytest.mark.parametrize("n", [1, 5])
def test_k_beyond_the_corpus_is_padded(kind, n):
    vectors = clustered(n, 16)
    found = made(kind[0], vectors, kind[1]).search(vectors[:1], 8)
    assert found.shape == (1, 8)
    assert sorted(found[0][found[0] >= 0].tolist()) == list(range(n))
    assert (found[0][n:] == -1).all()


def test_ids_follow_a_permutation_of_the_corpus(backend_class):
    if not backend_class.exact:
        pytest.skip("an approximate index may find others in another order")
    vectors = clustered(N, 32)
    order = np.random.default_rng(3).permutation(N)
    plain, moved = (
        made(backend_class, v).search(vectors[:20], 5) for v in (vectors, np.ascontiguousarray(vectors[order]))
    )
    np.testing.assert_array_equal(order[moved], plain)


def test_search_parameters_need_no_rebuild_and_wider_finds_no_less(backend_class):
    if not backend_class.search_grid:
        pytest.skip("it has no search parameter")
    vectors, queries = clustered(N, 64), clustered(60, 64, seed=1)
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    backend = made(backend_class, vectors)
    shares = []
    for edge in (0, -1):
        backend.configure(**{p: values[edge] for p, values in backend_class.search_grid.items()})
        shares.append(
            np.mean(
                [len(set(a) & set(b)) for a, b in zip(backend.search(queries, 10).tolist(), true.tolist(), strict=True)]
            )
        )
    assert shares[1] >= shares[0]


def test_size_is_that_of_something_written(kind):
    small, large = (made(kind[0], clustered(n, 64), kind[1]).size_bytes() for n in (500, N))
    assert 500 * 64 * BITS[kind[1]] / 8 <= small < large


def test_batch_and_single_queries_agree(kind):
    vectors = clustered(N, 32)
    backend = made(kind[0], vectors, kind[1])
    singles = np.concatenate([backend.search(vectors[i : i + 1], 10) for i in range(20)])
    np.testing.assert_array_equal(singles, backend.search(vectors[:20], 10))
