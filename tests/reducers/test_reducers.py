"""Reducers against independent references."""

import numpy as np
import pytest
from scipy.linalg import svd

from bench.reducers import get_reducer, reducers
from bench.vectors import normalise, truncate


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return normalise(rng.standard_normal((500, 24)) * np.linspace(1, 3, 24) + 0.3)


def fitted(name, vectors, **parameters):
    reducer = get_reducer(name)(**parameters)
    reducer.fit(vectors)
    return reducer


@pytest.mark.parametrize("name", sorted(reducers()))
def test_every_reducer_gives_unit_vectors_whose_prefixes_are_nested(vectors, name):
    grid = get_reducer(name).grid
    reducer = fitted(name, vectors, **{parameter: values[0] for parameter, values in grid.items()})
    for d in (1, 7, 24):
        reduced = reducer.reduce(vectors, d)
        assert reduced.dtype == np.float32
        assert reduced.flags.c_contiguous
        np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(reduced, truncate(reducer.map(vectors), d), atol=1e-6)
    with pytest.raises(ValueError, match="25 is outside 1…24"):
        reducer.reduce(vectors, 25)


def test_uncentred_pca_is_the_svd(vectors):
    axes = svd(vectors.astype(np.float64), full_matrices=False)[2]
    expected = vectors @ axes[:5].T
    ours = fitted("pca", vectors, center=False).map(vectors)[:, :5]
    np.testing.assert_allclose(np.abs(ours), np.abs(expected), atol=1e-4)


def test_uncentred_pca_keeps_every_cosine_at_the_full_dimension(vectors):
    mapped = fitted("pca", vectors, center=False).reduce(vectors, 24)
    np.testing.assert_allclose(mapped @ mapped.T, vectors @ vectors.T, atol=1e-5)


def test_centred_pca_is_the_covariance_s(vectors):
    centred = vectors - vectors.mean(axis=0)
    axes = svd(centred.astype(np.float64), full_matrices=False)[2]
    ours = fitted("pca", vectors, center=True).map(vectors)[:, :5]
    np.testing.assert_allclose(np.abs(ours), np.abs(centred @ axes[:5].T), atol=1e-4)


def test_random_subsets_differ_by_seed_and_are_coordinates(vectors):
    subsets = [fitted("random_subset", vectors, seed=seed).map(vectors) for seed in (0, 1, 0)]
    np.testing.assert_array_equal(subsets[0], subsets[2])
    assert not np.array_equal(subsets[0], subsets[1])
    np.testing.assert_array_equal(np.sort(subsets[0], axis=1), np.sort(vectors, axis=1))
