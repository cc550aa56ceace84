"""LeanVec against its loss written out, and what it may learn from."""

import numpy as np
import pytest
from scipy.linalg import eigh

from bench.embeddings import embed
from bench.embeddings.training import embed_training, unscored
from bench.errors import MissingSplit, StudyError, UsageError
from bench.measuring.runner import run
from bench.reducers import moments
from bench.reducers.leanvec import LeanVec, score_losses
from bench.reducers.pca import Pca
from bench.vectors import normalise

D = 16


@pytest.fixture(scope="module")
def unlike():
    """Documents and queries that vary in different directions, unit length."""
    rng = np.random.default_rng(0)
    scales = np.linspace(3, 0.3, D), np.linspace(0.3, 2, D)
    return [
        normalise(rng.standard_normal((n, D)) * s + 0.2)
        for n, s in zip((400, 90), scales, strict=True)
    ]


def fitted(corpus, queries, **parameters):
    reducer = LeanVec(**parameters)
    reducer.queries = queries
    reducer.fit(corpus)
    return reducer


def loss(axes, corpus, queries, d):
    """The paper's loss as it stands, relative to the scores themselves."""
    kept, full = axes[:, :d].astype(float), queries.astype(float) @ corpus.T.astype(float)
    found = (queries @ kept) @ (corpus @ kept).T
    return np.square(found - full).sum() / np.square(full).sum()


def test_the_losses_from_moments_are_the_paper_s(unlike):
    corpus, queries = unlike
    axes = np.linalg.qr(np.random.default_rng(1).standard_normal((D, D)))[0]
    found = score_losses(axes, moments(queries)[1], moments(corpus)[1])
    expected = [loss(axes, corpus, queries, d) for d in range(1, D + 1)]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_its_share_of_the_corpus_is_the_best_of_a_fine_grid_and_no_worse_than_pca(unlike):
    corpus, queries = unlike
    reducer, pca = fitted(corpus, queries), Pca()
    pca.fit(corpus)
    moment = [rows.T.astype(float) @ rows / len(rows) for rows in (queries, corpus)]

    def mean(axes):
        return np.mean([loss(axes, corpus, queries, d) for d in (1, 2, 4, 8)])

    shares = np.linspace(0, 1, 201)
    brute = min(mean(eigh((1 - b) * moment[0] + b * moment[1])[1][:, ::-1]) for b in shares)
    assert mean(reducer.axes) <= mean(pca.axes)
    assert mean(reducer.axes) <= brute * 1.01
    assert brute < 0.95 * mean(pca.axes), "the data must tell them apart"


def test_queries_only_is_the_pca_of_the_queries(unlike):
    corpus, queries = unlike
    pca = Pca()
    pca.fit(queries)
    ours = fitted(corpus, queries, queries_only=True).axes
    np.testing.assert_allclose(ours, pca.axes, atol=1e-4)


def test_it_is_a_rotation_so_the_full_dimension_keeps_every_cosine(unlike):
    corpus, queries = unlike
    reducer = fitted(corpus, queries)
    found = reducer.map(queries) @ reducer.map(corpus).T
    np.testing.assert_allclose(found, queries @ corpus.T, atol=1e-5)


def test_without_training_queries_it_says_so(unlike):
    with pytest.raises(UsageError, match=r"learns from training queries, and there are none"):
        LeanVec().fit(unlike[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ready vectors whose first 60 queries are for training, the other 20 for the test."""
    path, rng = tmp_path_factory.mktemp("splits"), np.random.default_rng(2)
    corpus = rng.standard_normal((300, D)).astype(np.float32)
    queries = (rng.standard_normal((80, D)) * np.linspace(0.2, 2, D)).astype(np.float32)
    queries[3] = queries[70]  # a training query that is asked in the test as well
    np.save(path / "corpus.npy", corpus)
    np.save(path / "queries.npy", queries)
    (path / "qrels").mkdir()
    for split, rows in (("train", range(60)), ("test", range(60, 80))):
        lines = "".join(f"{row}\t{row}\t1\n" for row in rows)
        (path / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return path


STUDY = """
name = "s"
dataset = "vectors:{}"
dimensions = [4]
repeats = 1
subsets = 0
[[configurations]]
backend = "faiss-flat"
reducer = ["leanvec", "pca"]
"""


def studied(folder, out):
    (out / "study.toml").write_text(STUDY.format(folder))
    return run(out / "study.toml", out / "results", progress=False)


def test_a_study_fits_it_on_training_queries_alone_and_tells_other_ones_apart(folder, tmp_path):
    frame = studied(folder, tmp_path)
    assert (frame["status"] == "ok").all()
    test, training = embed(f"vectors:{folder}"), embed_training(f"vectors:{folder}", "")
    assert len(training.queries) == 60
    learned = unscored(training.queries, test.queries)
    assert len(learned) == 59
    (kept,) = (
        arrays
        for path in (test.folder / "exact").glob("*.reducer.npz")
        if "mean" not in (arrays := dict(np.load(path)))
    )
    np.testing.assert_array_equal(kept["axes"], fitted(test.corpus, learned).axes)
    # Other training queries make other trials of this reducer, and of no other.
    queries = np.load(folder / "queries.npy")
    np.save(folder / "queries.npy", np.r_[queries[:59] + 1, queries[59:]])
    again = studied(folder, tmp_path)
    for name, new in (("leanvec", 3), ("pca", 0)):
        ids = [set(f.loc[f["reducer"] == name, "trial_id"]) for f in (frame, again)]
        assert len(ids[0]) == 3
        assert len(ids[1] - ids[0]) == new


def test_a_study_of_a_dataset_without_a_training_split_is_one_clear_line(vector_folder, tmp_path):
    with pytest.raises(
        StudyError, match=r"'leanvec' learns from the queries of a split train or dev: .*train\.tsv"
    ):
        studied(vector_folder, tmp_path)


def test_the_split_dev_serves_where_there_is_no_train(folder, tmp_path):
    for name in ("corpus.npy", "queries.npy"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "qrels").mkdir()
    judged = (folder / "qrels" / "train.tsv").read_text()
    (tmp_path / "qrels" / "dev.tsv").write_text(judged)
    assert len(embed_training(f"vectors:{tmp_path}", "").queries) == 60
    (tmp_path / "qrels" / "dev.tsv").rename(tmp_path / "qrels" / "other.tsv")
    with pytest.raises(MissingSplit, match=r"train\.tsv is missing"):
        embed_training(f"vectors:{tmp_path}", "")
