"""Split training data into what training learns from and what it never sees.

Pairs, documents and passages are split by the documents they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.datasets import load_dataset
from bench.datasets._ids import positions
from bench.embeddings import encode_texts
from bench.embeddings.sets import Embeddings
from bench.errors import MissingSplit
from bench.exact.one_pass import exact_topk
from bench.quality.measures import overlap, relevance
from bench.quality.scorer import cosines
from bench.training.codes import found_at
from bench.training.passages import passages as passages_of
from bench.vectors import normalise

HELD_OUT = 0.1
"""Share of the documents that training never sees, with their pairs and passages.

One half of them decides when to stop, the other serves for the comparison with untrained maps."""
MEASURE, OF_PASSAGES, FIDELITY = "nDCG@10", "nDCG@10 of passages", "fidelity@10"
CHOOSING, JUDGING = 0, 1
"""The halves of the held-out data: one chooses the checkpoint, the other gives the verdict."""
_DEPTH = 10
_MOST = 1_000
_RUNS = 100


def asked_documents(dataset: str, doc_ids: Sequence[str]) -> np.ndarray:
    """Return which of `doc_ids` the test split asks for, (n,) bool: relevant to a query, or one.

    `dataset` is named as in a study. None if the dataset has no test split.
    """
    found = np.zeros(len(doc_ids), bool)
    try:
        test = load_dataset(dataset, "test")
    except MissingSplit:
        return found
    if test.own is not None:
        found[test.own[test.own >= 0]] = True
    if test.qrels is not None:
        judged = (test.qrels[query] for query in test.query_ids)
        relevant = {doc for grades in judged for doc, grade in grades.items() if grade > 0}
        found[list(positions(doc_ids, relevant).values())] = True
    return found


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
    """In the order of their documents, so that each half has runs of its own."""
    qrels: dict[str, dict[str, int]]

    def half(self, which: int) -> HeldOutQueries:
        """Return the half `CHOOSING` or `JUDGING`."""
        part = _half(len(self.ids), which)
        return HeldOutQueries(self.measure, self.vectors[part], self.ids[part], self.qrels)


class Split:
    """Training pairs and documents, and the held-out ones.

    No training pair contains the document of a held-out pair. `hidden` (n,) bool are documents
    that are neither trained on nor held out: what training must not know of. They stay in the
    corpus that is searched.
    """

    def __init__(self, data: Embeddings, seed: int, hidden: np.ndarray | None = None) -> None:
        hidden = np.zeros(len(data.corpus), bool) if hidden is None else hidden
        held = held_out(len(data.corpus), seed) & ~hidden
        rows, documents = data.relevant_pairs()
        rows, documents = rows[~hidden[documents]], documents[~hidden[documents]]
        of_held = held[documents]
        touched = np.zeros(len(data.queries), bool)
        touched[rows[of_held]] = True
        first = np.full(len(data.queries), len(data.corpus))
        np.minimum.at(first, rows[of_held], documents[of_held])
        asked = np.flatnonzero(touched)[:_MOST]
        asked = asked[np.argsort(first[asked], kind="stable")]
        ids = [data.query_ids[i] for i in asked]
        self.corpus = data.corpus
        self.documents = np.flatnonzero(~held & ~hidden)
        self.held_documents = np.flatnonzero(held)
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
        self.own = self.held_documents[:_MOST]
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
            others = np.flatnonzero(np.isin(owners, self.held_documents))
            asked = np.sort(np.random.default_rng(seed).permutation(others)[:_MOST])
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
        half: int,
        code: str = "",
    ) -> dict[int, np.ndarray]:
        """Return nDCG@10 per query of a half of `held`, at each dimension.

        If `held` is None, return fidelity@10 per held-out document. `half` is `CHOOSING` or
        `JUDGING`. The vectors are stored at the precision `code`, float32 if it is empty.
        """
        if held is not None:
            held = held.half(half)
            found = self._found(transform, held.vectors, dimensions, None, code)
            return {
                d: relevance(ids, held.ids, held.qrels, _DEPTH)["ndcg_at_10"]
                for d, ids in found.items()
            }
        part = _half(len(self.own), half)
        probes, own = self.probes[part], self.own[part]
        truth = cosines(probes, self.corpus, self.nearest[part])
        found = self._found(transform, probes, dimensions, own, code)
        return {
            d: overlap(ids, cosines(probes, self.corpus, ids), truth, _DEPTH)
            for d, ids in found.items()
        }

    def _found(
        self,
        transform: Callable[[np.ndarray], np.ndarray],
        queries: np.ndarray,
        dimensions: Sequence[int],
        own: np.ndarray | None,
        code: str,
    ) -> dict[int, np.ndarray]:
        """Return the ids found at each dimension, (q, 10) int64."""
        if code:
            return found_at(code, transform, queries, self.corpus, dimensions, _DEPTH, own)
        found = exact_topk(queries, self.corpus, dimensions, _DEPTH, transform=transform, own=own)
        return {d: ids for d, (ids, _) in found.items()}


def _half(n: int, which: int) -> slice:
    """Return half of n; a single one is in both."""
    if n < 2:
        return slice(0, n)
    return slice(0, n // 2) if which == CHOOSING else slice(n // 2, n)
