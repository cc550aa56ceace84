"""Embeddings: one dataset encoded once by one encoder, on disk, memory-mapped, keyed by content.

The cache has three folders. ``matrices/KEY.npy`` holds vectors, keyed by the encoder's identity,
the role and the texts, or by their content. ``sets/KEY/`` holds ids, judgements and the places of
the vectors, keyed by the encoder's identity and the dataset's fingerprint. ``ingested`` is of
`bench.embeddings.ingest`. Nothing downstream of this module sees text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.progress import Progress

from bench.console import Console
from bench.datasets import Dataset, RowNumbers, VectorStream, load_dataset
from bench.datasets._ids import positions, store_ids
from bench.datasets._stream import array_stream
from bench.embeddings.encoding import Batches, checked, digest, encode
from bench.embeddings.ingest import Ingested, ingest, known, open_place, place_of, unwritable
from bench.embeddings.sets import (
    IDS,
    TRUTH,
    Embeddings,
    is_whole,
    open_embeddings,
    write_meta,
)
from bench.embeddings.shared_space import doubt
from bench.embeddings.truth import agrees
from bench.encoders import Encoder, Role, get_encoder
from bench.encoders._names import of_role
from bench.errors import DataError, UsageError
from bench.files import cache_folder, clear, make_folder, whole

_SAMPLE_TEXTS = 50
"""Texts of queries, and of documents, kept with the vectors to time their encoding later."""
_LONGEST = 20_000
"""Letters of a document that are kept for that: more than a transformer reads of it."""
_LETTERS = 300
"""Of each query's text, kept to be shown."""
_SET_LAYOUT = "6"
"""Of the sets, which name matrices: a newer one encodes nothing again."""
EncodeWith = Callable[[str, Encoder, Role, Iterator[list[str]]], Iterator[np.ndarray]]
"""Encodes batches of texts elsewhere, by the encoder of that name."""


def embed(
    dataset: str,
    encoder: str | None = None,
    *,
    split: str = "test",
    max_queries: int | None = None,
    seed: int = 0,
    cache: Path | None = None,
    progress: bool = True,
    encode_with: EncodeWith | None = None,
) -> Embeddings:
    """Return the embeddings of a dataset by an encoder, both named as in a study.

    They come from the cache if possible. Texts and vectors are streamed, so that a corpus may be
    larger than memory. An interrupted encoding resumes after the last whole batch.
    `encoder` is None for ready vectors. `max_queries` takes a seeded sample of the queries.
    `encode_with` encodes the documents, this process by default. Raises UsageError on bad input
    (see `bench.datasets` and `bench.encoders`), DataError for NaN or infinite vectors.
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
                if not is_whole(folder, ready):
                    if ready is None:
                        work = None
                        if encode_with and encoder:
                            work = partial(encode_with, of_role(encoder, "document"))
                        meta = _encoded(data, cache, model, bar, work)
                    else:
                        meta = _taken_in(data, cache, ready, bar)
                    _write(folder, data, fingerprint, meta)
        found = open_embeddings(folder, max_queries, seed)
    except OSError as error:
        raise unwritable(cache, error) from error
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
        if is_whole(folder, ready):
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
        sample_texts=(),
        sample_documents=tuple(islice(data.documents or (), _SAMPLE_TEXTS)),
    )


def encode_texts(
    encoder: str, texts: Sequence[str], role: Role, progress: bool = True
) -> np.ndarray:
    """Return the vectors of texts outside any dataset, (n, D) float32, memory-mapped.

    They come from the cache if possible. Raises UsageError if the cache cannot be written.
    """
    cache, model = cache_folder(), get_encoder(encoder).of_role(role)
    try:
        make_folder(cache / "matrices")
        with _bar(progress) as bar:
            key = encode(cache, model, role, texts, range(len(texts)), bar)
    except OSError as error:
        raise unwritable(cache, error) from error
    vectors: np.ndarray = np.load(
        cache / "matrices" / f"{key}.npy", mmap_mode="r", allow_pickle=False
    )
    return vectors


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
    data: Dataset,
    cache: Path,
    model: Encoder | None,
    bar: Progress,
    encode_with: Batches | None,
) -> dict[str, Any]:
    """Return the part of a set's description that follows from encoded texts."""
    if model is None or data.documents is None or data.queries is None:
        raise DataError(f"dataset '{data.name}' has no texts of its documents or queries")
    first, second = model.of_role("document"), model.of_role("query")
    corpus = encode(cache, first, "document", data.documents, data.doc_ids, bar, encode_with)
    queries = encode(cache, second, "query", data.queries, data.query_ids, bar)
    look, notes = checked(cache / "matrices" / f"{corpus}.npy", data.doc_ids, "document")
    _, more = checked(cache / "matrices" / f"{queries}.npy", data.query_ids, "query")
    if first is not second:
        asked, found = open_place(cache, queries), open_place(cache, corpus)
        more += filter(None, [doubt(asked, found, data.query_ids, _by_position(data) or {})])
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
        with whole(folder / TRUTH) as partial:
            np.save(partial, np.asarray(data.truth, dtype=np.int64))
    # A corpus is often sorted, so that its first documents are not like the others.
    step = max(1, len(data.doc_ids) // _SAMPLE_TEXTS)
    spread = islice(data.documents or (), 0, None, step)
    meta |= {
        "dataset": data.name,
        "dataset_fingerprint": fingerprint,
        "synthetic": data.synthetic,
        "query_ids": list(data.query_ids),
        "qrels": _by_position(data),
        "own": None if data.own is None else np.asarray(data.own).tolist(),
        "groups": None if data.groups is None else list(data.groups),
        "sample_texts": list(islice(data.queries or (), _SAMPLE_TEXTS)),
        "sample_documents": [text[:_LONGEST] for text in islice(spread, _SAMPLE_TEXTS)],
        "query_texts": [text[:_LETTERS] for text in data.queries or ()],
    }
    write_meta(folder, meta)


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


def _bar(show: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, disable=not (show and console.is_terminal))
