"""Quality figures against pytrec_eval and arithmetic by hand."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from bench.quality.measures import TIE_TOLERANCE, may_tie, overlap, relevance, shared


@pytest.fixture
def judged():
    rng = np.random.default_rng(1)
    queries = [f"q{i}" for i in range(40)]
    qrels = {
        q: {str(d): int(rng.integers(0, 4)) for d in rng.choice(300, 12, replace=False)}
        for q in queries
    }
    for grades in qrels.values():
        grades[next(iter(grades))] = 3
    ids = np.array([rng.choice(300, 100, replace=False) for _ in queries], dtype=np.int64)
    return queries, qrels, ids


def test_relevance_equals_pytrec_eval(judged):
    queries, qrels, ids = judged
    run = {
        q: {str(d): 1000.0 - rank for rank, d in enumerate(row)}
        for q, row in zip(queries, ids.tolist(), strict=True)
    }
    expected = pytrec_eval.RelevanceEvaluator(
        qrels, {"ndcg_cut.1,5,10,100", "recall.10,100", "map_cut.100"}
    ).evaluate(run)
    top_ten = {q: dict(list(ranked.items())[:10]) for q, ranked in run.items()}
    reciprocal = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(top_ten)
    found = relevance(ids, queries, qrels, 100)
    for column, values in (
        ("ndcg_at_1", [expected[q]["ndcg_cut_1"] for q in queries]),
        ("ndcg_at_5", [expected[q]["ndcg_cut_5"] for q in queries]),
        ("ndcg_at_100", [expected[q]["ndcg_cut_100"] for q in queries]),
        ("map_at_100", [expected[q]["map_cut_100"] for q in queries]),
        ("ndcg_at_10", [expected[q]["ndcg_cut_10"] for q in queries]),
        ("recall_at_10", [expected[q]["recall_10"] for q in queries]),
        ("recall_at_100", [expected[q]["recall_100"] for q in queries]),
        ("mrr_at_10", [reciprocal[q]["recip_rank"] for q in queries]),
    ):
        np.testing.assert_allclose(found[column], values, atol=1e-12)


def test_a_figure_deeper_than_the_search_is_not_given(judged):
    queries, qrels, ids = judged
    found = relevance(ids[:, :10], queries, qrels, 10)
    assert set(found) == {"ndcg_at_1", "ndcg_at_5", "ndcg_at_10", "recall_at_10", "mrr_at_10"}


def test_a_document_returned_twice_counts_once_and_padding_counts_for_nothing():
    found = relevance(np.array([[5, 5, 7] + [-1] * 7]), ["q"], {"q": {"7": 1}}, 10)
    assert found["ndcg_at_10"][0] == pytest.approx(1 / np.log2(3))


def test_a_relevant_document_outside_the_corpus_lowers_recall():
    assert (
        relevance(np.arange(10)[None], ["q"], {"q": {"3": 1, "?gone": 1}}, 10)["recall_at_10"][0]
        == 0.5
    )


def test_overlap_counts_ties_within_a_relative_tolerance_only():
    exact = np.array([[0.9, 0.5]])
    assert overlap(np.array([[1, 8]]), np.array([[0.9, 0.5 * (1 - 1e-6)]]), exact, 2)[0] == 1.0
    assert overlap(np.array([[1, 8]]), np.array([[0.9, 0.4995]]), exact, 2)[0] == 0.5


def test_ten_copies_of_one_neighbour_do_not_count_as_ten():
    ids, scores = np.array([[4] * 10]), np.full((1, 10), 0.9)
    assert overlap(ids, scores, np.linspace(0.9, 0.1, 10)[None], 10)[0] == pytest.approx(0.1)


def test_padding_is_no_hit():
    ids, scores = np.array([[3, -1]]), np.array([[0.9, -np.inf]])
    assert overlap(ids, scores, np.array([[0.9, -0.2]]), 2)[0] == 0.5


@given(st.integers(0, 10_000))
def test_repeats_gaps_and_queries_without_judgements_score_as_in_pytrec_eval(seed):
    rng = np.random.default_rng(seed)
    queries = [f"q{i}" for i in range(6)]
    qrels = {
        q: {
            str(d): int(rng.integers(-1, 4))
            for d in rng.choice(30, rng.integers(0, 9), replace=False)
        }
        | ({"?gone": 2} if rng.random() < 0.3 else {})
        for q in queries
    }
    ids = rng.integers(-1, 30, (6, 20))
    run = {
        q: {str(d): 100.0 - i for i, d in enumerate(dict.fromkeys(d for d in row if d >= 0))}
        for q, row in zip(queries, ids.tolist(), strict=True)
    }
    wanted = {"ndcg_cut.1,5,10", "recall.10"}
    expected = pytrec_eval.RelevanceEvaluator(qrels, wanted).evaluate(run)
    found = relevance(ids, queries, qrels, 20)
    for column, theirs in (
        ("ndcg_at_1", "ndcg_cut_1"),
        ("ndcg_at_5", "ndcg_cut_5"),
        ("ndcg_at_10", "ndcg_cut_10"),
        ("recall_at_10", "recall_10"),
    ):
        values = [expected.get(q, {}).get(theirs, 0.0) for q in queries]
        np.testing.assert_allclose(found[column], values, atol=1e-12)


def test_what_is_shared_is_the_overlap_where_nothing_may_tie():
    rng = np.random.default_rng(5)
    queries, documents = rng.standard_normal((300, 4)), rng.standard_normal((60, 4))
    documents[30:] = documents[:30] * (1 + 1e-7)  # twins, so that the tenth place is often shared
    documents[:20] = rng.standard_normal((20, 4))
    exact = queries @ documents.T
    order = np.argsort(-exact, axis=1)
    ids = np.array([rng.permutation(row[:15])[:10] for row in order])
    ids[0] = ids[0, 0]
    ids[1, 3:] = -1
    scores = np.take_along_axis(exact, ids, axis=1)
    best = np.take_along_axis(exact, order[:, :11], axis=1)
    expected = overlap(ids, scores, best[:, :10], 10)
    tied, found = may_tie(best, 10), shared(ids, order[:, :10])
    assert 20 < tied.sum() < 280
    assert found[~tied] == pytest.approx(expected[~tied])
    assert (found[tied] != expected[tied]).any()
    assert may_tie(best[:, :10], 10).all()
    assert not may_tie(np.array([[1.0, 1 - 3 * TIE_TOLERANCE]]), 1).any()
