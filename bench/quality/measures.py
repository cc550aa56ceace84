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
_IR_MEASURES = {"ndcg": "nDCG", "recall": "R", "mrr": "RR", "map": "AP"}

TIE_TOLERANCE = 1e-5
"""Relative tolerance: float32 sums in another order can differ by this much."""


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
    counts once, at its first place. Source: pytrec_eval through ir-measures (reciprocal rank at a
    cut-off: MS MARCO's scorer).
    """
    import ir_measures

    columns = {
        ir_measures.parse_measure(f"{_IR_MEASURES[name.partition('_')[0]]}@{needed}"): name
        for name, needed in MEASURES.items()
        if needed <= depth and name in measures
    }
    scores = {name: np.zeros(len(query_ids)) for name in columns.values()}
    if not columns:
        return scores
    run = {}
    for query, row in zip(query_ids, ids.tolist(), strict=True):
        distinct = dict.fromkeys(position for position in row if position >= 0)
        run[query] = {
            str(position): float(len(row) - rank) for rank, position in enumerate(distinct)
        }
    row_of = {query: row for row, query in enumerate(query_ids)}
    judged = {query: dict(qrels[query]) for query in query_ids}
    for metric in ir_measures.evaluator(list(columns), judged).iter_calc(run):
        scores[columns[metric.measure]][row_of[metric.query_id]] = metric.value
    return scores


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
