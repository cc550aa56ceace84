"""Generated vectors."""

import numpy as np
import pytest

from bench.datasets import load_dataset, synthetic
from bench.errors import UsageError


def test_blocks_do_not_change_the_vectors(monkeypatch):
    spec = "synthetic:n=500,d=8,q=70,clusters=3,seed=4"
    whole = load_dataset(spec)
    monkeypatch.setattr(synthetic, "_BLOCK", 64)
    np.testing.assert_array_equal(load_dataset(spec).corpus_vectors, whole.corpus_vectors)
    assert (whole.corpus_vectors.dtype, whole.query_vectors.shape) == (np.float32, (70, 8))
    np.testing.assert_allclose(np.linalg.norm(whole.corpus_vectors, axis=1), 1, atol=1e-6)
    assert whole.qrels is None


def test_clusters_are_clusters():
    data = load_dataset("synthetic:n=400,d=64,q=1,clusters=2")
    cosines = data.corpus_vectors @ data.corpus_vectors[0]
    # The expected cosine is 1/2 within a cluster and 0 between two independent centres.
    assert not ((cosines > 0.2) & (cosines < 0.25)).sum() > 20
    assert 100 < (cosines > 0.25).sum() < 300


def test_a_seed_is_a_dataset():
    seeds = [load_dataset(f"synthetic:n=9,d=4,q=2,seed={seed}") for seed in (0, 1)]
    assert seeds[0].fingerprint != seeds[1].fingerprint
    assert not np.array_equal(seeds[0].corpus_vectors, seeds[1].corpus_vectors)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("cluster=3", "did you mean 'clusters'"),
        ("n=0", "n = 0 must be at least 1"),
        ("seed=-1", "seed = -1"),
        ("n=many", "'many' is not a whole number"),
        ("n", "not a whole number"),
        ("n=10,q=99_000_000_000", "GiB of memory"),
        ("n=10,clusters=99_000_000_000", "GiB of memory"),
    ],
)
def test_what_cannot_be_made(argument, message):
    with pytest.raises(UsageError, match=message):
        load_dataset(f"synthetic:{argument}")
