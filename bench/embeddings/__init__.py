"""Embeddings: one dataset encoded once by one encoder, on disk, memory-mapped, keyed by content.

The cache has three folders. ``matrices/KEY.npy`` holds vectors, keyed by the encoder's identity,
the role and the texts, or by their content. ``sets/KEY/`` holds ids, judgements and the places of
the vectors, keyed by the encoder's identity and the dataset's fingerprint. ``ingested`` is of
`bench.embeddings.ingest`. Nothing downstream of this module sees text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bench.datasets import Dataset, RowNumbers, VectorStream, load_dataset
from bench.datasets._ids import LazyIds, StoredIds, positions, store_ids
from bench.datasets._stream import array_stream
from bench.embeddings.encoding import checked, digest, encode
from bench.embeddings.ingest import Ingested, Place, check, ingest, known, open_place, place_of
from bench.embeddings.truth import agrees
from bench.encoders import Encoder, Role, get_encoder
from bench.errors import DataError, UsageError
from bench.files import NO_SPACE, cache_folder, clear, make_folder, whole

_SAMPLE_TEXTS = 50
"""Query texts kept with the vectors, to time the encoding of single queries later."""
_LETTERS = 300
"""Of each query's text, kept to be shown."""
_SET_LAYOUT = "5"
"""Of the sets, which name matrices: a newer one encodes nothing again."""
META, IDS, _TRUTH = "meta.json", "doc_ids.arrow", "truth.npy"


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
    query_texts: tuple[str, ...] = ()
    """Beginnings of the queries' texts, (q,), for people to read; empty for ready vectors."""
    truth: np.ndarray | None = None
    """(q, k) int64: the exact results at the full dimension, best first, if they came ready."""
    places: tuple[Place, ...] = ()

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


def embed(
    dataset: str,
    encoder: str | None = None,
    *,
    split: str = "test",
    max_queries: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: bool = True,
) -> Embeddings:
    """Return the embeddings of a dataset by an encoder, both named as in a study.

    They come from the cache if possible. Texts and vectors are streamed, so that a corpus may be
    larger than memory. An interrupted encoding resumes after the last whole batch.
    `encoder` is None for ready vectors. `max_queries` takes a seeded sample of the queries.
    Raises UsageError on bad input (see `bench.datasets` and `bench.encoders`), DataError for NaN or
    infinite vectors.
    """
    data, model = _source(dataset, encoder, split)
    cache, identity = cache or cache_folder(), _identity(model)
    try:
        make_folder(cache / "matrices")
        clear(cache)
        with _bar(progress) as bar:
            ready = _ingest_corpus(data, cache, bar) if model is None else None
            fingerprint = _fingerprint(data, ready)
            folder = _folder(cache, data, identity, fingerprint)
            with filelock.FileLock(cache / f"{folder.name}.lock"):
                if not _is_whole(folder, ready):
                    if ready is None:
                        meta = _encoded(data, cache, model, identity, bar)
                    else:
                        meta = _taken_in(data, cache, ready, bar)
                    _write(folder, data, fingerprint, meta)
        found = open_embeddings(folder, max_queries, seed)
    except OSError as error:
        raise _unwritable(cache, error) from error
    return replace(found, dataset=dataset, encoder=encoder or "")


def outline(
    dataset: str, encoder: str | None = None, *, max_queries: int | None = None, seed: int = 0
) -> Embeddings:
    """Return the embeddings if the cache has them, else an empty shell of their shape.

    A shell has an empty `key`, no judgements by position and no folder. Its vectors are zeros, or
    mapped where their file will be. Nothing is encoded and no vectors are read. Raises as `embed`
    does.
    """
    data, model = _source(dataset, encoder, "test")
    cache, identity = cache_folder(), _identity(model)
    ready = None if data.corpus_vectors is None else known(_corpus(data), cache)
    if model is not None or ready is not None:
        folder = _folder(cache, data, identity, _fingerprint(data, ready))
        if _is_whole(folder, ready):
            found = open_embeddings(folder, max_queries, seed)
            return replace(found, dataset=dataset, encoder=encoder or "")
    shape = (len(data.doc_ids), model.dimension) if model else _corpus(data).shape
    corpus: np.ndarray = np.broadcast_to(np.float32(0), shape)
    if model is None and _corpus(data).offset is not None:
        corpus = open_place(cache, place_of(_corpus(data)))
    asked = list(data.query_ids[:max_queries])
    return Embeddings(
        folder=cache,
        key="",
        dataset=dataset,
        dataset_fingerprint=data.fingerprint,
        encoder=encoder or "",
        synthetic=data.synthetic,
        notes=(),
        corpus=corpus,
        unit=False,
        queries=np.broadcast_to(np.float32(0), (len(asked), shape[1])),
        query_ids=asked,
        qrels=None if data.qrels is None else {},
        own=None if data.own is None else np.asarray(data.own)[: len(asked)],
        groups=None,
        sample_texts=tuple(islice(data.documents or (), _SAMPLE_TEXTS)),
    )


def encode_texts(
    encoder: str, texts: Sequence[str], role: Role, progress: bool = True
) -> np.ndarray:
    """Return the vectors of texts outside any dataset, (n, D) float32, memory-mapped.

    They come from the cache if possible. Raises UsageError if the cache cannot be written.
    """
    cache, model = cache_folder(), get_encoder(encoder)
    try:
        make_folder(cache / "matrices")
        with _bar(progress) as bar:
            key = encode(cache, model, model.identity, role, texts, range(len(texts)), bar)
    except OSError as error:
        raise _unwritable(cache, error) from error
    vectors: np.ndarray = np.load(cache / "matrices" / f"{key}.npy", mmap_mode="r")
    return vectors


def open_embeddings(folder: Path, max_queries: int | None = None, seed: int = 0) -> Embeddings:
    """Open a folder made by `embed`; the same `max_queries` and `seed` give the same sample.

    Raises DataError if the corpus is mapped from a file of the user that has changed since.
    """
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    cache = folder.parent.parent
    corpus, queries = (open_place(cache, meta[role]) for role in ("corpus", "queries"))
    truth = np.load(folder / _TRUTH, mmap_mode="r") if meta["truth"] else None
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
        query_texts=tuple(meta["query_texts"][i] for i in asked) if meta["query_texts"] else (),
        truth=None if truth is None else np.asarray(truth[asked]),
        places=(meta["corpus"], meta["queries"]),
    )


def _unwritable(cache: Path, error: OSError) -> UsageError:
    full = error.errno in NO_SPACE
    hint = "; free some space and run again: the encoding resumes" if full else ""
    return UsageError(f"the cache {cache} cannot be written: {error.strerror or error}{hint}")


# ------------------------------------------------------------------------------- making a set


def _source(dataset: str, encoder: str | None, split: str) -> tuple[Dataset, Encoder | None]:
    """Return the dataset and its encoder, None for ready vectors; raises UsageError."""
    data = load_dataset(dataset, split)
    if data.corpus_vectors is not None:
        if encoder:
            raise UsageError(f"dataset '{dataset}' has ready vectors: remove the encoder")
        return data, None
    if not encoder:
        raise UsageError(
            f"dataset '{dataset}' is text and needs an encoder, for example encoder = \"wordllama\""
        )
    return data, get_encoder(encoder)


def _identity(model: Encoder | None) -> str:
    return "" if model is None else model.identity


def _folder(cache: Path, data: Dataset, identity: str, fingerprint: str) -> Path:
    parts = [] if data.truth is None else [hashlib.sha256(data.truth.tobytes()).hexdigest()]
    return cache / "sets" / digest(_SET_LAYOUT, identity, fingerprint, *parts)


def _corpus(data: Dataset) -> VectorStream:
    """Return the ready vectors of a dataset; raises DataError if it lacks some."""
    corpus = data.corpus_vectors
    if corpus is None or (data.query_vectors is None and data.own is None):
        raise DataError(f"dataset '{data.name}' has vectors for its corpus or queries only")
    if not isinstance(corpus, VectorStream):
        corpus = array_stream(corpus, fingerprint=data.fingerprint)
    return corpus


def _ingest_corpus(data: Dataset, cache: Path, bar: Progress) -> Ingested:
    corpus = _corpus(data)
    if data.query_vectors is not None and data.query_vectors.shape[1] != corpus.shape[1]:
        raise DataError(
            f"dataset '{data.name}': corpus vectors have {corpus.shape[1]} "
            f"dimensions, query vectors {data.query_vectors.shape[1]}"
        )
    return ingest(corpus, cache, data.name, data.doc_ids, "document", bar)


def _fingerprint(data: Dataset, ready: Ingested | None) -> str:
    """Return the digest of a dataset's whole content."""
    known = not isinstance(data.corpus_vectors, VectorStream) or data.corpus_vectors.fingerprint
    return data.fingerprint if known or ready is None else digest(data.fingerprint, ready.content)


def _taken_in(data: Dataset, cache: Path, ready: Ingested, bar: Progress) -> dict[str, Any]:
    """Return the part of a set's description that follows from ready vectors."""
    queries, notes = data.query_vectors, [*data.notes, *ready.notes()]
    corpus = open_place(cache, ready.place)
    if queries is None:
        queries = np.asarray(corpus[data.own])
    stream = array_stream(queries, fingerprint=hashlib.sha256(queries.tobytes()).hexdigest())
    asked = ingest(stream, cache, data.name, data.query_ids, "query", bar)
    truth = False
    if data.truth is not None:
        truth, note = agrees(data.truth, queries, corpus)
        notes.append(note)
    return {
        "corpus": ready.place,
        "queries": asked.place,
        "unit": ready.unit,
        "notes": notes,
        "truth": truth,
    }


def _encoded(
    data: Dataset, cache: Path, model: Encoder | None, identity: str, bar: Progress
) -> dict[str, Any]:
    """Return the part of a set's description that follows from encoded texts."""
    if model is None or data.documents is None or data.queries is None:
        raise DataError(f"dataset '{data.name}' has no texts of its documents or queries")
    corpus = encode(cache, model, identity, "document", data.documents, data.doc_ids, bar)
    queries = encode(cache, model, identity, "query", data.queries, data.query_ids, bar)
    look, notes = checked(cache / "matrices" / f"{corpus}.npy", data.doc_ids, "document")
    _, more = checked(cache / "matrices" / f"{queries}.npy", data.query_ids, "query")
    return {
        "corpus": corpus,
        "queries": queries,
        "unit": look.unit,
        "notes": [*data.notes, *notes, *more],
        "truth": False,
    }


def _write(folder: Path, data: Dataset, fingerprint: str, meta: dict[str, Any]) -> None:
    """Write a set; its description comes last, so that a set with one is whole."""
    make_folder(folder)
    if not isinstance(data.doc_ids, RowNumbers):
        with whole(folder / IDS) as partial:
            store_ids(partial, data.doc_ids)
    if meta["truth"]:
        with whole(folder / _TRUTH) as partial:
            np.save(partial, np.asarray(data.truth, dtype=np.int64))
    meta |= {
        "dataset": data.name,
        "dataset_fingerprint": fingerprint,
        "synthetic": data.synthetic,
        "query_ids": list(data.query_ids),
        "qrels": _by_position(data),
        "own": None if data.own is None else np.asarray(data.own).tolist(),
        "groups": None if data.groups is None else list(data.groups),
        "sample_texts": list(islice(data.queries or (), _SAMPLE_TEXTS)),
        "query_texts": [text[:_LETTERS] for text in data.queries or ()],
    }
    with whole(folder / META) as partial:
        partial.write_text(json.dumps(meta), encoding="utf-8")


def _by_position(data: Dataset) -> dict[str, dict[str, int]] | None:
    """Return the judgements by the position of the document."""
    if data.qrels is None:
        return None
    judged = {query: data.qrels[query] for query in data.query_ids}
    found = positions(data.doc_ids, {document for grades in judged.values() for document in grades})
    return {
        query: {str(found.get(d, f"?{d}")): int(grade) for d, grade in grades.items()}
        for query, grades in judged.items()
    }


def _is_whole(folder: Path, ready: Ingested | None) -> bool:
    """Return whether a set and its matrices can be read; a truncated cache is made again."""
    try:
        found = open_embeddings(folder)
        place: Place = json.loads((folder / META).read_text(encoding="utf-8"))["corpus"]
        return len(found.doc_ids) == len(found.corpus) and (ready is None or ready.place == place)
    except (OSError, ValueError, KeyError, EOFError):
        return False


def _bar(show: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, disable=not (show and console.is_terminal))
