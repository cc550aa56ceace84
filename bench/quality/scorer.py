"""Quality figures of one trial's results, against exact search at the full dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.embeddings import Embeddings
from bench.quality.intervals import Bootstrap
from bench.quality.measures import MEASURES, overlap, relevance
from bench.vectors import normalise

DEPTH = 10
"""Depth of ANN recall and fidelity, as their columns' names say."""


class Scorer:
    """Quality figures of results, against exact search at the full dimension."""

    def __init__(
        self,
        embeddings: Embeddings,
        seed: int,
        exact_full: str,
        full_vectors: np.ndarray | None = None,
        full_queries: np.ndarray | None = None,
    ) -> None:
        """`exact_full` is the file of exact results at the full dimension; `full_vectors` (n, D) and `full_queries` (q, D),
        unit length, where the caller holds them already.
        """
        self.embeddings = embeddings
        self.bootstrap = Bootstrap(len(embeddings.query_ids), seed)
        self.full_vectors = embeddings.corpus if full_vectors is None else full_vectors
        self.full_queries = normalise(embeddings.queries) if full_queries is None else full_queries
        self.full_ids = np.load(exact_full)[f"ids_{embeddings.full_dim}"]
        self.full_ndcg = self._relevance(self.full_ids[:, :DEPTH]).get("ndcg_at_10")
        self.nearest = self._full_scores(self.full_ids[:, :DEPTH])

    def score(
        self, ids: np.ndarray, exact_ids: np.ndarray, precise_ids: np.ndarray | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return a row's quality columns and its queries' columns, `found` the results themselves; `ids` (q, k) int64.

        The losses are told apart by what exhaustive search with the same reducer, dimension and stages finds: `exact_ids` in
        float32, `precise_ids` at the trial's precision, None where no exhaustive search knows it.
        """
        row: dict[str, Any] = {}
        depth = ids.shape[1]
        by_query = self._relevance(ids)
        for name, values in by_query.items():
            row |= _with_interval(name, self.bootstrap.mean(values))
        if self.full_ndcg is not None and "ndcg_at_10" in by_query:
            ndcg = by_query["ndcg_at_10"]
            exact_ndcg = self.mean_ndcg(exact_ids)
            precise_ndcg = float("nan") if precise_ids is None else self.mean_ndcg(precise_ids)
            row |= _with_interval("retained_ndcg_at_10", self.bootstrap.ratio(ndcg, self.full_ndcg))
            row |= {
                "loss_dimension": float(self.full_ndcg.mean()) - exact_ndcg,
                "loss_precision": exact_ndcg - precise_ndcg,
                "loss_search": precise_ndcg - float(ndcg.mean()),
            }
        fidelity = None
        if depth >= DEPTH and self.full_ids.shape[1] >= DEPTH:
            fidelity = overlap(ids, self._full_scores(ids[:, :DEPTH]), self.nearest, DEPTH)
            row |= _with_interval("fidelity_at_10", self.bootstrap.mean(fidelity))
        none = [None] * len(ids)
        return row, {
            "query_id": list(self.embeddings.query_ids),
            "found": ids.tolist(),
            "ndcg_at_10": by_query["ndcg_at_10"].tolist() if "ndcg_at_10" in by_query else none,
            "recall_at_10": by_query["recall_at_10"].tolist()
            if "recall_at_10" in by_query
            else none,
            "first_relevant_rank": none,
            "fidelity_at_10": none if fidelity is None else fidelity.tolist(),
            "latency_ms": none,
        }

    def mean_ndcg(self, ids: np.ndarray) -> float:
        """Return the mean nDCG@10 of results (q, ≥10)."""
        return float(self._relevance(ids[:, :DEPTH])["ndcg_at_10"].mean())

    def by_query(self, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return what halving compares configurations by, for the queries at `rows` and their results (r, k): nDCG@10 of
        each, or fidelity@10 where there are no judgements."""
        if self.embeddings.qrels is not None:
            query_ids = [self.embeddings.query_ids[i] for i in rows]
            return relevance(ids, query_ids, self.embeddings.qrels, ids.shape[1])["ndcg_at_10"]
        scores = cosines(self.full_queries[rows], self.full_vectors, ids[:, :DEPTH])
        return overlap(ids, scores, self.nearest[rows], DEPTH)

    def _relevance(self, ids: np.ndarray) -> dict[str, np.ndarray]:
        if self.embeddings.qrels is None or ids.shape[1] < min(MEASURES.values()):
            return {}
        return relevance(ids, self.embeddings.query_ids, self.embeddings.qrels, ids.shape[1])

    def _full_scores(self, ids: np.ndarray) -> np.ndarray:
        return cosines(self.full_queries, self.full_vectors, ids)


def cosines(queries: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the cosine of each query with each of its results, (q, k) float32; -inf for a padded place."""
    scores = np.empty(ids.shape, dtype=np.float32)
    for start in range(0, len(ids), 256):
        rows = slice(start, start + 256)
        gathered = normalise(vectors[ids[rows].ravel()]).reshape(*ids[rows].shape, -1)
        scores[rows] = np.einsum("qd,qkd->qk", queries[rows], gathered)
    scores[ids < 0] = -np.inf
    return scores


def _with_interval(name: str, figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), figures, strict=True))
