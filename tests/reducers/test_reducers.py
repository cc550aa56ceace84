"""Reducers against independent references."""

import shutil

import numpy as np
import pytest
from scipy.linalg import svd
from sklearn.decomposition import PCA
from sklearn.random_projection import GaussianRandomProjection

from bench.errors import DamagedFile, UsageError
from bench.reducers import get_reducer, reducers
from bench.reducers.adaptor import Adaptor, save_adaptor
from bench.vectors import normalise, truncate


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return normalise(rng.standard_normal((500, 24)) * np.linspace(1, 3, 24) + 0.3)


@pytest.fixture(scope="module")
def adaptor_folder(tmp_path_factory):
    """An adaptor of random weights, found better at 6 dimensions and not at 24."""
    folder, rng = tmp_path_factory.mktemp("adaptor"), np.random.default_rng(1)
    shapes = {"linear": (24, 24), "hidden": (24, 40), "hidden_bias": (40,), "output": (40, 24)}
    arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    save_adaptor(folder, arrays, {"full_dim": 24, "dimensions": [6, 24], "better": [True, False]})
    return folder


def fitted(name, vectors, **parameters):
    reducer = get_reducer(name)(**parameters)
    if reducer.needs_queries:
        reducer.queries = vectors[::3]
    reducer.fit(vectors)
    return reducer


@pytest.mark.parametrize("name", sorted(reducers()))
def test_every_reducer_gives_unit_vectors_whose_prefixes_are_nested(vectors, adaptor_folder, name):
    reducer = fitted(name, vectors, **({"path": str(adaptor_folder)} if name == "adaptor" else {}))
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


@pytest.mark.parametrize("center", [True, False])
def test_pca_is_scikit_learn_s(vectors, center):
    data = vectors.astype(np.float64)
    # Without centring, PCA of the vectors and their negatives, whose mean is zero.
    theirs = PCA(6).fit(data if center else np.concatenate([data, -data]))
    ours = fitted("pca", vectors, center=center).map(vectors)[:, :6]
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs.transform(data)), atol=1e-4)


def test_whitened_pca_is_scikit_learn_s(vectors):
    theirs = PCA(6, whiten=True).fit(vectors.astype(np.float64))
    ours = fitted("pca", vectors, center=True, whiten=True).map(vectors)[:, :6]
    factor = np.sqrt(len(vectors) / (len(vectors) - 1))  # theirs divides by n - 1
    np.testing.assert_allclose(
        np.abs(ours), factor * np.abs(theirs.transform(vectors)), rtol=2e-3, atol=2e-3
    )


@pytest.mark.parametrize("d", [3, 24])
def test_random_projection_is_scikit_learn_s(vectors, d):
    theirs = GaussianRandomProjection(d, random_state=7).fit(vectors).transform(vectors)
    ours = fitted("random_projection", vectors, seed=7).reduce(vectors, d)
    np.testing.assert_allclose(ours, normalise(theirs), atol=1e-5)


def test_variance_order_takes_what_varies_most(vectors):
    order = np.argsort(-vectors.astype(np.float64).var(axis=0), kind="stable")
    np.testing.assert_array_equal(fitted("variance_order", vectors).map(vectors), vectors[:, order])


@pytest.mark.needs_torch
def test_an_adaptor_is_what_torch_computes(vectors, adaptor_folder):
    import torch

    reducer = fitted("adaptor", vectors, path=str(adaptor_folder))
    w, x = (
        {name: torch.tensor(array) for name, array in reducer.arrays.items()},
        torch.tensor(vectors),
    )
    hidden = torch.nn.functional.linear(x, w["hidden"].T, w["hidden_bias"]).relu()
    expected = torch.nn.functional.linear(x, w["linear"].T) + torch.nn.functional.linear(
        hidden, w["output"].T
    )
    np.testing.assert_allclose(reducer.map(vectors), expected.numpy(), rtol=1e-3, atol=1e-3)


def test_an_adaptor_warns_where_its_training_found_it_no_better(vectors, adaptor_folder):
    reducer = fitted("adaptor", vectors, path=str(adaptor_folder))
    assert reducer.caution(8) == ""
    assert "PCA and whitened PCA at 24 d" in reducer.caution(20)


def test_bad_adaptors_are_reported_in_one_line(vectors, adaptor_folder, tmp_path):
    with pytest.raises(UsageError, match=r"no adaptor ships for encoder 'nobody': train one"):
        Adaptor("nobody").fit(vectors)
    with pytest.raises(UsageError, match=r"does not contain adaptor\.safetensors"):
        Adaptor("x", path=str(tmp_path)).fit(vectors)
    with pytest.raises(UsageError, match="maps 24 dimensions, but the vectors of 'x' have 20"):
        Adaptor("x", path=str(adaptor_folder)).fit(vectors[:, :20])
    for name in ("adaptor.safetensors", "adaptor.json"):
        (tmp_path / name).write_text("no")
    with pytest.raises(UsageError, match="is damaged"):
        Adaptor("x", path=str(tmp_path)).fit(vectors)


@pytest.mark.parametrize(
    "change",
    [
        "[]",
        "{}",
        "[" * 100_000,
        '{"full_dim": "24", "dimensions": [6], "better": [true]}',
        '{"full_dim": 24, "dimensions": [], "better": []}',
        '{"full_dim": 24, "dimensions": [6, 24], "better": [true]}',
        '{"full_dim": 24, "dimensions": 6, "better": [true]}',
        '{"full_dim": 24, "dimensions": [0], "better": [true]}',
    ],
    ids=range(8),
)
def test_an_adaptor_whose_description_is_damaged_is_named(adaptor_folder, tmp_path, change):
    shutil.copytree(adaptor_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "adaptor.json").write_text(change)
    with pytest.raises(DamagedFile, match=r"adaptor\.json is damaged"):
        Adaptor(path=str(tmp_path)).check(24)


@pytest.mark.parametrize(
    "weights",
    [
        {"other": np.eye(24, dtype=np.float32)},
        {"linear": np.ones((24, 3), np.float32)},
        {"linear": np.eye(24)},
        {"linear": np.full((24, 24), np.nan, np.float32)},
        {"linear": np.eye(24, dtype=np.float32), "hidden": np.ones((24, 4), np.float32)},
    ],
    ids=range(5),
)
def test_an_adaptor_whose_weights_do_not_fit_is_named_before_anything_is_measured(
    tmp_path, weights
):
    save_adaptor(tmp_path, weights, {"full_dim": 24, "dimensions": [6], "better": [True]})
    with pytest.raises(DamagedFile, match=r"adaptor\.safetensors is damaged"):
        Adaptor(path=str(tmp_path)).check(24)


def test_trailing_is_the_last_coordinates(vectors):
    for d in (1, 7, 24):
        expected = normalise(vectors[:, 24 - d :][:, ::-1])
        np.testing.assert_array_equal(fitted("trailing", vectors).reduce(vectors, d), expected)
