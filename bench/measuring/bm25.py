"""BM25, the ranking by words that every text study has as a row to compare vectors with.

Without a stemmer, with English stop words left out and the library's own parameters. Documents
that share no word with a query are not found. Source: Robertson & Zaragoza 2009; Lù, BM25S, 2024.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from bench.datasets import load_dataset
from bench.errors import DataError
from bench.measuring.jobs import Bm25Job, Emit, Measured, QueryRows, Ready, Started, now
from bench.measuring.prepared import ExactResults, opened
from bench.quality.scorer import Scorer

PARAMETERS: dict[str, Any] = {"method": "lucene", "k1": 1.5, "b": 0.75}
"""As the library documents them."""
_DENSE = ("loss_", "fidelity_")
"""Beginnings of columns that describe a search in vectors."""


def run_bm25(job: Bm25Job, emit: Emit) -> None:
    """Index the texts, search them with every query, emit one row at full depth."""
    embeddings = opened(job.full.data)
    documents, asked = texts_of(job.full.data.dataset, embeddings.query_ids)
    emit(Ready())
    for trial_id, trial in job.trials.items():
        emit(Started(trial_id=trial_id))
        started = now()
        ids = bm25_topk(asked, documents, trial.k, embeddings.own)
        full = ExactResults(job.full).ids(embeddings.full_dim)
        scored = Scorer(embeddings, full, job.full.data.seed).score(ids, ids, ids)
        figures = {c: v for c, v in scored.row.items() if not c.startswith(_DENSE)}
        by_query = {c: v for c, v in scored.by_query.items() if not c.startswith(_DENSE)}
        row = {"status": "ok", "started_at": started, "caution": "", **figures}
        queries = QueryRows(query_id=embeddings.query_ids, found=ids.tolist(), **by_query)
        emit(Measured(trial_id=trial_id, row=row, queries=queries))


def texts_of(dataset: str, query_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the documents and the queries of these ids of a dataset, as the study names it.

    Raises DataError for ready vectors.
    """
    data = load_dataset(dataset)
    if data.documents is None or data.queries is None:
        raise DataError(f"dataset '{dataset}' has no texts")
    texts = dict(zip(data.query_ids, data.queries, strict=True))
    return list(data.documents), [texts[query] for query in query_ids]


def bm25_topk(
    queries: Sequence[str], documents: Iterable[str], k: int, own: np.ndarray | None = None
) -> np.ndarray:
    """Return the k best documents of each query by BM25, (q, k) int64, best first, -1 pads.

    Equal scores are in the order of positions. `own` (q,) int64 is the document to leave out of
    each query's results, -1 for none.
    """
    index = Bm25(documents)
    left_out = np.full(len(queries), -1) if own is None else own
    found = [index.top(text, k, int(mine)) for text, mine in zip(queries, left_out, strict=True)]
    return np.array(found, dtype=np.int64).reshape(len(queries), k)


class Bm25:
    """An index of words over documents."""

    def __init__(self, documents: Iterable[str]) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # it prints each step otherwise
        self._library = bm25s
        self._index = bm25s.BM25(**PARAMETERS)
        words = bm25s.tokenize(list(documents), stopwords="en", show_progress=False)
        self._index.index(words, show_progress=False)

    @property
    def size_bytes(self) -> int:
        """Bytes of the postings and of the words, without what Python adds."""
        postings = (part.nbytes for part in self._index.scores.values() if hasattr(part, "nbytes"))
        return int(sum(postings)) + sum(len(word.encode()) for word in self._index.vocab_dict)

    def top(self, query: str, k: int, own: int = -1) -> np.ndarray:
        """Return the k best documents of a query, (k,) int64, best first, -1 pads.

        Equal scores are in the order of positions. `own` is a document to leave out, -1 for none.
        """
        tokens = self._library.tokenize(
            [query], stopwords="en", return_ids=False, show_progress=False
        )[0]
        found = np.full(k, -1, dtype=np.int64)
        known = [token for token in tokens if token in self._index.vocab_dict]
        if not known:
            return found
        scores = self._index.get_scores(known)
        if own >= 0:
            scores[own] = 0
        candidates = np.flatnonzero(scores > 0)
        if len(candidates) > k:
            least = np.partition(scores[candidates], -k)[-k]
            candidates = candidates[scores[candidates] >= least]
        best = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        found[: len(best)] = best
        return found
