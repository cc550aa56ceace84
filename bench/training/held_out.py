"""Split training data into what training learns from and what it never sees.

Pairs, documents and passages are split by the documents they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.embeddings import Embeddings, encode_texts
from bench.exact.one_pass import exact_topk
from bench.quality.measures import overlap, relevance
from bench.quality.scorer import cosines
from bench.training.passages import passages as passages_of
from bench.vectors import normalise

HELD_OUT = 0.1
"""Share of the documents that training never sees, with their pairs and passages.

They serve for early stopping and for the comparison with truncation and PCA."""
MEASURE, OF_PASSAGES, FIDELITY = "nDCG@10", "nDCG@10 of passages", "fidelity@10"
_DEPTH = 10
_MOST = 1_000
_RUNS = 100


def held_out(n_documents: int, seed: int) -> np.ndarray:
    """Return which documents are held out of training, (n,) bool.

    Whole runs are held out: neighbouring documents often share a source, and documents that
    resemble the training data would overstate the quality.
    """
    run = np.arange(n_documents) * _RUNS // n_documents
    return np.isin(
        run, np.random.default_rng(seed).choice(_RUNS, round(HELD_OUT * _RUNS), replace=False)
    )


@dataclass(frozen=True)
class HeldOutQueries:
    """Queries held out of training, with their relevant documents."""

    measure: str
    vectors: np.ndarray
    ids: list[str]
    qrels: dict[str, dict[str, int]]


class Split:
    """Training pairs and documents, and the held-out ones.

    No training pair contains the document of a held-out pair.
    """

    def __init__(self, data: Embeddings, seed: int) -> None:
        held = held_out(len(data.corpus), seed)
        rows, documents = data.relevant_pairs()
        touched = np.zeros(len(data.queries), bool)
        touched[rows[held[documents]]] = True
        asked = np.flatnonzero(touched)[:_MOST]
        ids = [data.query_ids[i] for i in asked]
        self.corpus = data.corpus
        self.documents = np.flatnonzero(~held)
        self.queries = normalise(data.queries)
        self.rows = rows[~touched[rows]]
        self.targets = documents[~touched[rows]]
        self.held_pairs: HeldOutQueries | None = None
        if data.qrels is not None and ids:
            qrels = {query: data.qrels[query] for query in ids}
            self.held_pairs = HeldOutQueries(MEASURE, self.queries[asked], ids, qrels)
        self.held_passages: HeldOutQueries | None = None
        self.passages = np.empty((0, data.full_dim), np.float32)
        self.owners = np.empty(0, np.int64)
        self.own = np.flatnonzero(held)[:_MOST]
        self.probes = normalise(data.corpus[self.own])

    def add_passages(
        self, documents: Iterable[str], encoder: str, most: int, seed: int, alone: bool
    ) -> None:
        """Add up to `most` passages of `documents` as queries that ask for their own document.

        `alone`: they replace the pairs, and passages of held-out documents replace held-out pairs.
        """
        if alone:
            self.rows = self.targets = np.empty(0, np.int64)
        texts, owners = passages_of(documents, most, seed)
        if not texts:
            return
        vectors = normalise(encode_texts(encoder, texts, "query"))
        kept = np.isin(owners, self.documents)
        self.passages = vectors[kept]
        self.owners = owners[kept]
        if alone:
            asked = np.random.default_rng(seed).permutation(np.flatnonzero(~kept))[:_MOST]
            qrels = {str(i): {str(owners[i]): 1} for i in asked}
            self.held_passages = HeldOutQueries(OF_PASSAGES, vectors[asked], list(qrels), qrels)

    @cached_property
    def nearest(self) -> np.ndarray:
        """Exact neighbours of the held-out documents at the full dimension, (p, 10) int64."""
        full = self.corpus.shape[1]
        return exact_topk(self.probes, self.corpus, [full], _DEPTH, own=self.own)[full][0]

    def by_query(
        self,
        transform: Callable[[np.ndarray], np.ndarray],
        dimensions: Sequence[int],
        held: HeldOutQueries | None,
    ) -> dict[int, np.ndarray]:
        """Return nDCG@10 per held-out query at each dimension.

        If `held` is None, return fidelity@10 per held-out document.
        """
        if held is not None:
            found = exact_topk(held.vectors, self.corpus, dimensions, _DEPTH, transform=transform)
            return {
                d: relevance(ids, held.ids, held.qrels, _DEPTH)["ndcg_at_10"]
                for d, (ids, _) in found.items()
            }
        truth = cosines(self.probes, self.corpus, self.nearest)
        found = exact_topk(
            self.probes, self.corpus, dimensions, _DEPTH, transform=transform, own=self.own
        )
        return {
            d: overlap(ids, cosines(self.probes, self.corpus, ids), truth, _DEPTH)
            for d, (ids, _) in found.items()
        }
