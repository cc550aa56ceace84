"""Later stages that read texts: fusion with BM25, and a rerank by a cross-encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from bench.encoders.cross import cross_encoder
from bench.measuring.bm25 import Bm25, texts_of
from bench.study.schema import FUSION, NOTHING, RERANK, SHORTLIST

RANK_CONSTANT = 60
"""Added to each rank before the reciprocal, as in the paper."""


class Texts:
    """Texts of a dataset and what ranks by them; each part is made when it is first needed."""

    def __init__(self, dataset: str, query_ids: Sequence[str], own: np.ndarray | None) -> None:
        """`dataset` as the study names it; `own` (q,) int64 is each query's own document or -1."""
        self._dataset, self._query_ids = dataset, query_ids
        self._own = np.full(len(query_ids), -1) if own is None else own
        self._model = cache(cross_encoder)

    @cached_property
    def _texts(self) -> tuple[list[str], list[str]]:
        return texts_of(self._dataset, self._query_ids)

    @cached_property
    def bm25(self) -> Bm25:
        """The index of words."""
        return Bm25(self._texts[0])

    def by_words(self, row: int, count: int) -> np.ndarray:
        """Return the best documents of the query at `row` by BM25, (count,) int64, -1 pads."""
        return self.bm25.top(self._texts[1][row], count, int(self._own[row]))

    def reranked(self, name: str, row: int, ids: np.ndarray) -> np.ndarray:
        """Return `ids` (s,) int64 of the query at `row` as a cross-encoder orders them."""
        documents, queries = self._texts
        scores = self._model(name)(queries[row], [documents[i] for i in ids])
        return ids[np.argsort(-scores, kind="stable")]

    def load(self, stages: Mapping[str, Any]) -> None:
        """Make what `stages` need, so that no query waits for it."""
        if stages.get(FUSION, NOTHING) != NOTHING:
            _ = self.bm25
        if stages.get(RERANK):
            _ = self._texts
            self._model(stages[RERANK])

    def finish(
        self, stages: Mapping[str, Any], shortlists: np.ndarray, rows: Sequence[int], k: int
    ) -> np.ndarray:
        """Return what texts make of the shortlists of the queries at `rows`, ids (r, k) int64.

        `shortlists` (r, ≥shortlist) int64 are best first, -1 pads. A query's own document is left
        out. Source of the fusion: Cormack, Clarke & Büttcher 2009.
        """
        found = np.full((len(rows), k), -1, dtype=np.int64)
        count = stages[SHORTLIST]
        for place, row in enumerate(rows):
            ids = shortlists[place]
            ids = ids[(ids >= 0) & (ids != self._own[row])][:count]
            if stages.get(FUSION, NOTHING) != NOTHING:
                ids = fused([ids, self.by_words(row, count)])[:count]
            if stages.get(RERANK):
                ids = self.reranked(stages[RERANK], row, ids)
            found[place, : min(k, len(ids))] = ids[:k]
        return found

    def size_bytes(self, stages: Mapping[str, Any]) -> int:
        """Return the bytes that the stages keep beside vectors: those of the index of words."""
        return self.bm25.size_bytes if stages.get(FUSION, NOTHING) != NOTHING else 0


def fused(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Return the documents of several ranked lists, best first by the sum of reciprocal ranks.

    Each list is (s,) int64, best first, -1 pads; the result is int64 without pads. Equal sums keep
    the order of the first list, then of the next. Source: Cormack, Clarke & Büttcher 2009.
    """
    kept = [ids[ids >= 0] for ids in lists]
    every = np.concatenate(kept)
    gains = np.concatenate([1.0 / (RANK_CONSTANT + 1 + np.arange(len(ids))) for ids in kept])
    documents, first, places = np.unique(every, return_index=True, return_inverse=True)
    scores = np.bincount(places, gains, len(documents))
    return np.asarray(documents[np.lexsort((first, -scores))])


def text_libraries(stages: Mapping[str, Any]) -> list[str]:
    """Return the modules that read texts in these stages."""
    words = ["bm25s"] if stages.get(FUSION, NOTHING) != NOTHING else []
    return [*words, *(["sentence_transformers"] if stages.get(RERANK) else [])]
