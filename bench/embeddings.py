"""Embeddings: one dataset encoded once by one encoder, on disk, memory-mapped, keyed by content.

The cache has two folders. ``matrices/KEY.npy`` holds vectors, keyed by the encoder's identity, the
role and the texts. ``sets/KEY/`` holds ids, judgements and the keys of the matrices, keyed by the
encoder's identity and the dataset's fingerprint. Nothing downstream of this module sees text.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.console import Console
from rich.progress import Progress

from bench.datasets import Dataset, load_dataset
from bench.encoders import Encoder, Role, get_encoder
from bench.errors import DataError, UsageError
from bench.files import cache_folder, whole

_SAMPLE_TEXTS = 50
"""Query texts kept with the vectors, to time the encoding of single queries later."""
_BLOCK = 65_536
_UNIT = 1e-6
"""Largest distance of a length from 1 that rounding to float32 explains."""
_LAYOUT = "1"
"""Of the matrices."""
_SET_LAYOUT = "3"
"""Of the sets, which name matrices: a newer one encodes nothing again."""


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
    def doc_ids(self) -> list[str]:
        """The documents' ids by position."""
        ids: list[str] = json.loads((self.folder / "doc_ids.json").read_text(encoding="utf-8"))
        return ids


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

    They come from the cache if possible. Texts are streamed in batches, so that a corpus may be
    larger than memory. An interrupted encoding resumes after the last whole batch.
    `encoder` is None for ready vectors. `max_queries` takes a seeded sample of the queries.
    Raises UsageError on bad input (see `bench.datasets` and `bench.encoders`), DataError for NaN or
    infinite vectors.
    """
    data = load_dataset(dataset, split)
    cache = cache or cache_folder()
    if data.corpus_vectors is not None:
        if encoder:
            raise UsageError(f"dataset '{dataset}' has ready vectors: remove the encoder")
        model, identity = None, ""
    elif not encoder:
        raise UsageError(
            f"dataset '{dataset}' is text and needs an encoder, for example encoder = \"wordllama\""
        )
    else:
        model = get_encoder(encoder)
        identity = model.identity
    key = _digest(_SET_LAYOUT, identity, data.fingerprint)
    folder = cache / "sets" / key
    try:
        (cache / "matrices").mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(cache / f"{key}.lock"):
            if not _is_whole(folder):
                _make(folder, cache, data, model, identity, progress)
        found = open_embeddings(folder, max_queries, seed)
    except OSError as error:
        raise _unwritable(cache, error) from error
    return replace(found, dataset=dataset, encoder=encoder or "")


def encode_texts(
    encoder: str, texts: Sequence[str], role: Role, progress: bool = True
) -> np.ndarray:
    """Return the vectors of texts outside any dataset, (n, D) float32, memory-mapped.

    They come from the cache if possible. Raises UsageError if the cache cannot be written.
    """
    cache, model = cache_folder(), get_encoder(encoder)
    try:
        (cache / "matrices").mkdir(parents=True, exist_ok=True)
        with _bar(progress) as bar:
            key = _encode(cache, model, model.identity, role, texts, range(len(texts)), bar)
    except OSError as error:
        raise _unwritable(cache, error) from error
    vectors: np.ndarray = np.load(cache / "matrices" / f"{key}.npy", mmap_mode="r")
    return vectors


def open_embeddings(folder: Path, max_queries: int | None = None, seed: int = 0) -> Embeddings:
    """Open a folder made by `embed`; the same `max_queries` and `seed` give the same sample."""
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    matrices = folder.parent.parent / "matrices"
    corpus, queries = (
        np.load(matrices / f"{meta[role]}.npy", mmap_mode="r") for role in ("corpus", "queries")
    )
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
    )


def _unwritable(cache: Path, error: OSError) -> UsageError:
    hint = ""
    if error.errno == errno.ENOSPC:
        hint = "; free some space and run again: the encoding resumes"
    return UsageError(f"the cache {cache} cannot be written: {error.strerror or error}{hint}")


# ------------------------------------------------------------------------------- making a set


def _make(
    folder: Path, cache: Path, data: Dataset, model: Encoder | None, identity: str, progress: bool
) -> None:
    if model is None:
        if data.corpus_vectors is None or data.query_vectors is None:
            raise DataError(f"dataset '{data.name}' has vectors for its corpus or queries only")
        if data.corpus_vectors.shape[1] != data.query_vectors.shape[1]:
            raise DataError(
                f"dataset '{data.name}': corpus vectors have {data.corpus_vectors.shape[1]} "
                f"dimensions, query vectors {data.query_vectors.shape[1]}"
            )
        corpus = _store_vectors(cache, data.corpus_vectors)
        queries = _store_vectors(cache, data.query_vectors)
        zeros: list[str] = []
    else:
        if data.documents is None or data.queries is None:
            raise DataError(f"dataset '{data.name}' has no texts of its documents or queries")
        with _bar(progress) as bar:
            corpus = _encode(cache, model, identity, "document", data.documents, data.doc_ids, bar)
            queries = _encode(cache, model, identity, "query", data.queries, data.query_ids, bar)
        zeros = _check(cache / "matrices" / f"{corpus}.npy", data.doc_ids, "document")
        zeros += _check(cache / "matrices" / f"{queries}.npy", data.query_ids, "query")
    position = (
        {doc_id: str(i) for i, doc_id in enumerate(data.doc_ids)} if data.qrels is not None else {}
    )
    meta = {
        "dataset": data.name,
        "dataset_fingerprint": data.fingerprint,
        "synthetic": data.synthetic,
        "notes": [*data.notes, *zeros],
        "corpus": corpus,
        "unit": _is_unit(np.load(cache / "matrices" / f"{corpus}.npy", mmap_mode="r")),
        "queries": queries,
        "query_ids": list(data.query_ids),
        "qrels": None
        if data.qrels is None
        else {
            q: {position.get(d, f"?{d}"): int(g) for d, g in data.qrels[q].items()}
            for q in data.query_ids
        },
        "own": None if data.own is None else np.asarray(data.own).tolist(),
        "groups": None if data.groups is None else list(data.groups),
        "sample_texts": list(islice(data.queries or (), _SAMPLE_TEXTS)),
    }
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    (partial / "doc_ids.json").write_text(json.dumps(list(data.doc_ids)), encoding="utf-8")
    (partial / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.replace(folder)


def _is_whole(folder: Path) -> bool:
    """Return whether a set and its matrices can be read; a truncated cache is made again."""
    try:
        open_embeddings(folder)
    except (OSError, ValueError, KeyError, EOFError):
        return False
    return True


def _encode(
    cache: Path,
    model: Encoder,
    identity: str,
    role: Role,
    texts: Iterable[str],
    ids: Sequence[Any],
    bar: Progress,
) -> str:
    """Encode `texts` into ``matrices/KEY.npy`` unless the file exists; return the key."""
    key = _digest(_LAYOUT, identity, role, "float32", _texts_digest(texts))
    path, partial = cache / "matrices" / f"{key}.npy", cache / "matrices" / f"{key}.part"
    shape = (len(ids), model.dimension)
    if _has_shape(path, shape):
        return key
    with filelock.FileLock(cache / f"{key}.lock"):
        if _has_shape(path, shape):
            return key
        done = _begin(partial, shape)
        task = bar.add_task(
            f"encoding {'documents' if role == 'document' else 'queries'}",
            total=len(ids),
            completed=done,
        )
        with partial.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            for batch in _batches(islice(texts, done, None), model.batch_size):
                vectors = np.ascontiguousarray(model.encode_full(batch, role), dtype=np.float32)
                if vectors.shape != (len(batch), model.dimension):
                    raise UsageError(
                        f"the encoder returned shape {vectors.shape} for {len(batch)} texts"
                    )
                file.write(vectors.tobytes())
                file.flush()
                bar.advance(task, len(batch))
        partial.replace(path)
    return key


def _begin(partial: Path, shape: tuple[int, int]) -> int:
    """Prepare a part file and return the number of whole rows in it.

    A new file gets its header; an incomplete last row is cut off.
    """
    if not partial.exists():
        with partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": shape}
            )
        return 0
    with partial.open("r+b") as file:
        np.lib.format.read_magic(file)
        np.lib.format.read_array_header_1_0(file)
        header, width = file.tell(), shape[1] * 4
        rows = (partial.stat().st_size - header) // width
        file.truncate(header + rows * width)
    return int(rows)


def _store_vectors(cache: Path, vectors: np.ndarray) -> str:
    digest = hashlib.blake2b(f"{_LAYOUT} {vectors.shape}".encode(), digest_size=16)
    for block in _blocks(vectors):
        digest.update(block.tobytes())
    key = digest.hexdigest()
    path = cache / "matrices" / f"{key}.npy"
    if not _has_shape(path, vectors.shape):
        with whole(path) as partial, partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": vectors.shape}
            )
            for block in _blocks(vectors):
                file.write(block.tobytes())
    return key


def _blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _BLOCK):
        yield np.ascontiguousarray(vectors[start : start + _BLOCK], dtype=np.float32)


def _is_unit(vectors: np.ndarray) -> bool:
    squares = (np.einsum("ij,ij->i", b, b, dtype=np.float64) for b in _blocks(vectors))
    return all(bool((np.abs(np.sqrt(each) - 1) <= _UNIT).all()) for each in squares)


def _has_shape(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        return bool(np.load(path, mmap_mode="r").shape == shape)
    except (OSError, ValueError, EOFError):
        return False


def _check(path: Path, ids: Sequence[str], what: str) -> list[str]:
    """Return notes on all-zero vectors and copies.

    Raises DataError, and removes the matrix, if it has NaN or infinite vectors.
    """
    vectors = np.load(path, mmap_mode="r")
    bad: list[str] = []
    zero: list[str] = []
    seen: set[bytes] = set()
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        seen.update(hashlib.blake2b(row.tobytes(), digest_size=12).digest() for row in block)
        bad += [ids[start + i] for i in np.flatnonzero(~np.isfinite(block).all(axis=1)).tolist()]
        zero += [ids[start + i] for i in np.flatnonzero(~block.any(axis=1)).tolist()]
    if bad:
        path.unlink()
        raise DataError(f"the encoder returned NaN or infinite vectors for {_named(bad, what)}")
    notes = []
    if zero:
        notes.append(f"{_named(zero, what)} encoded to an all-zero vector, similar to nothing")
    if what == "document" and len(seen) < len(vectors):
        copies = len(vectors) - len(seen)
        notes.append(f"{copies} of {len(vectors)} documents have the same vector as another")
    return notes


def _named(ids: list[str], what: str) -> str:
    plural = {"document": "documents", "query": "queries"}[what] if len(ids) > 1 else what
    return f"{len(ids)} {plural} ({', '.join(ids[:3])}{', …' if len(ids) > 3 else ''})"


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    iterator = iter(texts)
    while batch := list(islice(iterator, size)):
        yield batch


def _texts_digest(texts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def _digest(*parts: Any) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _bar(show: bool) -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, disable=not (show and console.is_terminal))
