"""Encode texts into a matrix on disk; what is interrupted resumes after the last whole batch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.progress import Progress

from bench.datasets._ids import batches
from bench.datasets._stream import array_stream
from bench.embeddings.ingest import Few, Look
from bench.encoders import Encoder, Role
from bench.errors import DataError, UsageError
from bench.files import settle

_LAYOUT = "1"
"""Of the matrices."""
Batches = Callable[[Encoder, Role, Iterator[list[str]]], Iterator[np.ndarray]]
"""Encodes batches of texts, as `Encoder.encode_full` does each of them, and keeps their order."""


def encode_here(model: Encoder, role: Role, texts: Iterator[list[str]]) -> Iterator[np.ndarray]:
    """Encode batches of texts in this process: yield (n, D) float32 for each."""
    for batch in texts:
        yield model.encode_full(batch, role)


def encode(
    cache: Path,
    model: Encoder,
    role: Role,
    texts: Iterable[str],
    ids: Sequence[Any],
    bar: Progress,
    encode_with: Batches | None = None,
) -> str:
    """Encode `texts` into ``matrices/KEY.npy`` unless the file exists; return the key.

    `encode_with` does the work; `encode_here` is the default.
    """
    key = digest(_LAYOUT, model.identity, role, "float32", _texts_digest(texts))
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
            left = iter(batches(islice(texts, done, None), model.batch_size))
            for found in (encode_with or encode_here)(model, role, left):
                rows = min(model.batch_size, len(ids) - done)
                vectors = np.ascontiguousarray(found, dtype=np.float32)
                if vectors.shape != (rows, model.dimension):
                    raise UsageError(f"the encoder returned shape {vectors.shape} for {rows} texts")
                file.write(vectors.tobytes())
                file.flush()
                done += rows
                bar.advance(task, rows)
        settle(partial, path)
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


def _has_shape(path: Path, shape: tuple[int, ...]) -> bool:
    try:
        return bool(np.load(path, mmap_mode="r", allow_pickle=False).shape == shape)
    except (OSError, ValueError, EOFError):
        return False


def checked(path: Path, ids: Sequence[str], what: str) -> tuple[Look, list[str]]:
    """Return a look at encoded vectors, and notes on all-zero ones and copies.

    Raises DataError, and removes the matrix, if it has NaN or infinite vectors.
    """
    vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    look = Look(len(vectors))
    for block in array_stream(vectors).blocks():
        look.add(block)
    if look.broken.count:
        path.unlink()
        raise DataError(
            f"the encoder returned NaN or infinite vectors for {_named(look.broken, ids, what)}"
        )
    notes = []
    if look.zero.count:
        named = _named(look.zero, ids, what)
        notes.append(f"{named} encoded to an all-zero vector, similar to nothing")
    if what == "document" and (copies := look.copies()):
        have = "has" if copies == 1 else "have"
        of = f"{copies:,} of {len(vectors):,} documents"
        notes.append(f"{of} {have} the same vector as another")
    return look, notes


def _named(few: Few, ids: Sequence[str], what: str) -> str:
    plural = {"document": "documents", "query": "queries"}[what] if few.count > 1 else what
    return f"{few.count} {plural} ({few.names(ids)})"


def _texts_digest(texts: Iterable[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for text in texts:
        encoded = text.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    return digest.hexdigest()


def digest(*parts: Any) -> str:
    """Return a hexadecimal digest of values that JSON can hold."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()
