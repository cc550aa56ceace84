"""What training learns from and what it never sees: pairs, documents and passages, split by the documents they belong to."""

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
"""Share of the training pairs (or documents) that training never sees: early stopping and the guard read them."""
MEASURE, OF_PASSAGES, FIDELITY = "nDCG@10", "nDCG@10 of passages", "fidelity@10"
_DEPTH = 10
_MOST = 1_000
_RUNS = 100


def held_out(n_documents: int, seed: int) -> np.ndarray:
    """Return which documents are held out of training, (n,) bool.

    Documents next to each other often have one source, and what resembles the training data says little: so whole runs.
    """
    run = np.arange(n_documents) * _RUNS // n_documents
    return np.isin(
        run, np.random.default_rng(seed).choice(_RUNS, round(HELD_OUT * _RUNS), replace=False)
    )


@dataclass(frozen=True)
class Asked:
    """Queries held out of training, and what is relevant to each."""

    measure: str
    vectors: np.ndarray
    ids: list[str]
    qrels: dict[str, dict[str, int]]


class Split:
    """Training pairs and documents, and those held out; a held-out pair's document is in no training pair."""

    def __init__(self, data: Embeddings, seed: int) -> None:
        self.corpus = data.corpus
        held = held_out(len(data.corpus), seed)
        self.documents = np.flatnonzero(~held)
        rows, documents = data.relevant_pairs()
        self.queries = normalise(data.queries)
        touched = np.zeros(len(data.queries), bool)
        touched[rows[held[documents]]] = True
        self.rows, self.targets = rows[~touched[rows]], documents[~touched[rows]]
        asked = np.flatnonzero(touched)[:_MOST]
        ids = [data.query_ids[i] for i in asked]
        self.held_pairs = (
            Asked(MEASURE, self.queries[asked], ids, {query: data.qrels[query] for query in ids})
            if data.qrels is not None and ids
            else None
        )
        self.held_passages: Asked | None = None
        self.passages, self.owners = np.empty((0, data.full_dim), np.float32), np.empty(0, np.int64)
        self.probes = normalise(data.corpus[np.flatnonzero(held)[:_MOST]])
        self.own = np.flatnonzero(held)[:_MOST]

    def add_passages(
        self, documents: Iterable[str], encoder: str, most: int, seed: int, alone: bool
    ) -> None:
        """Add what the documents that are not held out can be asked. `alone`: in place of the pairs, those held out too."""
        if alone:
            self.rows = self.targets = np.empty(0, np.int64)
        texts, owners = passages_of(documents, most, seed)
        if not texts:
            return
        vectors, kept = (
            normalise(encode_texts(encoder, texts, "query")),
            np.isin(owners, self.documents),
        )
        self.passages, self.owners = vectors[kept], owners[kept]
        if alone:
            asked = np.random.default_rng(seed).permutation(np.flatnonzero(~kept))[:_MOST]
            qrels = {str(i): {str(owners[i]): 1} for i in asked}
            self.held_passages = Asked(OF_PASSAGES, vectors[asked], list(qrels), qrels)

    @cached_property
    def nearest(self) -> np.ndarray:
        """Exact neighbours of the held-out documents at the full dimension, (p, 10) int64."""
        full = self.corpus.shape[1]
        return exact_topk(self.probes, self.corpus, [full], _DEPTH, own=self.own)[full][0]

    def by_query(
        self,
        transform: Callable[[np.ndarray], np.ndarray],
        dimensions: Sequence[int],
        held: Asked | None,
    ) -> dict[int, np.ndarray]:
        """Return each held-out query's nDCG@10, or (None) each held-out document's fidelity@10, at each dimension."""
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
