"""Sparse codes: an inverted file against scipy's product, and training against its loss."""

import json
from itertools import pairwise

import numpy as np
import pytest
from click.testing import CliRunner
from scipy import sparse

from bench.backends import UnsupportedDimension
from bench.backends.csr import Csr, principal_latents, save_weights, sparse_codes
from bench.cli import commands
from bench.embeddings import embed
from bench.errors import DamagedFile, UsageError
from bench.measuring.workload import Workload
from bench.study.reader import load_study
from bench.vectors import normalise
from tests.training.test_adaptor import D as FULL
from tests.training.test_adaptor import folder  # noqa: F401

D = 24


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return normalise(rng.standard_normal((700, D)) * np.linspace(0.3, 2, D) + 0.1)


@pytest.fixture(scope="module")
def weights():
    rng = np.random.default_rng(1)
    shapes = {"encoder": (D, 60), "pre_bias": (D,), "latent_bias": (60,)}
    return {n: 0.2 * rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}


def dense(weights, vectors, k):
    """The codes as the paper writes them, with a loop over the rows."""
    latents = (vectors - weights["pre_bias"]) @ weights["encoder"] + weights["latent_bias"]
    kept = np.zeros_like(latents)
    for row, values in zip(kept, latents, strict=True):
        top = np.argsort(-values)[:k]
        row[top] = np.maximum(values[top], 0)
    return kept / np.linalg.norm(kept, axis=1, keepdims=True)


@pytest.mark.parametrize("k", [3, 16, 60])
def test_a_search_is_the_sparse_product(vectors, weights, tmp_path, k):
    save_weights(tmp_path, weights, {})
    index = Csr(dimension=k)
    index.build(vectors, path=str(tmp_path))
    codes = sparse.csr_matrix(dense(weights, vectors, k))
    scores = (codes[:40] @ codes.T).toarray()
    ids = index.search(vectors[:40], 10)
    found = np.take_along_axis(scores, ids, axis=1)
    np.testing.assert_allclose(found, -np.sort(-scores, axis=1)[:, :10], atol=1e-4)
    assert all((np.diff(row) < 1e-4).all() for row in found)
    assert index.size_bytes() == 4 * codes.nnz + 8 * 61
    postings = codes.tocsc().getnnz(axis=0)
    touched = np.mean([postings[row.indices].sum() for row in codes[:40]])
    assert index.bytes_read(vectors[:40], 10) == pytest.approx(4 * touched)


def test_without_training_all_latents_but_the_signs_are_a_rotation(vectors):
    found, values = sparse_codes(principal_latents(vectors), vectors, 2 * D)
    codes = np.zeros((len(vectors), 2 * D), np.float32)
    np.put_along_axis(codes, found, values, axis=1)
    signed = codes[:, :D] - codes[:, D:]
    np.testing.assert_allclose(signed @ signed.T, vectors @ vectors.T, atol=1e-5)


def test_weights_that_are_missing_damaged_or_of_another_width_are_named(vectors, weights, tmp_path):
    with pytest.raises(UsageError, match=r"does not contain csr\.safetensors: train it"):
        Csr(dimension=4).build(vectors, path=str(tmp_path))
    save_weights(tmp_path, weights, {})
    with pytest.raises(UnsupportedDimension, match="are of 24 dimensions"):
        Csr(dimension=4).build(vectors[:, :20], path=str(tmp_path))
    for broken in (
        {"encoder": weights["encoder"]},
        {**weights, "pre_bias": np.full(D, np.nan, np.float32)},
    ):
        save_weights(tmp_path, broken, {})
        with pytest.raises(DamagedFile, match="is damaged"):
            Csr(dimension=4).build(vectors, path=str(tmp_path))


@pytest.mark.needs_torch
def test_training_lowers_the_loss_and_writes_what_the_backend_reads(folder, tmp_path):  # noqa: F811
    losses = []
    from bench.training.csr import train_csr

    lines = train_csr(
        f"vectors:{folder}", "", tmp_path, dimensions=[4, 8], steps=60, batch=128,
        learning_rate=5e-3, progress=lambda line: losses.append(float(line.split()[3][:-1])),
    )  # fmt: skip
    assert losses[-1] < losses[0]
    meta = json.loads((tmp_path / "csr.json").read_text())
    assert (meta["latents"], meta["dimensions"]) == (4 * FULL, [4, 8])
    assert meta["held_out"]["csr"][1] > meta["held_out"]["truncate"][1]
    assert 'backend = "csr"' in lines[-1]
    corpus = normalise(np.load(folder / "corpus.npy"))
    sizes = []
    for k in (4, 8):
        index = Csr(dimension=k)
        index.build(corpus, path=str(tmp_path))
        sizes.append(index.size_bytes())
    assert all(low < high for low, high in pairwise(sizes))


@pytest.mark.needs_torch
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--form", "csr", "--loss", "kl"], "--loss is for adaptors, not for --form csr"),
        (["--latents", "9"], "--latents is for --form csr"),
        (["--form", "csr", "--dimensions", "500"], "500 active latents are outside 1…128"),
    ],
)
def test_bad_choices_are_one_line(folder, tmp_path, given, message):  # noqa: F811
    asked = ["train", f"vectors:{folder}", "", "--out", str(tmp_path), *given]
    assert message in str(CliRunner().invoke(commands, asked).exception)


def test_other_weights_in_the_same_folder_are_another_index(weights, vector_folder, tmp_path):
    study = tmp_path / "study.toml"
    full = np.load(vector_folder / "corpus.npy").shape[1]
    study.write_text(
        f'name = "s"\ndataset = "vectors:{vector_folder}"\ndimensions = 8\nsubsets = 0\n'
        f'[[configurations]]\nbackend = "csr"\nbuild = {{ path = "{tmp_path / "weights"}" }}\n'
    )
    wide = {
        "encoder": np.resize(weights["encoder"], (full, 60)),
        "pre_bias": np.zeros(full, np.float32),
        "latent_bias": weights["latent_bias"],
    }
    with pytest.raises(UsageError, match="weights"):
        load_work(study)
    found = []
    for factor in (1, 2, 1):
        save_weights(tmp_path / "weights", {**wide, "encoder": factor * wide["encoder"]}, {})
        found.append(load_work(study))
    assert found[0] == found[2] != found[1]


def load_work(study):
    """Return the ids of the trials of a study's first dataset over its indexes."""
    loaded = load_study(study)
    work = Workload(loaded, embed(loaded.dataset[0]), "here")
    return [i for group in work.groups for i, t in group.items() if t.backend == "csr"]
