"""Take in ready vectors: one pass that checks, counts copies, hashes and, if needed, stores them.

What the pass found is kept in the folder ``ingested`` of the cache, under what identifies the
source: paths, sizes and times of its files. So vectors are read again only if a file changes. Files
of float32 in row order are mapped where they lie. Everything else becomes ``matrices/KEY.npy``.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import numpy as np
from rich.progress import Progress

from bench.arrays import mapped_matrix
from bench.datasets import VectorStream
from bench.errors import DataError, UsageError
from bench.files import make_folder, read_checked, settle, unfinished, write_checked

_LAYOUT = "1"
_UNIT = 1e-6
"""Largest distance of a length from 1 that rounding to float32 explains."""
_FEW = 3

Place = str | dict[str, Any]
"""The key of a matrix, or a file to map: path, offset, shape, size, mtime_ns."""


@dataclass(frozen=True)
class Ingested:
    """What a pass over vectors found."""

    content: str
    """Hexadecimal digest of shape and numbers."""
    shape: tuple[int, int]
    unit: bool
    """Whether every vector is of unit length, to within rounding."""
    shortest: float
    longest: float
    copies: int
    """Vectors that equal an earlier one."""
    place: Place

    def notes(self) -> list[str]:
        """Return what a reader has to know of a corpus."""
        notes = []
        if self.longest > 1.01 or self.shortest < 0.99:
            notes.append(
                f"the vectors are not of unit length ({self.shortest:.3g} to {self.longest:.3g}): "
                "they are normalised, so cosine is measured"
            )
        if self.copies:
            notes.append(f"{self.copies} of {self.shape[0]} documents are exact copies of another")
        return notes


class Look:
    """What there is to know of vectors (n, D), gathered block by block, in eight bytes a vector."""

    def __init__(self, n: int) -> None:
        from bench.embeddings import (
            kernels,
        )  # compiled on first use, so not imported with the package

        self.kernels = kernels
        self.hashes = np.empty(n, np.uint64)
        self.seen = 0
        self.broken = Few()
        """NaN or infinite."""
        self.zero = Few()
        self.shortest, self.longest, self.unit = np.inf, 0.0, True

    def add(self, block: np.ndarray) -> None:
        """Look at the next vectors, (rows, D) float32 C-contiguous."""
        squares, end = np.empty(len(block)), self.seen + len(block)
        self.kernels.squared_lengths(block, squares)
        self.kernels.row_hashes(block.view(np.uint32), self.hashes[self.seen : end])
        self.broken.add(self.seen, ~np.isfinite(squares))
        self.zero.add(self.seen, squares == 0)
        lengths = np.sqrt(squares)
        self.shortest = min(self.shortest, float(lengths.min(initial=np.inf)))
        self.longest = max(self.longest, float(lengths.max(initial=0)))
        self.unit = self.unit and bool((np.abs(lengths - 1) <= _UNIT).all())
        self.seen = end

    def copies(self) -> int:
        """Return how many vectors equal an earlier one; call it once, at the end."""
        self.hashes.sort()
        return int((self.hashes[1:] == self.hashes[:-1]).sum())


class Few:
    """The number of some positions, and the first of them."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[int] = []

    def add(self, start: int, marked: np.ndarray) -> None:
        """Add the positions that are `marked` (rows,) bool, counted from `start`."""
        if found := int(marked.sum()):
            self.count += found
            self.first += (start + np.flatnonzero(marked)[:_FEW]).tolist()

    def names(self, ids: Sequence[str]) -> str:
        """Return the first of their ids, for a message."""
        more = ", …" if self.count > _FEW else ""
        return ", ".join(ids[position] for position in self.first[:_FEW]) + more


def ingest(
    stream: VectorStream, cache: Path, name: str, ids: Sequence[str], what: str, bar: Progress
) -> Ingested:
    """Return what a pass over `stream` finds, from an earlier one if nothing has changed since.

    `name` and `ids` name the source and its vectors in messages, `what` is ``"document"`` or
    ``"query"``. Raises DataError for vectors without a direction (NaN, infinite, all-zero) and for
    a file that changes while it is read, UsageError if the disk has no room.
    """
    identity = _identity(stream)
    record = _record(identity, cache)
    key = record.stem
    for folder in (record.parent, cache / "matrices"):
        make_folder(folder)
    with filelock.FileLock(cache / f"{key}.lock"):
        earlier = _recorded(record, cache)
        if earlier is not None:
            return earlier
        found = _read(stream, cache, key, name, ids, what, bar)
        if _identity(stream) != identity:
            raise DataError(f"{name}: {stream.files[0]} has changed while it was read; run again")
        write_checked(record, asdict(found))
    return found


def known(stream: VectorStream, cache: Path) -> Ingested | None:
    """Return what an earlier pass found; None if there is none, or something has changed since."""
    return _recorded(_record(_identity(stream), cache), cache)


def _record(identity: list[Any], cache: Path) -> Path:
    key = hashlib.blake2b(json.dumps(identity).encode(), digest_size=16).hexdigest()
    return cache / "ingested" / f"{key}.json"


def _identity(stream: VectorStream) -> list[Any]:
    """Return what the content follows from, without reading it."""
    known = stream.fingerprint or [
        (str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ino)
        for path, stat in ((path, path.stat()) for path in stream.files)
    ]
    return [_LAYOUT, stream.shape, stream.details, known]


def _recorded(record: Path, cache: Path) -> Ingested | None:
    """Return what an earlier pass found, if the vectors are still there."""
    try:
        kept = read_checked(record)
        found = Ingested(**kept | {"shape": tuple(kept["shape"])})
        open_place(cache, found.place)
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return found


def _read(
    stream: VectorStream,
    cache: Path,
    key: str,
    name: str,
    ids: Sequence[str],
    what: str,
    bar: Progress,
) -> Ingested:
    matrices = cache / "matrices"
    copied = None if stream.offset is not None else matrices / f"{key}.npy"
    if copied is not None:
        _check_room(copied, 4 * stream.shape[0] * stream.shape[1], name)
    look, content = Look(len(stream)), hashlib.sha256(str(stream.shape).encode())
    plural = {"document": "documents", "query": "queries"}[what]
    task = bar.add_task(f"reading vectors of {plural}", total=len(stream))
    # The digest takes as long as all the rest, and releases the interpreter's lock.
    with ThreadPoolExecutor(1) as beside, _opened(copied, stream.shape) as file:
        for block in stream.blocks():
            hashed = beside.submit(content.update, block.data)
            look.add(block)
            if file is not None:
                file.write(block.data)
            hashed.result()
            bar.advance(task, len(block))
        for found, fault in (
            (look.broken, "contain NaN or infinite numbers"),
            (look.zero, "are all-zero vectors, which have no direction"),
        ):
            if found.count:
                raise DataError(
                    f"{name}: {found.count} {plural} {fault}: {found.names(ids)}; remove them"
                )
        place: Place = content.hexdigest()[:32]
        if file is None:
            place = place_of(stream)
        else:
            file.flush()
            settle(Path(file.name), matrices / f"{place}.npy")
    return Ingested(
        content=content.hexdigest(),
        shape=stream.shape,
        unit=look.unit,
        shortest=look.shortest,
        longest=look.longest,
        copies=look.copies(),
        place=place,
    )


@contextlib.contextmanager
def _opened(path: Path | None, shape: tuple[int, int]) -> Iterator[Any]:
    """Open a partial file of a matrix to write its rows to, or nothing; an error removes it."""
    if path is None:
        yield None
        return
    with unfinished(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        yield file


def _check_room(path: Path, needed: int, name: str) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise UsageError(
            f"{name}: its vectors take {needed} bytes and the cache {path.parent.parent} has "
            f"{free} free; make room, or set MATRYOSHKA_BENCH_CACHE"
        )


def unwritable(cache: Path, error: OSError) -> UsageError:
    """Return the error to raise if a file of the cache cannot be written."""
    hint = ""
    if error.errno == errno.ENOSPC:
        hint = "; free some space and run again: the encoding resumes"
    return UsageError(f"the cache {cache} cannot be written: {error.strerror or error}{hint}")


# ---------------------------------------------------------------------------------- the places


def place_of(stream: VectorStream) -> dict[str, Any]:
    """Return the place of vectors that are mapped in their only file."""
    (path,) = stream.files
    stat = path.stat()
    return {
        "path": str(path.absolute()),
        "offset": stream.offset,
        "shape": list(stream.shape),
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
    }


def open_place(cache: Path, place: Place) -> np.memmap:
    """Map the vectors at a place, (n, D) float32.

    Raises OSError or ValueError for a matrix that is absent or damaged, DataError for a file that
    has changed since it was read.
    """
    if isinstance(place, str):
        return mapped_matrix(cache / "matrices" / f"{place}.npy")
    check(place)
    n, width = place["shape"]
    return np.memmap(place["path"], "<f4", "r", place["offset"], (n, width))


def check(place: Place) -> None:
    """Raise DataError if the vectors at a place are in a file that has changed since."""
    if isinstance(place, str):
        return
    path = Path(place["path"])
    try:
        stat = path.stat()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read any more: {error.strerror}; its vectors are not copied, so put "
            "it back or name another file"
        ) from error
    if (stat.st_size, stat.st_mtime_ns) != (place["size"], place["mtime_ns"]):
        raise DataError(f"{path} has changed since it was read; run the study again")
