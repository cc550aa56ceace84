"""Datasets: a corpus, queries and graded relevance judgements, or ready vectors. One file a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench import registry
from bench.errors import DataError

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Dataset:
    """What is searched, what is asked, and what is relevant.

    Either texts (`documents`, `queries`) or ready vectors (`corpus_vectors`, `query_vectors`) are set, never both.
    """

    name: str
    """As the user named it: ``"pydoc"``, ``"beir:path"``."""
    fingerprint: str
    """Hexadecimal digest of the whole content: ids, texts or vectors, qrels."""
    doc_ids: Sequence[str]
    query_ids: Sequence[str]
    """Only queries that are scored: with qrels, those with at least one relevant document in the corpus."""
    documents: Iterable[str] | None = None
    """Texts in the order of `doc_ids`; can be iterated again and again, and may stream from disk."""
    queries: Sequence[str] | None = None
    qrels: Qrels | None = None
    """query id → document id → grade (0 and negative: judged, not relevant); None where there are no judgements."""
    corpus_vectors: np.ndarray | None = None
    """(n, D) float32, possibly a memory map."""
    query_vectors: np.ndarray | None = None
    """(q, D) float32."""
    own: np.ndarray | None = None
    """(q,) int64: position of the document that a query *is*, left out of its results; -1 for none; None for no query."""
    synthetic: bool = False
    """True for generated vectors: for speed and scale only, relevance and prefix structure are meaningless."""
    notes: tuple[str, ...] = ()
    """What a reader must know, one sentence each: judgements that name unknown ids, empty documents, …"""


class Source(ABC):
    """A place that datasets come from. `name` is what stands before the colon."""

    name: ClassVar[str]
    usage: ClassVar[str]
    summary: ClassVar[str]

    @classmethod
    @abstractmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        """Load the dataset that `argument` (what follows the colon) names, with the queries of `split`.

        Raises DataError for bad data, in one line that names the file and the line or the ids.
        Raises MissingSplit if only the split is absent, UsageError if `argument` names nothing.
        """


def sources() -> dict[str, type[Source]]:
    """Return every source by name."""
    return registry.found("datasets", Source)


def load_dataset(spec: str, split: str = "test") -> Dataset:
    """Load the dataset named ``NAME`` or ``NAME:ARGUMENT``.

    Raises what `Source.load` raises, and UsageError with the near miss of an unknown name.
    """
    name, argument = registry.split_name(spec)
    source = registry.get("datasets", Source, name)
    try:
        dataset = source.load(argument, split)
    except OSError as error:
        raise DataError(f"dataset '{spec}' cannot be read: {error}") from error
    if not len(dataset.doc_ids):
        raise DataError(f"dataset '{spec}': the corpus is empty")
    if not len(dataset.query_ids):
        raise DataError(f"dataset '{spec}': there is no query to score in split '{split}'")
    return dataset
