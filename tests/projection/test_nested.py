"""Quality in smaller corpora: against subsets that are drawn, and against the row itself."""

import math

import numpy as np
import pytest
from scipy import stats

from bench.exact.one_pass import exact_ranks, exact_topk
from bench.projection.nested import MEASURES, expected, hypergeometric_worth, ranks_of
from bench.quality.measures import relevance

N, QUERIES, D = 800, 30, 12


@pytest.fixture(scope="module")
def world():
    """Vectors with one to five graded relevant documents per query, one of them not in the corpus."""
    rng = np.random.default_rng(5)
    queries = rng.standard_normal((QUERIES, D)).astype(np.float32)
    corpus = rng.standard_normal((N, D)).astype(np.float32)
    qrels = {}
    for query in range(QUERIES):
        chosen = rng.choice(N, 1 + query % 5, replace=False)
        corpus[chosen] += 0.8 * queries[query]
        qrels[str(query)] = {str(d): int(1 + rng.integers(3)) for d in chosen}
    qrels["7"]["elsewhere"] = 3
    return queries, corpus, qrels


def ranked(world, dimensions):
    queries, corpus, qrels = world
    pairs = [
        (int(query), document, grade)
        for query, judged in qrels.items()
        for document, grade in judged.items()
    ]
    inside = [(q, int(d)) for q, d, _ in pairs if d.isdigit()]
    found = exact_ranks(queries, corpus, dimensions, tuple(np.array(inside).T))
    lists, grades = [], []
    for d in dimensions:
        of = dict(zip(inside, found[d].tolist(), strict=True))
        by_query = [[] for _ in qrels]
        for q, document, grade in pairs:
            rank = of[q, int(document)] if document.isdigit() else N + 1
            by_query[q].append((rank, grade))
        lists.append([r for each in by_query for r, _ in sorted(each)])
        grades.append([g for each in by_query for _, g in sorted(each)])
    total = np.array([len(judged) for judged in qrels.values()])
    return ranks_of(total, np.array(lists), np.array(grades), N)


def scored(world, d, kept=None):
    queries, corpus, qrels = world
    kept = np.arange(N) if kept is None else kept
    ids, _ = exact_topk(queries, corpus[kept], [d], 100)[d]
    ids = np.where(ids >= 0, kept[ids], -1)
    found = relevance(ids, list(qrels), qrels, 100)
    first = np.array(
        [any(str(document) in qrels[str(q)] for document in row[:10]) for q, row in enumerate(ids)]
    )
    best = np.array([str(row[0]) in qrels[str(q)] for q, row in enumerate(ids)])
    inside = np.array(
        [[str(d) in qrels[str(q)] for d in row] for q, row in enumerate(ids)], dtype=float
    )
    total = np.array([len(judged) for judged in qrels.values()])
    found |= {f"recall_at_{k}": inside[:, :k].sum(axis=1) / total for k in (20, 50)}
    return found | {"success_at_10": first.astype(float), "success_at_1": best.astype(float)}


def test_in_the_whole_corpus_it_is_the_measure_itself(world):
    ranks = ranked(world, [4, 12])
    for measure in MEASURES:
        found = expected(ranks, measure, [N, 10 * N])
        for t, d in enumerate((4, 12)):
            np.testing.assert_allclose(found[t, 0], scored(world, d)[measure], atol=1e-9)
            np.testing.assert_array_equal(found[t, 1], found[t, 0])


def test_in_smaller_ones_it_is_the_mean_over_subsets_that_are_drawn(world):
    ranks, rng, draws, n = ranked(world, [4, 12]), np.random.default_rng(0), 60, 200
    relevant = {q: [int(d) for d in judged if d.isdigit()] for q, judged in world[2].items()}
    sums = {(measure, d): np.zeros((draws, QUERIES)) for measure in MEASURES for d in (4, 12)}
    for draw in range(draws):
        # Each query keeps its own relevant documents; those of others are documents like any.
        order = rng.permutation(N)
        for query in range(QUERIES):
            own = relevant[str(query)]
            others = order[~np.isin(order, own)]
            kept = np.sort(np.concatenate([own, others[: n - len(own)]]))
            one = world[0][query : query + 1], world[1], {"0": world[2][str(query)]}
            for d in (4, 12):
                for measure, values in scored(one, d, kept).items():
                    if (measure, d) in sums:
                        sums[measure, d][draw, query] = values[0]
    for measure in MEASURES:
        found = expected(ranks, measure, [n])
        for t, d in enumerate((4, 12)):
            drawn = sums[measure, d].mean(axis=1)
            error = drawn.std(ddof=1) / math.sqrt(draws)
            assert abs(found[t, 0].mean() - drawn.mean()) < 4 * error + 1e-9, (measure, d)
            assert error < 0.02


def test_the_law_is_that_of_scipy():
    rng = np.random.default_rng(1)
    others = np.array([5, 50, 5_000, 3_000_000, 3_000_000])
    above = np.array([5, 20, 3, 40, 2_500_000])
    for _ in range(3):
        drawn = rng.integers(0, others + 1)
        place = rng.integers(0, 4, 5)
        worth = 1 / np.log2(np.arange(2, 14))
        found = hypergeometric_worth(above, place, others, drawn, worth)
        h = np.arange(len(worth))
        for i in range(5):
            chance = stats.hypergeom.pmf(h, others[i], above[i], drawn[i])
            known = sum(
                c * worth[place[i] + k] for k, c in enumerate(chance) if place[i] + k < len(worth)
            )
            assert found[i] == pytest.approx(known, rel=1e-6, abs=1e-12)


def test_a_corpus_of_the_relevant_documents_alone_ranks_them_first(world):
    ranks = ranked(world, [4])
    found = expected(ranks, "recall_at_10", [1])[0, 0]
    missing = np.array([not all(d.isdigit() for d in judged) for judged in world[2].values()])
    np.testing.assert_allclose(found[~missing], 1.0)
    assert found[missing] == pytest.approx(3 / 4)
