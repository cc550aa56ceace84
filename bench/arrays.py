"""Arrays that this package keeps in files: read whole, or refused before memory is asked for."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np


def is_archive(path: Path) -> bool:
    """Return whether a file is an ``.npz`` of `numpy.savez` whose every byte fits its checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(map(_is_stored, archive.infolist())) and archive.testzip() is None
    except Exception:  # zipfile raises many types of error on a damaged file
        return False


def read_array(path: Path, name: str) -> np.ndarray:
    """Return one array of an ``.npz`` file that `numpy.savez` wrote.

    Raises ValueError with the reason in one line for a file that is absent or damaged, and for an
    array that is compressed or claims more numbers than it holds.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _member(archive, archive.getinfo(f"{name}.npy"))
    except Exception as error:  # zipfile raises many types of error on a damaged file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(reason) from error


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return all arrays of an ``.npz`` file by name; raises ValueError as `read_array` does."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [each.removesuffix(".npy") for each in archive.namelist()]
    except Exception as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return {name: read_array(path, name) for name in names}


def mapped_matrix(path: Path) -> np.memmap:
    """Return the memory map of an ``.npy`` file of this package, (n, d) float32 in row order.

    Raises ValueError or OSError if the file is another, or has another size than it claims.
    """
    try:
        with np.errstate(over="ignore"):  # for shapes too large for any file
            matrix: np.memmap = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError:
        raise
    except Exception as error:  # NumPy parses the header as Python, which can raise any error
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    if matrix.dtype.str != "<f4" or matrix.ndim != 2 or not matrix.flags.c_contiguous:
        raise ValueError(f"it holds {matrix.dtype} of shape {matrix.shape}")
    if path.stat().st_size != matrix.offset + matrix.nbytes:
        raise ValueError(f"its size is not that of {matrix.shape[0]} rows")
    return matrix


def _is_stored(member: zipfile.ZipInfo) -> bool:
    return member.compress_type == zipfile.ZIP_STORED and member.file_size == member.compress_size


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if not _is_stored(member):
        raise ValueError(f"{member.filename} is compressed, and this package never does that")
    data = archive.read(member)  # compared with its checksum
    file = io.BytesIO(data)
    major, _ = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0
    if major != 1:
        read = np.lib.format.read_array_header_2_0
    shape, is_fortran, dtype = read(file)
    count = int(np.prod([int(each) for each in shape], dtype=object))
    if dtype.hasobject or count * dtype.itemsize != len(data) - file.tell():
        raise ValueError(f"{member.filename} does not hold the {shape} numbers that it claims")
    values = np.frombuffer(data, dtype, count, file.tell())
    return values.reshape(shape, order="F" if is_fortran else "C")
