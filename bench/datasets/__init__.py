"""Datasets: a corpus, queries and graded relevance judgements, or ready vectors.

One file per source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench import registry
from bench.datasets._ids import RowNumbers
from bench.datasets._stream import VectorStream
from bench.errors import DataError, NoQueries, UsageError

__all__ = [
    "Dataset",
    "Qrels",
    "RowNumbers",
    "Source",
    "VectorStream",
    "load_dataset",
    "load_documents",
    "sources",
    "stand_in",
]

Qrels = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Dataset:
    """A corpus, its queries and their relevant documents.

    Holds either texts (`documents`, `queries`) or ready vectors (`corpus_vectors`,
    `query_vectors`).
    """

    name: str
    """As the user named it: ``"pydoc"``, ``"beir:path"``."""
    fingerprint: str
    """Hexadecimal digest of the whole content: ids, texts or vectors, qrels.

    Of a `VectorStream` only what it says of itself: the rest is found when it is read.
    """
    doc_ids: Sequence[str]
    """`RowNumbers`, if the documents have none of their own."""
    query_ids: Sequence[str]
    """The scored queries: with qrels, those with at least one relevant document in the corpus."""
    documents: Iterable[str] | None = None
    """Texts in the order of `doc_ids`; can be iterated repeatedly, and may stream from disk."""
    queries: Sequence[str] | None = None
    qrels: Qrels | None = None
    """query id → document id → grade; None without judgements.

    A grade of 0 or less means judged and not relevant.
    """
    corpus_vectors: np.ndarray | VectorStream | None = None
    """(n, D) float32, or a stream of blocks of vectors that may be larger than memory."""
    query_vectors: np.ndarray | None = None
    """(q, D) float32. None if each query is the document that `own` names."""
    truth: np.ndarray | None = None
    """(q, k) int64: the nearest documents by cosine, best first, if somebody has found them."""
    own: np.ndarray | None = None
    """(q,) int64: position of the document that a query *is*, -1 for none.

    Each such document is excluded from its own results. None if no query is a document.
    """
    groups: Sequence[str] | None = None
    """The group of each query, such as the source it was drawn from; None where unknown.

    Queries of one group are alike, so intervals resample groups.
    """
    synthetic: bool = False
    """True for generated vectors: for speed and scale only, without prefix structure."""
    notes: tuple[str, ...] = ()
    """Caveats for the reader, one sentence each: judgements with unknown ids, empty documents, …"""


class Source(ABC):
    """A source of datasets. `name` is the part of a study's spec before the colon."""

    name: ClassVar[str]
    usage: ClassVar[str]
    summary: ClassVar[str]

    @classmethod
    @abstractmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        """Load the dataset named `argument`, the part after the colon, with the queries of `split`.

        Raises DataError for bad data, in one line that names the file and the line or the ids.
        Raises MissingSplit if only the split is absent, NoQueries if there are documents alone,
        UsageError for an invalid `argument`.
        """

    @classmethod
    def documents(cls, argument: str) -> Dataset:
        """Load the corpus of `argument`; its queries and judgements are not looked at.

        To be overridden by a source whose corpus may come without them. Raises as `load` does.
        """
        return cls.load(argument)


def sources() -> dict[str, type[Source]]:
    """Return every source by name."""
    return registry.found("datasets", Source)


def load_dataset(spec: str, split: str = "test") -> Dataset:
    """Load the dataset named ``NAME`` or ``NAME:ARGUMENT``.

    Raises UsageError with the near miss for an unknown name, and the errors of `Source.load`.
    """
    dataset = _read(spec, lambda source, argument: source.load(argument, split))
    if not len(dataset.query_ids):
        raise DataError(f"dataset '{spec}': split '{split}' has no queries to score")
    return dataset


def load_documents(spec: str) -> Dataset:
    """Load the corpus of a dataset, which need not have queries or judgements.

    Only `doc_ids`, `documents` or `corpus_vectors`, `fingerprint`, `notes` and `synthetic` of what
    is returned are to be used. Raises as `load_dataset` does.
    """
    return _read(spec, lambda source, argument: source.documents(argument))


def stand_in(spec: str) -> str:
    """Return the name of the dataset to measure in place of `spec`: itself if it can be measured.

    A dataset of documents alone is measured as ``passages:SPEC``, or as ``documents:SPEC`` if its
    documents are too short for passages. Which stand-in leads to the choice that judgements would
    lead to: ``python -m tests.experiments.stand_ins``. Raises as `load_dataset` does.
    """
    try:
        load_dataset(spec)
    except NoQueries:
        try:
            load_dataset(f"passages:{spec}")
        except UsageError:
            return f"documents:{spec}"
        return f"passages:{spec}"
    return spec


def _read(spec: str, load: Callable[[type[Source], str], Dataset]) -> Dataset:
    name, argument = registry.split_name(spec)
    source = registry.get("datasets", Source, name)
    try:
        dataset = load(source, argument)
    except OSError as error:
        raise DataError(f"dataset '{spec}' cannot be read: {error}") from error
    if not len(dataset.doc_ids):
        raise DataError(f"dataset '{spec}': the corpus is empty")
    return dataset
