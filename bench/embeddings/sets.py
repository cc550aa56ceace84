"""A set of embeddings on disk: what it holds, how it is opened, and whether it is whole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets import RowNumbers
from bench.datasets._ids import LazyIds, StoredIds
from bench.embeddings.ingest import Ingested, Place, check, open_place
from bench.files import content_digest, read_checked, write_checked

META, IDS, TRUTH = "meta.json", "doc_ids.arrow", "truth.npy"


@dataclass(frozen=True)
class Embeddings:
    """Corpus and query vectors at the full dimension D, not normalised, with judgements."""

    folder: Path
    key: str
    """Hexadecimal digest of the encoder's identity and the dataset's content."""
    dataset: str
    dataset_fingerprint: str
    encoder: str
    """Named as in the study; empty for ready vectors."""
    synthetic: bool
    notes: tuple[str, ...]
    corpus: np.ndarray
    """(n, D) float32, memory-mapped."""
    unit: bool
    """Whether every corpus vector is of unit length already, to within rounding."""
    queries: np.ndarray
    """(q, D) float32."""
    query_ids: list[str]
    qrels: dict[str, dict[str, int]] | None
    """query id → ``str(position of the document)`` → grade.

    A judged document outside the corpus has the key ``?ID`` instead.
    """
    own: np.ndarray | None
    """(q,) int64: the document that a query is, excluded from its results; -1 for none."""
    groups: list[str] | None
    """The group of each query, (q,); None where unknown."""
    sample_texts: tuple[str, ...]
    """Of the first queries, to time the encoding of a query with."""
    query_texts: tuple[str, ...] = ()
    """Beginnings of the queries' texts, (q,), for people to read; empty for ready vectors."""
    truth: np.ndarray | None = None
    """(q, k) int64: the exact results at the full dimension, best first, if they came ready."""
    places: tuple[Place, ...] = ()
    sample_documents: tuple[str, ...] = ()
    """Texts from all over the corpus, to time the encoding of documents with."""

    def check_unchanged(self) -> None:
        """Raise DataError if a file of the user that is mapped has changed since it was read."""
        for place in self.places:
            check(place)

    @property
    def full_dim(self) -> int:
        """The full dimension D."""
        return int(self.corpus.shape[1])

    @property
    def n_searchable(self) -> int:
        """Documents that a query can find: all but the one that the query itself may be."""
        return len(self.corpus) - (self.own is not None)

    def relevant_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the relevant pairs as positions of queries (p,) and documents (p,), int64.

        Judged documents outside the corpus are skipped. Without judgements there are no pairs.
        """
        pairs = [
            (row, int(document))
            for row, query in enumerate(self.query_ids)
            for document, grade in (self.qrels or {}).get(query, {}).items()
            if grade > 0 and document.isdigit()
        ]
        rows, documents = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
        return rows, documents

    @cached_property
    def doc_ids(self) -> LazyIds:
        """The documents' ids by position, read when they are asked for."""
        path = self.folder / IDS
        return StoredIds(path) if path.exists() else RowNumbers(len(self.corpus))


def open_embeddings(folder: Path, max_queries: int | None = None, seed: int = 0) -> Embeddings:
    """Open a folder made by `embed`; the same `max_queries` and `seed` give the same sample.

    Raises DataError if the corpus is mapped from a file of the user that has changed since, OSError
    or ValueError for a folder that is damaged.
    """
    meta = read_checked(folder / META)
    cache = folder.parent.parent
    corpus, queries = (open_place(cache, meta[role]) for role in ("corpus", "queries"))
    truth = np.load(folder / TRUTH, mmap_mode="r", allow_pickle=False) if meta["truth"] else None
    asked = np.arange(len(queries))
    if max_queries is not None and max_queries < len(queries):
        asked = np.sort(
            np.random.default_rng(seed).choice(len(queries), max_queries, replace=False)
        )
    query_ids = [meta["query_ids"][i] for i in asked]
    qrels = meta["qrels"]
    return Embeddings(
        folder=folder,
        key=folder.name,
        dataset=meta["dataset"],
        dataset_fingerprint=meta["dataset_fingerprint"],
        encoder="",
        synthetic=meta["synthetic"],
        notes=tuple(meta["notes"]),
        corpus=corpus,
        unit=meta["unit"],
        queries=np.asarray(queries[asked]),
        query_ids=query_ids,
        qrels=None if qrels is None else {query: qrels[query] for query in query_ids},
        own=None if meta["own"] is None else np.array(meta["own"], dtype=np.int64)[asked],
        groups=None if meta["groups"] is None else [meta["groups"][i] for i in asked],
        sample_texts=tuple(meta["sample_texts"]),
        sample_documents=tuple(meta["sample_documents"]),
        query_texts=tuple(meta["query_texts"][i] for i in asked) if meta["query_texts"] else (),
        truth=None if truth is None else np.asarray(truth[asked]),
        places=(meta["corpus"], meta["queries"]),
    )


def write_meta(folder: Path, meta: dict[str, Any]) -> None:
    """Write the description of a set whose other files are there; it names their content."""
    files = [folder / name for name in (IDS, TRUTH) if (folder / name).exists()]
    digests = {path.name: content_digest(path) for path in files}
    write_checked(folder / META, {**meta, "files": digests})


def is_whole(folder: Path, ready: Ingested | None = None) -> bool:
    """Return whether a set is what was written and fits its matrices; else it is made again.

    The vectors themselves are not read.
    """
    try:
        meta = read_checked(folder / META)
        if any(content_digest(folder / name) != was for name, was in meta["files"].items()):
            return False
        found, place = open_embeddings(folder), meta["corpus"]
        fits = len(found.doc_ids) == len(found.corpus) and found.full_dim == found.queries.shape[1]
        return fits and (ready is None or ready.place == place)
    except (OSError, ValueError, KeyError, EOFError):
        return False
