"""One pass against faiss and plain numpy at each dimension."""

import pickle
import time

import faiss
import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.exact import scan
from bench.exact.one_pass import exact_search, exact_topk, new_pass
from bench.exact.scan import DOCUMENTS
from bench.vectors import truncate

DIMENSIONS = [1, 7, 16, 50, 64]


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    return rng.standard_normal((30, 64), dtype=np.float32), rng.standard_normal(
        (9000, 64), dtype=np.float32
    )


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
def test_neighbours_and_scores_are_those_of_faiss(vectors, metric):
    queries, corpus = vectors
    found = exact_topk(queries, corpus, DIMENSIONS, 20, metric)
    for d in DIMENSIONS:
        q, x = (
            truncate(v, d) if metric == "cosine" else np.ascontiguousarray(v[:, :d])
            for v in (queries, corpus)
        )
        scores, ids = faiss.knn(
            q, x, 20, faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        )
        ours = -found[d][1] if metric == "l2" else found[d][1]
        np.testing.assert_allclose(ours, scores, rtol=1e-4, atol=1e-4)
        if d > 1:  # in one dimension all cosines are ±1: all tie
            assert (found[d][0] == ids).mean() > 0.99, (
                "faiss sums in single precision: near-ties may differ"
            )
            q, x = q.astype(np.float64), x.astype(np.float64)
            true = -((q[:, None] - x[None]) ** 2).sum(-1) if metric == "l2" else q @ x.T
            np.testing.assert_array_equal(
                found[d][0], np.argsort(-true.astype(np.float32), axis=1, kind="stable")[:, :20]
            )


def test_equal_scores_come_in_the_order_of_ids(vectors):
    queries, corpus = vectors
    twice = np.concatenate([corpus[:5000], corpus[:5000]])
    ids, scores = exact_topk(queries, twice, [32], 10)[32]
    np.testing.assert_array_equal(ids[:, 1::2], ids[:, ::2] + 5000)
    np.testing.assert_allclose(scores[:, 1::2], scores[:, ::2], rtol=1e-6)
    equal = np.ones((6000, 4), np.float32)
    np.testing.assert_array_equal(exact_topk(equal[:2], equal, [4], 5)[4][0], [[0, 1, 2, 3, 4]] * 2)


def test_a_zero_prefix_scores_zero_and_never_nan(vectors):
    queries, corpus = vectors[0][:3].copy(), vectors[1][:50].copy()
    corpus[7, :16] = 0
    queries[1, :16] = 0
    ids, scores = exact_topk(queries, corpus, [16], 50)[16]
    assert np.isfinite(scores).all()
    assert scores[0][ids[0] == 7] == 0
    assert not scores[1].any()


def test_fewer_documents_than_k_are_padded(vectors):
    ids, scores = exact_topk(vectors[0], vectors[1][:3], [8], 5)[8]
    assert (ids[:, 3:] == -1).all()
    assert np.isneginf(scores[:, 3:]).all()
    assert (np.sort(ids[:, :3], axis=1) == [0, 1, 2]).all()


def test_own_document_is_left_out(vectors):
    corpus = vectors[1][:300]
    own = np.arange(20)
    ids, _ = exact_topk(corpus[:20], corpus, [16, 64], 10, own=own)[64]
    assert not (ids == own[:, None]).any()
    np.testing.assert_array_equal(ids, exact_topk(corpus[:20], corpus, [64], 11)[64][0][:, 1:])


@pytest.mark.parametrize("small", [0, 2**30])
def test_a_rotation_is_applied_before_the_prefixes(vectors, small, monkeypatch):
    monkeypatch.setattr(scan, "_SMALL", small)
    queries, corpus = vectors
    order = np.random.default_rng(5).permutation(64)
    ids, _ = exact_topk(queries, corpus, [16], 10, transform=lambda block: block[:, order])[16]
    np.testing.assert_array_equal(
        ids, exact_topk(queries[:, order], corpus[:, order], [16], 10)[16][0]
    )


def test_reads_a_memory_map(vectors, tmp_path):
    np.save(tmp_path / "corpus.npy", vectors[1].astype(np.float16))
    mapped = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    ids = exact_topk(vectors[0], mapped, [64], 10)[64][0]
    np.testing.assert_array_equal(
        ids, exact_topk(vectors[0], vectors[1].astype(np.float16), [64], 10)[64][0]
    )


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_more_queries_than_a_group_change_nothing(threads):
    rng = np.random.default_rng(3)
    queries, corpus = (
        rng.standard_normal((700, 24), dtype=np.float32),
        rng.standard_normal((5000, 24), dtype=np.float32),
    )
    corpus[2000:4000] = corpus[:2000]
    found = exact_topk(queries, corpus, [5, 24], 10, threads=threads)
    alone = exact_topk(queries[600:], corpus, [5, 24], 10, threads=1)
    for d in (5, 24):
        np.testing.assert_array_equal(found[d][0][600:], alone[d][0])


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
@pytest.mark.parametrize("with_own", [False, True])
def test_ranks_and_scores_of_given_documents_are_those_of_a_full_sort(vectors, metric, with_own):
    rng = np.random.default_rng(4)
    queries, corpus = vectors[0], np.concatenate([vectors[1][:3000], vectors[1][:500]])
    corpus[10, :16] = 0
    rows, ids = rng.integers(0, len(queries), 200), rng.integers(0, len(corpus), 200)
    own = rng.integers(0, len(corpus), len(queries)) if with_own else None
    found = exact_search(
        queries, corpus, [16, 50, 64], 5, metric, relevant=(rows, ids), own=own
    ).relevant
    q64, x64 = queries.astype(np.float64), corpus.astype(np.float64)
    for d in (16, 50, 64):
        q, x = q64[:, :d], x64[:, :d]
        if metric == "cosine":
            lengths = np.linalg.norm(x, axis=1, keepdims=True)
            q, x = (
                q / np.linalg.norm(q, axis=1, keepdims=True),
                x / np.where(lengths > 0, lengths, 1),
            )
        scores = -((q[:, None] - x[None]) ** 2).sum(-1) if metric == "l2" else q @ x.T
        np.testing.assert_allclose(found[d][0], scores[rows, ids], rtol=1e-9, atol=1e-12)
        if own is not None:
            scores[np.arange(len(queries)), own] = -np.inf
        order = np.argsort(-scores.astype(np.float32), axis=1, kind="stable")
        ranks = np.argmax(order[rows] == ids[:, None], axis=1) + 1
        asked = np.ones(len(rows), bool) if own is None else own[rows] != ids
        np.testing.assert_array_equal(found[d][1][asked], ranks[asked])


def test_ranks_agree_with_the_results_of_the_same_pass(vectors):
    queries, corpus = vectors
    order = np.random.default_rng(5).permutation(64)
    rows, ids = np.repeat(np.arange(30), 3), np.arange(90) * 97
    found = exact_search(
        queries, corpus, [8, 64], len(corpus), relevant=(rows, ids), transform=lambda b: b[:, order]
    )
    for d in (8, 64):
        ranks = np.argmax(found.nearest[d][0][rows] == ids[:, None], axis=1) + 1
        np.testing.assert_array_equal(found.relevant[d][1], ranks)


@pytest.fixture
def in_blocks(monkeypatch):
    """No corpus is small: documents are mapped block by block."""
    monkeypatch.setattr(scan, "_SMALL", 0)


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
def test_a_small_corpus_at_many_dimensions_is_searched_as_one_of_any_size(
    vectors, metric, monkeypatch
):
    rng = np.random.default_rng(6)
    queries, corpus = vectors[0].copy(), vectors[1][:4000].copy()
    corpus[2000:] = corpus[:2000]  # ties
    corpus[10], corpus[11, :9], queries[3], corpus[12, 20] = 0, 0, 0, np.nan
    own = rng.integers(0, len(corpus), len(queries))
    order = rng.permutation(64)
    dimensions = range(1, 65)
    kept = {"transform": lambda block: block[:, order], "own": own}
    pairs = np.repeat(np.arange(30), 2), rng.integers(0, len(corpus), 60)
    small = exact_search(queries, corpus, dimensions, 20, metric, relevant=pairs, **kept)
    monkeypatch.setattr(scan, "_SMALL", 0)
    expected = exact_search(queries, corpus, dimensions, 20, metric, relevant=pairs, **kept)
    for d in dimensions:
        for found, true in zip(small.nearest[d], expected.nearest[d], strict=True):
            np.testing.assert_array_equal(found, true)
        np.testing.assert_array_equal(small.relevant[d][1], expected.relevant[d][1])


def test_an_error_in_a_thread_reaches_the_caller(vectors, in_blocks):
    def fail(block):
        if len(block) < 1000:
            return block
        raise RuntimeError("no such rotation")

    with pytest.raises(RuntimeError, match="no such rotation"):
        exact_topk(*vectors, [8], 5, transform=fail)


def test_an_error_stops_the_other_threads(vectors, in_blocks):
    scanned = []

    def fail(block):
        if len(block) == len(vectors[0]):  # the queries
            return block
        scanned.append(len(block))
        if len(scanned) == 2:
            raise RuntimeError("no such rotation")
        time.sleep(0.05)
        return block

    corpus = np.tile(vectors[1], (10, 1))
    with pytest.raises(RuntimeError, match="no such rotation"):
        exact_topk(vectors[0], corpus, [8], 5, transform=fail, threads=2)
    assert len(scanned) < 10


@pytest.mark.parametrize(
    ("dimensions", "k", "metric", "message"),
    [
        ([65], 5, "cosine", "65 is outside 1…64"),
        ([0], 5, "cosine", "0 is outside"),
        ([8], 0, "cosine", "k = 0"),
        ([8], 1, "cos", "metric 'cos'"),
    ],
)
def test_bad_arguments_are_refused(vectors, dimensions, k, metric, message):
    with pytest.raises(ValueError, match=message):
        exact_topk(*vectors, dimensions, k, metric)


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
def test_a_pass_in_parts_that_travel_is_the_pass_to_the_bit(metric, monkeypatch):
    monkeypatch.setattr("bench.exact.scan._SMALL", 0)
    rng = np.random.default_rng(3)
    corpus = rng.integers(-2, 3, (5 * DOCUMENTS + 77, 8)).astype(np.float32)  # many equal scores
    queries = rng.integers(-2, 3, (70, 8)).astype(np.float32)
    rows, ids = rng.integers(0, 70, 90), rng.integers(0, len(corpus), 90)
    own = np.where(np.arange(70) % 3, rng.integers(0, len(corpus), 70), -1)

    def transform(block):
        return block[:, ::-1]

    asked = {"relevant": (rows, ids), "own": own, "transform": transform, "threads": 2}
    whole = exact_search(queries, corpus, [2, 5, 8], 30, metric, **asked)

    with threadpool_limits(1, user_api="blas"):
        plan = new_pass(queries, corpus, [2, 5, 8], 30, metric, **asked)
        scans = []
        for first in range(0, len(corpus), 2 * DOCUMENTS):
            part = pickle.loads(pickle.dumps(plan))
            assert part.corpus is None
            part.attach(corpus[first : first + 2 * DOCUMENTS], first, transform, 2)
            scans.append(pickle.loads(pickle.dumps(part.scan())))
        found = plan.finish(scans)

    for d in (2, 5, 8):
        for one, other in zip(
            (*whole.nearest[d], *whole.relevant[d]),
            (*found.nearest[d], *found.relevant[d]),
            strict=True,
        ):
            np.testing.assert_array_equal(one, other)
