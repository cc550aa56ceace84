"""Files of one array: .npy, .fvecs and .bvecs of texmex, .fbin, .u8bin, .i8bin of big-ann."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.datasets._files import first_line
from bench.datasets._stream import VectorStream, array_stream, block_rows
from bench.errors import DataError

_WIDTH_FIRST = {".fvecs": "<f4", ".bvecs": "|u1", ".ivecs": "<i4"}
_HEADER_FIRST = {".fbin": "<f4", ".u8bin": "|u1", ".i8bin": "|i1"}


def npy_stream(path: Path, what: str) -> VectorStream:
    """Return the vectors of a ``.npy`` file; float32 in row order is mapped.

    `what` names them in messages. Raises DataError for an array of another kind or shape.
    """
    array = map_npy(path)
    if array.ndim != 2 or array.dtype.kind not in "iuf":
        raise DataError(
            f"{what} must be an array of numbers of shape (n, D), "
            f"not {array.dtype} of shape {array.shape}"
        )
    if not array.size:
        raise DataError(f"{what} is empty")
    if not array.flags.c_contiguous:
        return array_stream(array, files=(path,))
    return rows_at(path, array.dtype, array.shape, array.offset)


def map_npy(path: Path) -> np.memmap:
    """Return the memory map of a ``.npy`` file; raises DataError for anything else."""
    try:
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
        with np.errstate(over="ignore"):  # for shapes too large for any file
            array: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
            return array
    except Exception as error:  # NumPy parses the header as Python, which can raise any error
        if "object" in str(error).lower() or _begins_like_a_pickle(path):
            raise DataError(
                f"{path} is a pickle or holds Python objects, which can run code when loaded: "
                "save a plain float array"
            ) from error
        raise DataError(
            f"{path} is not an array file: {first_line(error)}; save it with numpy.save"
        ) from error


def _begins_like_a_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def width_first(path: Path, suffix: str, what: str) -> VectorStream:
    """Return the vectors of ``.fvecs``, ``.bvecs`` or ``.ivecs``: each is its width and numbers.

    Raises DataError for a file of another form. Source: the texmex corpora of INRIA.
    """
    dtype = np.dtype(_WIDTH_FIRST[suffix])
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(4)
    width = int.from_bytes(start, "little", signed=True) if len(start) == 4 else 0
    row = 4 + width * dtype.itemsize
    if width < 1 or size % row:
        raise DataError(
            f"{path} is not an {suffix} file: each vector is its width and as many numbers"
        )

    def read() -> Iterator[np.ndarray]:
        for rows in _row_blocks(path, np.dtype("u1"), (size // row, row), 0):
            if (rows[:, :4].copy().view("<i4") != width).any():
                raise DataError(f"{path}: the vectors have different widths")
            yield rows[:, 4:].copy().view(dtype)

    return VectorStream((size // row, width), read, (path,))


def header_first(path: Path, suffix: str, what: str) -> VectorStream:
    """Return the vectors of ``.fbin``, ``.u8bin`` or ``.i8bin``; ``.fbin`` is mapped.

    Two uint32, the number of vectors and their width, come first. Raises DataError if the size of
    the file is another. Source: big-ann-benchmarks.
    """
    dtype = np.dtype(_HEADER_FIRST[suffix])
    n, width = (int(each) for each in read_header(path))
    if not n or not width or path.stat().st_size != 8 + n * width * dtype.itemsize:
        raise DataError(
            f"{path} is not an {suffix} file: its size is not that of the "
            f"{n} vectors of {width} dimensions that it names first"
        )
    return rows_at(path, dtype, (n, width), 8)


def read_header(path: Path) -> np.ndarray:
    """Return the two numbers that a file of big-ann begins with, (2,) int64."""
    header = np.fromfile(path, "<u4", 2).astype(np.int64)
    return header if len(header) == 2 else np.zeros(2, np.int64)


def rows_at(path: Path, dtype: np.dtype, shape: tuple[int, ...], offset: int) -> VectorStream:
    """Return vectors that lie in row order from `offset` on; float32 is mapped if it is aligned."""
    n, width = shape
    mapped = dtype == np.dtype("<f4") and offset % 4 == 0
    return VectorStream(
        (n, width),
        lambda: _row_blocks(path, dtype, (n, width), offset),
        (path,),
        offset=offset if mapped else None,
    )


def _row_blocks(
    path: Path, dtype: np.dtype, shape: tuple[int, int], offset: int
) -> Iterator[np.ndarray]:
    """Read rows: a file that shrinks gives an error here, where a mapped one ends the process."""
    n, width = shape
    step = block_rows(width, dtype.itemsize)
    with path.open("rb") as file:
        file.seek(offset)
        for start in range(0, n, step):
            block = np.fromfile(file, dtype, min(step, n - start) * width)
            yield block[: len(block) // width * width].reshape(-1, width)


ARRAYS: dict[str, Callable[[Path, str, str], VectorStream]] = {
    ".npy": lambda path, suffix, what: npy_stream(path, what),
    **dict.fromkeys((".fvecs", ".bvecs"), width_first),
    **dict.fromkeys(_HEADER_FIRST, header_first),
}
"""Suffix → reader (path, suffix, name in messages)."""
