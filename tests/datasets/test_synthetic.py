"""Generated vectors."""

import numpy as np
import pytest

from bench.datasets import VectorStream, load_dataset, synthetic
from bench.embeddings import embed
from bench.errors import UsageError


def corpus_of(spec):
    return np.concatenate(list(load_dataset(spec).corpus_vectors.blocks()))


def test_vectors_are_of_unit_length_in_every_block(monkeypatch):
    monkeypatch.setattr(synthetic, "_BLOCK", 64 * 8)
    data = load_dataset("synthetic:n=500,d=8,q=70,clusters=3,seed=4")
    sizes = [len(block) for block in data.corpus_vectors.blocks()]
    assert (sum(sizes), set(sizes[:-1]), data.query_vectors.shape) == (500, {64}, (70, 8))
    vectors = corpus_of("synthetic:n=500,d=8,q=70,clusters=3,seed=4")
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert len(np.unique(vectors, axis=0)) == 500, "each block has numbers of its own"
    assert data.qrels is None


def test_clusters_are_clusters():
    vectors = corpus_of("synthetic:n=400,d=64,q=1,clusters=2")
    cosines = vectors @ vectors[0]
    # The expected cosine is 1/2 within a cluster and 0 between two independent centres.
    assert not ((cosines > 0.2) & (cosines < 0.25)).sum() > 20
    assert 100 < (cosines > 0.25).sum() < 300


def test_a_seed_is_a_dataset():
    seeds = [load_dataset(f"synthetic:n=9,d=4,q=2,seed={seed}") for seed in (0, 1)]
    assert seeds[0].fingerprint != seeds[1].fingerprint
    corpora = [corpus_of(f"synthetic:n=9,d=4,q=2,seed={seed}") for seed in (0, 1)]
    assert not np.array_equal(*corpora)


def test_a_corpus_is_generated_once(tmp_path, monkeypatch):
    spec = "synthetic:n=300,d=8,q=5"
    first = embed(spec, cache=tmp_path, progress=False)
    np.testing.assert_array_equal(first.corpus, corpus_of(spec))
    monkeypatch.setattr(VectorStream, "blocks", None)
    again = embed(spec, cache=tmp_path, progress=False)
    np.testing.assert_array_equal(first.corpus, again.corpus)


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
