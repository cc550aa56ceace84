"""Read HDF5 in a child process, because a damaged file can hang or crash the library.

The child runs twice. First it describes the file, in JSON on its standard output. Then it copies
the arrays into .npy files, which the parent maps before it removes their folder.
"""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets._files import first_line
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
_BLOCK_BYTES = 64 * 2**20


def read_hdf5(
    path: Path, names: tuple[str, ...], attribute: str
) -> tuple[dict[str, np.ndarray], str | None]:
    """Return those arrays called `names` that the file has, and an attribute as text, or None.

    Each array is (n, D) float32, memory-mapped. Raises DataError for a damaged file, an array
    that is not 2-D or numeric, a shape larger than the file can hold, or a timeout.
    """
    found = json.loads(_child(path, DESCRIBE_SECONDS, "describe", attribute, *names))
    arrays: dict[str, dict[str, Any]] = found["arrays"]
    claimed = sum(_claimed(path, name, **array) for name, array in arrays.items())
    with tempfile.TemporaryDirectory(prefix="matryoshka-bench-") as folder:
        free = shutil.disk_usage(folder).free
        if claimed > free:
            raise DataError(
                f"{path}: its vectors take {claimed} bytes and {folder} has {free} free; "
                "make room, or set TMPDIR"
            )
        _child(path, COPY_SECONDS + claimed / _COPY_BYTES_PER_SECOND, "copy", folder, *arrays)
        # Map before the folder is removed: the pages live as long as the arrays.
        mapped = {name: np.load(Path(folder) / f"{name}.npy", mmap_mode="r") for name in arrays}
    return mapped, found["attribute"]


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


def _child(path: Path, seconds: float, *task: str) -> str:
    """Run this module on `path` and return its output; raises DataError if it fails."""
    command = [sys.executable, "-m", __name__, str(path.absolute()), *task]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=seconds
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(
            f"{path} is damaged, or its drive is too slow: not read within {seconds:.0f} s; "
            "write the file anew"
        ) from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise DataError(
            f"{path} is damaged: the HDF5 library crashed on it ({name}); write the file anew"
        )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise DataError(
            f"{path} cannot be read as HDF5: {lines[-1] if lines else 'no reason given'}"
        )
    return done.stdout


# ----------------------------------------------------------------------------- inside the child


def _main(path: str, task: str, argument: str, *names: str) -> None:
    import h5py

    _limit_memory()
    with h5py.File(path, "r") as file:
        arrays = {name: file[name] for name in names if isinstance(file.get(name), h5py.Dataset)}
        if task == "describe":
            print(json.dumps({"arrays": _shapes(arrays), "attribute": _attribute(file, argument)}))
        else:
            # If the chunks span the array, it is copied as one block.
            _limit_memory(max((array.nbytes for array in arrays.values()), default=0))
            for name, array in arrays.items():
                _copy(array, Path(argument) / f"{name}.npy")


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
        name: {"shape": list(a.shape or ()), "kind": a.dtype.kind, "dtype": str(a.dtype)}
        for name, a in arrays.items()
    }


def _attribute(file: Any, name: str) -> str | None:
    value = file.attrs.get(name)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return None if value is None else str(value)


def _copy(array: Any, path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": array.shape}
        )
        for rows in _row_blocks(array):
            with np.errstate(over="ignore"):  # an overflow becomes infinite and is reported later
                np.ascontiguousarray(array[rows], dtype="<f4").tofile(file)


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
