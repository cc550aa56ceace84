"""Vectors in mapped files: read where they lie, shared between processes, no copy held.

Small vectors are copied into memory all the same. The copy lies in huge pages like any index, so
that an index and what it is compared with differ in nothing but the search.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from bench import machine

COPIED_BYTES = 256 * 2**20
"""Vectors of at most so many bytes are copied into memory; larger ones stay in their file."""
_HUGE_BYTES = 2 * 2**20
_MADV_POPULATE_READ = 22


def is_small(n: int, dimension: int) -> bool:
    """Return whether (n, dimension) float32 vectors are copied into memory."""
    return 4 * n * dimension <= COPIED_BYTES


def filled(shape: tuple[int, int], blocks: Iterable[np.ndarray], folder: Path) -> np.ndarray:
    """Return vectors of `shape`, float32, that `blocks` give from the first row on.

    Large ones are mapped from a file in `folder` that has no name: it goes with this process.
    """
    if is_small(*shape):
        vectors, start = np.empty(shape, dtype=np.float32), 0
        for block in blocks:
            vectors[start : start + len(block)] = block
            start += len(block)
        return vectors
    with tempfile.TemporaryFile(dir=folder) as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype=np.float32).data)
        file.flush()
        os.fsync(file.fileno())  # or the kernel writes it while something is timed
        return np.asarray(np.memmap(file, np.float32, "r+", shape=shape))


def as_read(vectors: np.ndarray) -> None:
    """Ask for huge pages where the mapped file of `vectors` is read from now on."""
    if (file := _map_of(vectors)) is not None:
        with contextlib.suppress(OSError):
            file.madvise(mmap.MADV_HUGEPAGE)


def in_huge_pages(vectors: np.ndarray) -> None:
    """Read a mapped file into the page cache in huge pages, where the kernel can.

    What the cache holds in small pages is dropped and read again. A scan of small pages is 5 to 9 %
    slower than one of an index that lies in huge pages.
    """
    as_read(vectors)
    populate(vectors)
    name = getattr(vectors, "filename", None)
    if name is None or 2 * machine.huge_bytes(vectors.ctypes.data) > vectors.nbytes:
        return
    release(vectors)
    with contextlib.suppress(OSError):
        file = os.open(str(name), os.O_RDONLY)
        try:
            os.fsync(file)  # a page not yet written cannot be dropped
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)
    populate(vectors)


def populate(vectors: np.ndarray) -> None:
    """Map every page of mapped `vectors`, so that their memory counts before a build."""
    if (file := _map_of(vectors)) is not None:
        with contextlib.suppress(OSError):
            file.madvise(_MADV_POPULATE_READ)


def release(vectors: np.ndarray) -> None:
    """Unmap the pages of mapped `vectors`; a later read maps them again."""
    if (file := _map_of(vectors)) is not None:
        file.madvise(mmap.MADV_DONTNEED)


def _map_of(vectors: np.ndarray) -> mmap.mmap | None:
    """Return the map that `vectors` are a view of; None if they lie in memory."""
    owner: object = vectors
    while isinstance(owner, np.ndarray):
        owner = owner.base
    return owner if isinstance(owner, mmap.mmap) else None
