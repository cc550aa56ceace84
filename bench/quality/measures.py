"""Quality of a search per query: relevance, and agreement with exact search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

Qrels = Mapping[str, Mapping[str, int]]

MEASURES = {
    "ndcg_at_1": 1,
    "ndcg_at_5": 5,
    "ndcg_at_10": 10,
    "ndcg_at_100": 100,
    "recall_at_10": 10,
    "recall_at_100": 100,
    "mrr_at_10": 10,
    "map_at_100": 100,
}
"""Column → number of results that it needs."""
_PAIRS = 65_536
"""Relevant pairs that are looked for at once."""

TIE_TOLERANCE = 1e-5
"""Relative tolerance: float32 sums in another order can differ by this much."""


class Judgements:
    """Graded judgements as arrays, so that many results of the same queries are scored fast."""

    def __init__(self, query_ids: Sequence[str], qrels: Qrels) -> None:
        """`qrels` names documents by ``str(position)``; others are outside the corpus."""
        pairs = [
            (row, int(document) if document.isdigit() else _OUTSIDE, grade)
            for row, query in enumerate(query_ids)
            for document, grade in qrels[query].items()
            if grade > 0
        ]
        self._rows, self._documents, grades = np.array(pairs, dtype=np.int64).reshape(-1, 3).T
        self._gains = grades.astype(float)
        self._n = len(query_ids)
        self._counts = np.bincount(self._rows, minlength=self._n)
        best = np.lexsort((-self._gains, self._rows))
        places = np.arange(len(best)) - np.repeat(np.cumsum(self._counts), self._counts)
        self._ideal_ranks = places + self._counts[self._rows[best]] + 1
        self._ideal_gains = self._gains[best]

    def relevance(
        self, ids: np.ndarray, depth: int, measures: Collection[str] = MEASURES.keys()
    ) -> dict[str, np.ndarray]:
        """Score results as `relevance` does."""
        wanted = {
            name: needed
            for name, needed in MEASURES.items()
            if needed <= depth and name in measures
        }
        ranks = self._ranks(_distinct(ids)) if wanted else np.empty(0)
        return {
            name: _SCORES[name.partition("_")[0]](self, ranks, needed)
            for name, needed in wanted.items()
        }

    def _ranks(self, ids: np.ndarray) -> np.ndarray:
        """Return the rank of each relevant pair's document, (p,) float64; infinite if not found."""
        ranks = np.full(len(self._rows), np.inf)
        for start in range(0, len(ranks), _PAIRS):
            part = slice(start, start + _PAIRS)
            same = ids[self._rows[part]] == self._documents[part, None]
            found = same.any(axis=1)
            ranks[part][found] = same[found].argmax(axis=1) + 1
        return ranks

    def _summed(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.bincount(self._rows, values, minlength=self._n))

    def _ndcg(self, ranks: np.ndarray, depth: int) -> np.ndarray:
        within, ideal = ranks <= depth, self._ideal_ranks <= depth
        gained = self._summed(np.where(within, self._gains / np.log2(ranks + 1), 0))
        best = self._summed(np.where(ideal, self._ideal_gains / np.log2(self._ideal_ranks + 1), 0))
        return _divided(gained, best)

    def _recall(self, ranks: np.ndarray, depth: int) -> np.ndarray:
        return _divided(self._summed(ranks <= depth), self._counts)

    def _mrr(self, ranks: np.ndarray, depth: int) -> np.ndarray:
        first = np.full(self._n, np.inf)
        np.minimum.at(first, self._rows, ranks)
        return np.where(first <= depth, 1 / first, 0.0)

    def _map(self, ranks: np.ndarray, depth: int) -> np.ndarray:
        order = np.lexsort((ranks, self._rows))
        starts = np.repeat(np.cumsum(self._counts) - self._counts, self._counts)
        precision = (np.arange(len(order)) - starts + 1) / ranks[order]
        total = self._summed(np.where(ranks[order] <= depth, precision, 0))
        return _divided(total, self._counts)


_OUTSIDE = -2
"""Position of a judged document outside the corpus: no result has it."""
_SCORES = {
    "ndcg": Judgements._ndcg,
    "recall": Judgements._recall,
    "mrr": Judgements._mrr,
    "map": Judgements._map,
}


def _divided(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Return values / by, 0 where `by` is 0."""
    return np.asarray(np.divide(values, by, out=np.zeros(len(values)), where=by > 0))


def _distinct(ids: np.ndarray) -> np.ndarray:
    """Return the results without padding and repeats before other results, (q, k) int64."""
    ordered = np.sort(ids, axis=1)
    repeated = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
    gaps = ((ids[:, :-1] < 0) & (ids[:, 1:] >= 0)).any(axis=1)
    mended = ids
    for row in np.flatnonzero(repeated | gaps):
        mended = ids.copy() if mended is ids else mended
        kept = list(dict.fromkeys(i for i in ids[row].tolist() if i >= 0))
        mended[row] = kept + [-1] * (ids.shape[1] - len(kept))
    return mended


def relevance(
    ids: np.ndarray,
    query_ids: Sequence[str],
    qrels: Qrels,
    depth: int,
    measures: Collection[str] = MEASURES.keys(),
) -> dict[str, np.ndarray]:
    """Score each query's results against graded judgements.

    `ids` (q, k) int64, best first, -1 pads; `qrels` names documents by ``str(position)``. `depth`
    is the number of results requested. Returns (q,) float64 for each of `measures` that needs no
    more than that. The order of `ids` is the ranking, ties included. A document returned twice
    counts once, at its first place. Source: trec_eval's definitions, to which the tests hold them
    (reciprocal rank at a cut-off: MS MARCO's scorer). Python's bindings take a dictionary per
    result, 200 times as long.
    """
    return Judgements(query_ids, qrels).relevance(ids, depth, measures)


def overlap(
    ids: np.ndarray, scores: np.ndarray, exact_scores: np.ndarray, depth: int
) -> np.ndarray:
    """Return the share of the `depth` nearest neighbours that were found, per query, (q,) float64.

    `ids` (q, ≥ depth) int64 as returned; `scores` (q, ≥ depth) the exact score of each;
    `exact_scores` (q, ≥ depth) those of the true neighbours, best first. A result counts if it is
    as near as the last true neighbour, within a relative tolerance. An id counts once. Source:
    ann-benchmarks' distance-based recall, without its absolute tolerance and double counting.
    """
    ids, scores = ids[:, :depth], scores[:, :depth]
    within = min(depth, exact_scores.shape[1])
    last = exact_scores[:, within - 1 : within]
    hits = (ids >= 0) & (scores >= last - TIE_TOLERANCE * np.abs(last))
    order = np.argsort(ids, axis=1, kind="stable")
    sorted_ids = np.take_along_axis(ids, order, axis=1)
    repeated = np.zeros_like(hits)
    np.put_along_axis(repeated, order[:, 1:], sorted_ids[:, 1:] == sorted_ids[:, :-1], axis=1)
    return np.asarray((hits & ~repeated).sum(axis=1) / within)


def may_tie(exact_scores: np.ndarray, depth: int) -> np.ndarray:
    """Return where other documents than the `depth` nearest may count in `overlap`, (q,) bool.

    `exact_scores` (q, > depth), best first. If they go no deeper, that is everywhere.
    """
    if exact_scores.shape[1] <= depth:
        return np.ones(len(exact_scores), bool)
    last = exact_scores[:, depth - 1]
    return np.asarray(exact_scores[:, depth] >= last - 2 * TIE_TOLERANCE * np.abs(last))


def shared(ids: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return the share of `neighbours` (q, k) that is among `ids` (q, m), per query, (q,) float64.

    Where `may_tie` is false this is `overlap`, without a look at any vector.
    """
    among = (neighbours[:, :, None] == ids[:, None, :]).any(axis=2) & (neighbours >= 0)
    return np.asarray(among.mean(axis=1))
