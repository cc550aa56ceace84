"""Vectors that are read block by block, because they may be larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from bench.errors import DataError

_BLOCK_BYTES = 16 * 2**20
_MOST_HELD = 4 * 2**30
"""Bytes that query vectors may take: they are held in memory, in every worker."""


@dataclass(frozen=True)
class VectorStream:
    """Vectors (n, D) that are read in blocks, as often as needed."""

    shape: tuple[int, int]
    read: Callable[[], Iterator[np.ndarray]]
    """Yields all rows in order, in blocks (rows, D) of any numeric type."""
    files: tuple[Path, ...] = ()
    """What the vectors are read from: they are not read again while these are unchanged."""
    details: str = ""
    """What else decides the content, such as the name of a column."""
    offset: int | None = None
    """Where the rows begin in the only file, if it holds them as float32 in row order.

    Such a file is mapped where it is, not copied.
    """
    fingerprint: str = ""
    """Identity of the content, if it is known without reading."""

    def __len__(self) -> int:
        """Return the number of vectors."""
        return self.shape[0]

    def blocks(self) -> Iterator[np.ndarray]:
        """Yield all rows in order, (rows, D) float32 C-contiguous.

        Raises DataError if the source cannot be read, or has not the promised shape.
        """
        count = 0
        try:
            for block in self.read():
                if block.ndim != 2 or block.shape[1] != self.shape[1]:
                    raise DataError(f"{self._source}: the vectors have different widths")
                count += len(block)
                if count > len(self):
                    raise DataError(f"{self._source}: there are more than {len(self)} vectors")
                with np.errstate(over="ignore"):  # an overflow becomes infinite: reported later
                    yield np.ascontiguousarray(block, dtype=np.float32)
        except OSError as error:
            raise DataError(f"{self._source} cannot be read: {error.strerror or error}") from error
        if count != len(self):
            raise DataError(f"{self._source}: {count} vectors were read instead of {len(self)}")

    def held(self, name: str) -> np.ndarray:
        """Return all vectors, (n, D) float32; raises DataError if they are too many to hold."""
        size = 4 * self.shape[0] * self.shape[1]
        if size > _MOST_HELD:
            raise DataError(f"{name} take {size} bytes, more than {_MOST_HELD}; give fewer of them")
        return np.concatenate(list(self.blocks()))

    @property
    def _source(self) -> str:
        return str(self.files[0]) if self.files else "the stream of vectors"


def array_stream(
    array: np.ndarray, *, fingerprint: str = "", files: tuple[Path, ...] = ()
) -> VectorStream:
    """Return a stream of the blocks of an array (n, D), which may be a memory map."""
    n, width = array.shape
    step = block_rows(width, array.dtype.itemsize)

    def read() -> Iterator[np.ndarray]:
        return (array[start : start + step] for start in range(0, n, step))

    return VectorStream((n, width), read, files, fingerprint=fingerprint)


def chained(streams: Sequence[VectorStream]) -> VectorStream:
    """Return one stream of several; raises DataError if their widths differ."""
    if len(streams) == 1:
        return streams[0]
    first, files = streams[0], [file for stream in streams for file in stream.files]
    for stream in streams:
        if stream.shape[1] != first.shape[1]:
            raise DataError(
                f"{stream.files[0]} has vectors of {stream.shape[1]} dimensions, "
                f"{first.files[0]} of {first.shape[1]}"
            )
    return VectorStream(
        (sum(map(len, streams)), first.shape[1]),
        lambda: chain.from_iterable(stream.blocks() for stream in streams),
        tuple(files),
        first.details,
    )


def block_rows(width: int, item_bytes: int = 4) -> int:
    """Return the rows of a block, which becomes float32."""
    return max(1, _BLOCK_BYTES // max(1, width * max(4, item_bytes)))
