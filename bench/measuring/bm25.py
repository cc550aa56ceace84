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
    data = load_dataset(job.dataset)
    if data.documents is None or data.queries is None:
        raise DataError(f"dataset '{job.dataset}' has no texts")
    texts = dict(zip(data.query_ids, data.queries, strict=True))
    emit(Ready())
    for trial_id, trial in job.trials.items():
        emit(Started(trial_id=trial_id))
        started = now()
        asked = [texts[query] for query in embeddings.query_ids]
        ids = bm25_topk(asked, data.documents, trial.k, embeddings.own)
        full = ExactResults(job.full).ids(embeddings.full_dim)
        scored = Scorer(embeddings, full, job.full.data.seed).score(ids, ids, ids)
        figures = {c: v for c, v in scored.row.items() if not c.startswith(_DENSE)}
        by_query = {c: v for c, v in scored.by_query.items() if not c.startswith(_DENSE)}
        row = {"status": "ok", "started_at": started, "caution": "", **figures}
        queries = QueryRows(query_id=embeddings.query_ids, found=ids.tolist(), **by_query)
        emit(Measured(trial_id=trial_id, row=row, queries=queries))


def bm25_topk(
    queries: Sequence[str], documents: Iterable[str], k: int, own: np.ndarray | None = None
) -> np.ndarray:
    """Return the k best documents of each query by BM25, (q, k) int64, best first, -1 pads.

    Equal scores are in the order of positions. `own` (q,) int64 is the document to leave out of
    each query's results, -1 for none.
    """
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it prints each step otherwise
    index = bm25s.BM25(**PARAMETERS)
    words = bm25s.tokenize(list(documents), stopwords="en", show_progress=False)
    index.index(words, show_progress=False)
    found = np.full((len(queries), k), -1, dtype=np.int64)
    asked = bm25s.tokenize(list(queries), stopwords="en", return_ids=False, show_progress=False)
    for row, tokens in enumerate(asked):
        known = [token for token in tokens if token in index.vocab_dict]
        if not known:
            continue
        scores = index.get_scores(known)
        if own is not None and own[row] >= 0:
            scores[own[row]] = 0
        candidates = np.flatnonzero(scores > 0)
        if len(candidates) > k:
            least = np.partition(scores[candidates], -k)[-k]
            candidates = candidates[scores[candidates] >= least]
        best = candidates[np.argsort(-scores[candidates], kind="stable")][:k]
        found[row, : len(best)] = best
    return found
