"""The ranks of all relevant documents per query, as the queries table keeps them."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.embeddings.sets import Embeddings


class RelevantDocuments:
    """The relevant documents of every query with their grades, those outside the corpus too."""

    def __init__(self, embeddings: Embeddings) -> None:
        """Read the judgements of `embeddings`, which must have some."""
        judged = [
            (row, document.isdigit(), grade)
            for row, query in enumerate(embeddings.query_ids)
            for document, grade in (embeddings.qrels or {})[query].items()
            if grade > 0
        ]
        self._rows, inside, self._grades = np.array(judged, dtype=np.int64).reshape(-1, 3).T
        self._inside = inside.astype(bool)
        self._n_documents = len(embeddings.corpus)
        counts = np.bincount(self._rows, minlength=len(embeddings.query_ids))
        self._ends = np.cumsum(counts).tolist()

    def columns(self, found: np.ndarray) -> dict[str, list[Any]]:
        """Return the columns of the queries table that hold ranks.

        `found` (p,) int64 are the ranks of `Embeddings.relevant_pairs`. The columns:
        ``first_relevant_rank``, ``relevant_ranks`` (ascending; one more than the documents for a
        document outside the corpus) and ``relevant_grades``, each a list with an entry per query.
        """
        nothing = self._n_documents + 1
        ranks = np.full(len(self._rows), nothing)
        ranks[self._inside] = found
        first = np.full(len(self._ends), nothing)
        np.minimum.at(first, self._rows, ranks)
        order = np.lexsort((ranks, self._rows))
        return {
            "first_relevant_rank": first.tolist(),
            "relevant_ranks": self._by_query(ranks[order]),
            "relevant_grades": self._by_query(self._grades[order]),
        }

    def _by_query(self, values: np.ndarray) -> list[list[int]]:
        """Split (p,) `values`, in the order of queries, into a list per query."""
        flat, begun = values.tolist(), [0, *self._ends[:-1]]
        return [flat[start:end] for start, end in zip(begun, self._ends, strict=True)]
