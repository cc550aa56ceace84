"""Equal scores: in the order of ids, whatever the block, the thread or the shard they lie in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.exact.one_pass import exact_search, exact_topk

many_ties = settings(max_examples=25, deadline=None, derandomize=True, database=None)
small = st.integers(-2, 2).map(np.float32)
widths = st.integers(1, 9)


@st.composite
def sets(draw):
    """Draw queries and documents of few small whole numbers, most documents more than once."""
    width = draw(widths)
    pool = draw(hnp.arrays(np.float32, (draw(st.integers(1, 6)), width), elements=small))
    picked = draw(hnp.arrays(np.int64, draw(st.integers(1, 60)), elements=st.integers(0, 5)))
    queries = draw(hnp.arrays(np.float32, (draw(st.integers(1, 4)), width), elements=small))
    return queries, pool[picked % len(pool)]


def reference(queries, corpus, metric):
    """Return all scores (q, n) float64, exact for whole numbers; cosines rounded to tell ties."""
    q, x = queries.astype(np.float64), corpus.astype(np.float64)
    if metric == "l2":
        return -((q[:, None] - x[None]) ** 2).sum(-1)
    products = q @ x.T
    if metric == "inner_product":
        return products
    lengths = np.sqrt(np.outer((q**2).sum(1), (x**2).sum(1)))
    return np.round(np.divide(products, lengths, where=lengths > 0, out=np.zeros_like(lengths)), 9)


def ordered(scores, k):
    """Return the ids of the k highest, equal ones in the order of ids, -1 pads."""
    found = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.pad(found, ((0, 0), (0, k - found.shape[1])), constant_values=-1)


@pytest.mark.parametrize("metric", ["inner_product", "l2", "cosine"])
@many_ties
@given(data=sets(), k=st.integers(1, 100), threads=st.integers(1, 3))
def test_equal_scores_are_in_the_order_of_ids_at_every_dimension(metric, data, k, threads):
    queries, corpus = data
    dimensions = range(1, queries.shape[1] + 1)
    found = exact_topk(queries, corpus, dimensions, k, metric, threads=threads)
    for d in dimensions:
        wanted = ordered(reference(queries[:, :d], corpus[:, :d], metric), k)
        np.testing.assert_array_equal(found[d][0], wanted)


@many_ties
@given(data=sets(), k=st.integers(1, 100), cut=st.integers(0, 80))
def test_shards_merged_by_score_and_id_are_the_whole(data, k, cut):
    queries, corpus = data
    width = queries.shape[1]
    cut = min(cut, len(corpus) - 1)
    shards = [(0, corpus[:cut]), (cut, corpus[cut:])] if cut else [(0, corpus)]
    ids, scores = [], []
    for start, shard in shards:
        found, score = exact_topk(queries, shard, [width], k, "inner_product")[width]
        ids.append(np.where(found < 0, found, found + start))
        scores.append(score)
    ids, scores = np.hstack(ids), np.hstack(scores)
    # Pads come last; their score is the lowest there is.
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    whole, best = exact_topk(queries, corpus, [width], k, "inner_product")[width]
    np.testing.assert_array_equal(np.take_along_axis(ids, order, axis=1), whole)
    np.testing.assert_array_equal(np.take_along_axis(scores, order, axis=1), best)


@many_ties
@given(data=sets(), draw=st.data())
def test_a_rank_counts_those_before_in_that_order(data, draw):
    queries, corpus = data
    width = queries.shape[1]
    document = draw.draw(st.integers(0, len(corpus) - 1))
    pairs = np.arange(len(queries)), np.full(len(queries), document)
    found = exact_search(queries, corpus, [width], 1, "inner_product", relevant=pairs)
    order = ordered(reference(queries, corpus, "inner_product"), len(corpus))
    wanted = 1 + np.argmax(order == document, axis=1)
    np.testing.assert_array_equal(found.relevant[width][1], wanted)
