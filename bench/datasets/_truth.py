"""Ready ground truth: the nearest documents of each query, found by somebody else."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.datasets._arrays import map_npy, read_header, width_first
from bench.errors import DataError

SUFFIXES = (".ibin", ".ivecs")
"""Of files that are found by their name. Others have to be named, such as ``.npy`` or ``.bin``."""


def read_truth(path: Path) -> np.ndarray:
    """Return the documents' positions, (q, k) int64, best first.

    Formats: ``.ivecs`` of texmex; ``.npy`` of integers; else that of big-ann, which is two uint32
    (q and k), then q · k int32, and usually as many float32 distances, which are not read. Raises
    DataError for anything else.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file of ground truth")
    if path.suffix.lower() == ".ivecs":
        return np.concatenate(list(width_first(path, ".ivecs", str(path)).read())).astype(np.int64)
    if path.suffix.lower() == ".npy":
        array = map_npy(path)
        if array.ndim != 2 or array.dtype.kind not in "iu":
            raise DataError(
                f"{path}: ground truth is an array of whole numbers of shape (queries, k), "
                f"not {array.dtype} of shape {array.shape}"
            )
        return array.astype(np.int64)
    queries, k = (int(each) for each in read_header(path))
    if not queries or not k or path.stat().st_size - 8 not in (4 * queries * k, 8 * queries * k):
        raise DataError(
            f"{path} is no ground truth of big-ann: its size is not that of the {queries} queries "
            f"with {k} neighbours that it names first"
        )
    found = np.fromfile(path, "<i4", queries * k, offset=8)
    return found.reshape(queries, k).astype(np.int64)


def fitting(truth: np.ndarray, source: str, n: int, queries: int) -> tuple[np.ndarray | None, str]:
    """Return ground truth (q, k) that fits `n` documents and so many queries, or None and why."""
    reason = ""
    if len(truth) != queries:
        reason = f"it has {len(truth)} queries instead of {queries}"
    elif not truth.size:
        reason = "it is empty"
    elif truth.min() < 0 or truth.max() >= n:
        reason = f"it names documents outside the {n} of the corpus"
    elif (np.diff(np.sort(truth, axis=1), axis=1) == 0).any():
        reason = "it names a document twice for one query"
    return (None if reason else truth), _unused(source, reason) if reason else ""


def _unused(source: str, reason: str) -> str:
    return f"the ready ground truth {source} is not used: {reason}"
