"""Read HDF5 in a child process, because a damaged file can hang or crash the library.

A child describes the file, in JSON on its standard output. Another one writes the rows of an array
to its standard output, where the parent takes them block by block. What lies in the file as float32
in row order, neither chunked nor compressed, is mapped instead.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bench.datasets._arrays import rows_at
from bench.datasets._files import first_line
from bench.datasets._stream import VectorStream, block_rows
from bench.errors import DataError

DESCRIBE_SECONDS = 30.0
"""Time limit for opening a file and reading its attributes."""
COPY_SECONDS = 60.0
"""Time limit for copying, plus the time that the size needs on a slow network drive."""
_COPY_BYTES_PER_SECOND = 5e6
_MOST_INFLATED = 1032
"""Most bytes that deflate, the usual compression of HDF5, can expand one byte to."""
_MOST_MEMORY = 8 * 2**30
"""Memory limit of the child beyond its libraries and an array. HDF5 chunks are below 4 GiB."""
_BLOCK_BYTES = 16 * 2**20


def open_hdf5(
    path: Path, names: tuple[str, ...], attribute: str
) -> tuple[dict[str, VectorStream], str | None]:
    """Return those arrays called `names` that the file has, and an attribute as text, or None.

    Each array is (n, D). Integers come as int64 from `VectorStream.read`, others as float32. Raises
    DataError for a damaged file, an array that is not 2-D or numeric, a shape larger than the file
    can hold, one that lies in another file, or a timeout; reading the streams does so too.
    """
    found = json.loads(_described(path, "describe", attribute, *names))
    arrays: dict[str, dict[str, Any]] = found["arrays"]
    streams = {name: _stream(path, name, **array) for name, array in arrays.items()}
    return streams, found["attribute"]


def _stream(
    path: Path, name: str, shape: list[int], kind: str, dtype: str, offset: int | None
) -> VectorStream:
    size = _claimed(path, name, shape, kind, dtype)
    n, width = shape
    if offset is not None and offset + size <= path.stat().st_size:
        return rows_at(path, np.dtype("<f4"), (n, width), offset)
    wanted = "<f4" if kind == "f" or dtype == "uint64" else "<i8"
    read = partial(_rows, path, name, (n, width), np.dtype(wanted))
    return VectorStream((n, width), read, (path,), name)


def _claimed(path: Path, name: str, shape: list[int], kind: str, dtype: str) -> int:
    """Return the size of an array as float32, bytes; raises DataError if it cannot be right."""
    if len(shape) != 2 or kind not in "iuf":
        raise DataError(
            f"{path}: '{name}' must be an array of numbers of shape (n, D), "
            f"not {dtype} of shape {tuple(shape)}"
        )
    if not all(shape):
        raise DataError(f"{path}: '{name}' is empty")
    count = math.prod(shape)
    if count > _MOST_INFLATED * path.stat().st_size:
        raise DataError(
            f"{path}: '{name}' claims {count} numbers, more than a file of its size can hold"
        )
    return 4 * count


def _described(path: Path, *task: str) -> str:
    """Run this module on `path` and return its output; raises DataError if it fails."""
    try:
        done = subprocess.run(
            _command(path, *task),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=DESCRIBE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise _too_slow(path, DESCRIBE_SECONDS) from error
    _check(path, done.returncode, done.stderr)
    return done.stdout


def _rows(path: Path, name: str, shape: tuple[int, int], dtype: np.dtype) -> Iterator[np.ndarray]:
    """Yield the rows of an array as a child writes them; raises DataError if it fails."""
    n, width = shape
    step, size = block_rows(width, dtype.itemsize), width * dtype.itemsize
    seconds = COPY_SECONDS + n * size / _COPY_BYTES_PER_SECOND
    late = threading.Event()
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            _command(path, "copy", dtype.str, name), stdout=subprocess.PIPE, stderr=complaints
        ) as child,
    ):

        def stop() -> None:
            late.set()
            child.kill()

        watch = threading.Timer(seconds, stop)
        watch.start()
        try:
            assert child.stdout is not None
            for start in range(0, n, step):
                data = child.stdout.read(min(step, n - start) * size)
                if len(data) < min(step, n - start) * size:
                    break
                yield np.frombuffer(data, dtype).reshape(-1, width)
            child.wait()
        finally:
            watch.cancel()
            child.kill()
        if late.is_set():
            raise _too_slow(path, seconds)
        complaints.seek(0)
        _check(path, child.returncode, complaints.read().decode(errors="replace"))


def _command(path: Path, *task: str) -> list[str]:
    return [sys.executable, "-m", __name__, str(path.absolute()), *task]


def _too_slow(path: Path, seconds: float) -> DataError:
    return DataError(
        f"{path} is damaged, or its drive is too slow: not read within {seconds:.0f} s; "
        "write the file anew"
    )


def _check(path: Path, status: int, complaints: str) -> None:
    """Raise DataError if a child crashed or refused the file."""
    if status < 0:
        name = signal.Signals(-status).name
        raise DataError(
            f"{path} is damaged: the HDF5 library crashed on it ({name}); write the file anew"
        )
    if status:
        lines = complaints.strip().splitlines()
        raise DataError(
            f"{path} cannot be read as HDF5: {lines[-1] if lines else 'no reason given'}"
        )


# ----------------------------------------------------------------------------- inside the child


def _main(path: str, task: str, argument: str, *names: str) -> None:
    import h5py

    _limit_memory()
    with h5py.File(path, "r") as file:
        arrays = {name: file[name] for name in names if isinstance(file.get(name), h5py.Dataset)}
        for name, array in arrays.items():
            # A link, an external or a virtual array would read whatever file it names.
            if array.is_virtual or array.external or array.file.id != file.id:
                raise ValueError(f"'{name}' lies in another file; write its numbers into this one")
        if task == "describe":
            print(json.dumps({"arrays": _shapes(arrays), "attribute": _attribute(file, argument)}))
        else:
            # If the chunks span the array, it is copied as one block.
            _limit_memory(max((array.nbytes for array in arrays.values()), default=0))
            for array in arrays.values():
                _copy(array, argument, sys.stdout.buffer)


def _limit_memory(array_bytes: int = 0) -> None:
    """Limit memory to the need of a sound file: a damaged one can claim any size."""
    import resource

    import psutil

    limit = psutil.Process().memory_info().vms + _MOST_MEMORY + array_bytes
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    resource.setrlimit(
        resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard)
    )


def _shapes(arrays: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "shape": list(a.shape or ()),
            "kind": a.dtype.kind,
            "dtype": str(a.dtype),
            "offset": _offset(a),
        }
        for name, a in arrays.items()
    }


def _offset(array: Any) -> int | None:
    """Return where the rows begin in the file, or None if they cannot be mapped there."""
    if array.dtype.str != "<f4" or array.chunks:
        return None
    offset: int | None = array.id.get_offset()
    return offset


def _attribute(file: Any, name: str) -> str | None:
    value = file.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


def _copy(array: Any, dtype: str, file: BinaryIO) -> None:
    for rows in _row_blocks(array):
        with np.errstate(over="ignore"):  # an overflow becomes infinite and is reported later
            file.write(np.ascontiguousarray(array[rows], dtype=dtype).data)


def _row_blocks(array: Any) -> Iterator[slice]:
    """Yield the rows in blocks of whole chunks, so that no chunk is decompressed twice."""
    chunk = array.chunks[0] if array.chunks else 1
    rows = max(1, _BLOCK_BYTES // (chunk * array.shape[1] * array.dtype.itemsize)) * chunk
    for start in range(0, array.shape[0], rows):
        yield slice(start, start + rows)


if __name__ == "__main__":
    try:
        _main(*sys.argv[1:])
    except Exception as error:  # the library raises many types of error on a damaged file
        sys.exit(first_line(error))
