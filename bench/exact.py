"""Exact search at every prefix length in one pass over the corpus.

For prefixes d₁ < d₂ the inner product and the squared lengths over d₂ coordinates are those over d₁ plus the part between:
so the blocks of one pass give the scores at all dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

_BLOCK = 4_096
_SPARE = 16
"""Candidates beyond k that are kept until near-ties are settled."""
_NEAR = 1e-5
"""Relative: scores closer than this are summed again in double precision."""


def exact_topk(
    queries: np.ndarray,
    corpus: np.ndarray,
    dimensions: Sequence[int],
    k: int,
    metric: str = "cosine",
    *,
    transform: Callable[[np.ndarray], np.ndarray] | None = None,
    own: np.ndarray | None = None,
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the k nearest documents of each query, at each of `dimensions`.

    `queries` (q, D), `corpus` (n, D) of any float dtype, the corpus possibly a memory map: it is read in blocks.
    `metric` is ``"cosine"``, ``"inner_product"`` or ``"l2"`` (squared, given negated so that the highest is the nearest).
    `transform` maps a block (rows, D) → (rows, D) before its prefixes are taken (a rotation, a permutation).
    `own` (q,) int64 is the document left out of each query's results, -1 for none.
    Returns {dimension: (ids (q, k) int64 best first, scores (q, k) float32)}; equal scores in the order of ids; where the
    corpus holds fewer than k, -1 and -inf pad. A zero-length prefix has cosine 0 with everything.
    Raises ValueError for a dimension outside 1…D, k < 1, widths that differ, or an unknown metric.
    """
    full = queries.shape[1]
    if corpus.shape[1] != full:
        raise ValueError(f"queries have {full} dimensions, the corpus {corpus.shape[1]}")
    if bad := [d for d in dimensions if not 1 <= d <= full]:
        raise ValueError(f"dimension {bad[0]} is outside 1…{full}")
    if k < 1:
        raise ValueError(f"k = {k} must be at least 1")
    if metric not in ("cosine", "inner_product", "l2"):
        raise ValueError(f"metric '{metric}' is none of cosine, inner_product, l2")
    steps = sorted(set(dimensions))
    convert = transform or (lambda vectors: vectors)
    asked = np.ascontiguousarray(convert(np.asarray(queries, dtype=np.float32)), dtype=np.float32)
    best = {d: _Best(len(asked), k + _SPARE) for d in steps}
    for start in range(0, len(corpus), _BLOCK):
        block = np.ascontiguousarray(convert(np.asarray(corpus[start : start + _BLOCK], dtype=np.float32)), np.float32)
        products = np.zeros((len(asked), len(block)), dtype=np.float32)
        squares, query_squares = np.zeros(len(block), np.float32), np.zeros(len(asked), np.float32)
        previous = 0
        for d in steps:
            part, query_part = block[:, previous:d], asked[:, previous:d]
            products += query_part @ part.T
            squares += np.einsum("ij,ij->i", part, part)
            query_squares += np.einsum("ij,ij->i", query_part, query_part)
            previous = d
            scores = _scores(metric, products, squares, query_squares)
            if own is not None:
                inside = (own >= start) & (own < start + len(block))
                scores[np.flatnonzero(inside), own[inside] - start] = -np.inf
            best[d].update(scores, start)

    def score(pairs: np.ndarray, ids: np.ndarray, d: int) -> np.ndarray:
        order = np.argsort(ids)  # a memory map is read from front to back
        documents = np.empty((len(ids), full), np.float32)
        documents[order] = convert(np.asarray(corpus[ids[order]], dtype=np.float32))
        return _pair_scores(metric, asked[pairs, :d], documents[:, :d])

    for d in steps:
        lengths = np.einsum("ij,ij->i", asked[:, :d], asked[:, :d])[:, None] if metric == "l2" else 0.0
        best[d].settle(partial(score, d=d), lengths)
    return {d: (best[d].ids[:, :k], best[d].scores[:, :k]) for d in steps}


def _scores(metric: str, products: np.ndarray, squares: np.ndarray, query_squares: np.ndarray) -> np.ndarray:
    if metric == "inner_product":
        return products.copy()
    if metric == "l2":
        return 2 * products - squares - query_squares[:, None]
    return products * _inverse_length(squares) * _inverse_length(query_squares)[:, None]


def _pair_scores(metric: str, queries: np.ndarray, documents: np.ndarray) -> np.ndarray:
    products, squares, query_squares = (
        np.einsum("ij,ij->i", a.astype(np.float64), b.astype(np.float64))
        for a, b in ((queries, documents), (documents, documents), (queries, queries))
    )
    if metric == "inner_product":
        return products
    if metric == "l2":
        return 2 * products - squares - query_squares
    return products * _inverse_length(squares) * _inverse_length(query_squares)


def _inverse_length(squares: np.ndarray) -> np.ndarray:
    return np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=squares > 0)


class _Best:
    """The k best of each query so far, equal scores in the order of ids."""

    def __init__(self, n_queries: int, k: int) -> None:
        self.k = k
        self.ids = np.full((n_queries, k), -1, dtype=np.int64)
        self.scores = np.full((n_queries, k), -np.inf, dtype=np.float32)

    def update(self, scores: np.ndarray, start: int) -> None:
        """Take in (q, rows) scores of the documents from `start` on."""
        bar = self.scores[:, -1:]
        if scores.shape[1] > self.k:
            bar = np.maximum(bar, np.partition(scores, -self.k, axis=1)[:, -self.k : -self.k + 1 or None])
        # Documents come in the order of ids, so one that only equals the k-th best so far would rank behind it.
        rows, columns = np.nonzero((scores >= bar) & (scores > self.scores[:, -1:]))
        all_rows = np.concatenate([np.repeat(np.arange(len(scores)), self.k), rows])
        all_ids = np.concatenate([self.ids.ravel(), columns + start])
        all_scores = np.concatenate([self.scores.ravel(), scores[rows, columns]])
        order = np.lexsort((np.where(all_ids < 0, np.iinfo(np.int64).max, all_ids), -all_scores, all_rows))
        counts = np.bincount(all_rows, minlength=len(scores))
        first = np.concatenate([[0], np.cumsum(counts)[:-1]])
        kept = order[first[:, None] + np.arange(self.k)]
        self.ids, self.scores = all_ids[kept], all_scores[kept]

    def settle(self, score: Callable[[np.ndarray, np.ndarray], np.ndarray], magnitude: np.ndarray | float) -> None:
        """Put near-ties in their true order: single precision depends on where in a block a document stood.

        `score` gives the double-precision scores of (query positions, ids). Equal scores come in the order of ids.
        `magnitude`, (q, 1), is that of the terms that cancel in a score, where it is more than the score itself.
        """
        with np.errstate(invalid="ignore"):
            near = self.scores[:, :-1] - self.scores[:, 1:] <= _NEAR * (np.abs(self.scores[:, :-1]) + magnitude)
        near &= self.ids[:, 1:] >= 0
        involved = np.pad(near, ((0, 0), (0, 1))) | np.pad(near, ((0, 0), (1, 0)))
        queries, columns = np.nonzero(involved)
        for start in range(0, len(queries), _BLOCK):
            at = queries[start : start + _BLOCK], columns[start : start + _BLOCK]
            self.scores[at] = score(at[0], self.ids[at])
        order = np.lexsort((np.where(self.ids < 0, np.iinfo(np.int64).max, self.ids), -self.scores), axis=1)
        self.ids = np.take_along_axis(self.ids, order, axis=1)
        self.scores = np.take_along_axis(self.scores, order, axis=1)
