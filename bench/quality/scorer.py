"""Quality figures of one trial's results, against exact search at the full dimension."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.embeddings.sets import Embeddings
from bench.quality.intervals import Bootstrap
from bench.quality.measures import MEASURES, Judgements, may_tie, overlap, relevance, shared
from bench.vectors import normalise

DEPTH = 10
"""Depth of ANN recall and fidelity, as in the names of their columns."""
_KEPT = ("ndcg_at_10", "recall_at_10", "fidelity_at_10", "ann_recall_at_10")
"""Columns of the queries table."""
_NDCG = ("ndcg_at_10",)
_ALL = (1.0, 1.0, 1.0)
"""A share that is 1 by definition, not by luck."""


@dataclass(frozen=True)
class Scored:
    """Quality of one trial's results."""

    row: dict[str, float]
    """Columns of the trials table."""
    by_query: dict[str, Any]
    """Columns of the queries table, as lists."""


class Scorer:
    """Scores results against the judgements and against exact search at the full dimension."""

    def __init__(
        self,
        embeddings: Embeddings,
        full_ids: np.ndarray,
        seed: int,
        full_vectors: np.ndarray | None = None,
        full_queries: np.ndarray | None = None,
    ) -> None:
        """Score the full dimension, which every trial is compared with.

        `full_ids` (q, depth) int64 are exact results at the full dimension. `full_vectors` (n, D)
        and `full_queries` (q, D) float32 of unit length save work if the caller has them already.
        """
        self.embeddings = embeddings
        self.bootstrap = Bootstrap(len(embeddings.query_ids), seed, groups=embeddings.groups)
        self.full_vectors = embeddings.corpus if full_vectors is None else full_vectors
        self.full_queries = normalise(embeddings.queries) if full_queries is None else full_queries
        self.full_ids = full_ids
        qrels = embeddings.qrels
        self.judgements = None if qrels is None else Judgements(embeddings.query_ids, qrels)
        self.full_ndcg = self._relevance(self.full_ids[:, :DEPTH], _NDCG).get("ndcg_at_10")
        nearest = cosines(self.full_queries, self.full_vectors, self.full_ids[:, : DEPTH + 1])
        self.nearest = nearest[:, :DEPTH]
        self.tied = may_tie(nearest, DEPTH)

    def score(
        self,
        ids: np.ndarray,
        exact_ids: np.ndarray,
        precise_ids: np.ndarray | None,
        ann_recall: np.ndarray | None = None,
        is_full: bool = False,
        is_exact: bool = False,
        reads_texts: bool = False,
    ) -> Scored:
        """Score results (q, k) int64.

        The loss is split using two exhaustive searches with the same reducer, dimension and stages:
        `exact_ids` in float32, `precise_ids` at the trial's precision (None if unavailable).
        `ann_recall` (q,) float64 is the trial's recall per query, if it is known. `is_full`: the
        results are those that everything is compared with, so they keep all by definition.
        `is_exact`: the search compares every vector, so its recall is 1 by definition.
        `reads_texts`: what vectors lose is not split, since words make up for some of it.
        """
        row: dict[str, float] = {}
        values = self._relevance(ids)
        judged = list(values)
        if ids.shape[1] >= DEPTH and self.full_ids.shape[1] >= DEPTH:
            values["fidelity_at_10"] = self._fidelity(ids, np.arange(len(ids)))
        if ann_recall is not None:
            values["ann_recall_at_10"] = ann_recall
        if not values:
            return Scored(row, {})
        resampled = self.bootstrap.resampled(np.array([*values.values()]))
        for name, figures in zip(values, resampled.means(), strict=True):
            certain = is_exact if name == "ann_recall_at_10" else is_full and name not in judged
            row |= _with_interval(name, _ALL if certain else figures)
            if name not in judged:
                row |= _worst(name, values[name])
        if self.full_ndcg is not None and "ndcg_at_10" in judged:
            ratio = resampled.ratio(judged.index("ndcg_at_10"), self.full_ndcg)
            row |= _with_interval("retained_ndcg_at_10", _ALL if is_full else ratio)
            if not reads_texts:
                row |= self._losses(values["ndcg_at_10"], ids, exact_ids, precise_ids)
        by_query = {name: values[name] for name in _KEPT if name in values}
        return Scored(row, {name: values.tolist() for name, values in by_query.items()})

    def _losses(
        self,
        ndcg: np.ndarray,
        ids: np.ndarray,
        exact_ids: np.ndarray,
        precise_ids: np.ndarray | None,
    ) -> dict[str, float]:
        """Return the columns of the loss of results with this nDCG, (q,) float64."""
        assert self.full_ndcg is not None
        # The exact pass scores its own results: they are not looked up twice.
        same = exact_ids.shape == ids.shape and np.array_equal(exact_ids, ids)
        exact_ndcg = float(ndcg.mean()) if same else self.mean_ndcg(exact_ids)
        precise_ndcg = exact_ndcg
        if precise_ids is not exact_ids:
            precise_ndcg = math.nan if precise_ids is None else self.mean_ndcg(precise_ids)
        return {
            "loss_dimension": float(self.full_ndcg.mean()) - exact_ndcg,
            "loss_precision": exact_ndcg - precise_ndcg,
            "loss_search": precise_ndcg - float(ndcg.mean()),
        }

    def mean_ndcg(self, ids: np.ndarray) -> float:
        """Return the mean nDCG@10 of results (q, ≥10)."""
        return float(self._relevance(ids[:, :DEPTH], _NDCG)["ndcg_at_10"].mean())

    def by_query(self, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the quality of the queries at `rows` with results (r, k), (r,) float64.

        nDCG@10 of each query, or fidelity@10 if there are no judgements.
        """
        if self.embeddings.qrels is not None:
            query_ids = [self.embeddings.query_ids[i] for i in rows]
            qrels = self.embeddings.qrels
            return relevance(ids, query_ids, qrels, ids.shape[1], _NDCG)["ndcg_at_10"]
        return self._fidelity(ids, rows)

    def _fidelity(self, ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return fidelity@10 of the queries at `rows` with results (r, ≥10), (r,) float64."""
        found = shared(ids[:, :DEPTH], self.full_ids[rows, :DEPTH])
        tied = np.flatnonzero(self.tied[rows])
        if len(tied):
            queries = self.full_queries[rows[tied]]
            scores = cosines(queries, self.full_vectors, ids[tied, :DEPTH])
            found[tied] = overlap(ids[tied], scores, self.nearest[rows[tied]], DEPTH)
        return found

    def _relevance(
        self, ids: np.ndarray, measures: Collection[str] = MEASURES.keys()
    ) -> dict[str, np.ndarray]:
        if self.judgements is None or ids.shape[1] < min(MEASURES.values()):
            return {}
        return self.judgements.relevance(ids, ids.shape[1], measures)


def cosines(queries: np.ndarray, vectors: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the cosine of each query with its results `ids` (q, k), float32; -inf for padding."""
    scores = np.empty(ids.shape, dtype=np.float32)
    for start in range(0, len(ids), 256):
        rows = slice(start, start + 256)
        gathered = np.asarray(vectors[ids[rows].ravel()], dtype=np.float32)
        lengths = np.sqrt(np.einsum("id,id->i", gathered, gathered))
        lengths[lengths == 0] = 1.0
        gathered = gathered.reshape(*ids[rows].shape, -1)
        products = np.einsum("qd,qkd->qk", queries[rows], gathered)
        scores[rows] = products / lengths.reshape(products.shape)
    scores[ids < 0] = -np.inf
    return scores


def _with_interval(name: str, figures: tuple[float, float, float]) -> dict[str, float]:
    return dict(zip((name, f"{name}_low", f"{name}_high"), figures, strict=True))


def _worst(name: str, values: np.ndarray) -> dict[str, float]:
    """Return the 5th percentile of (q,) `values` and the mean of their worst tenth."""
    worst = np.sort(values)[: max(1, round(len(values) / 10))]
    return {
        f"{name}_worst_tenth": float(worst.mean()),
        f"{name}_p5": float(np.percentile(values, 5)),
    }
