"""Searches of more than one step: a shortlist at a low dimension, rescored at a higher one, or narrowed step by step.

One stored vector serves all of them: the index holds the prefix that the trial's dimension names, and the steps after it
score longer prefixes of the same mapped vectors, read from memory or from a file.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.backends import Backend
from bench.study.schema import DIMENSION, FUNNEL, SHORTLIST


@dataclass(frozen=True)
class Step:
    """One narrowing: score over the first `dimension` coordinates, keep the best `keep`."""

    dimension: int
    keep: int


def steps(stages: Mapping[str, Any], low: int, full: int, k: int) -> list[Step]:
    """Return the steps after the index's own, at dimension `low`, that `stages` asks for, as in a study.

    A funnel doubles the dimension from step to step and halves the list, never below `k`. Source: Kusupati et al. 2022.
    """
    last = stages.get(DIMENSION, full)
    found, dimension, keep = [], low, stages[SHORTLIST]
    while stages.get(FUNNEL) and 2 * dimension < last:
        dimension, keep = 2 * dimension, max(k, keep // 2)
        found.append(Step(dimension, keep))
    return [*found, Step(last, k)]


class MultiStage:
    """A backend's shortlist, narrowed with longer vectors. Source: Kusupati et al. 2022, adaptive retrieval and funnels."""

    def __init__(
        self,
        backend: Backend,
        vectors: np.ndarray,
        shortlist: int,
        narrowing: list[Step],
        unit: bool,
    ) -> None:
        """`vectors` (n, D) float32, possibly a memory map; `unit`: their rows are of unit length (or zero)."""
        # A memory map as the plain array that it is: the kernel is compiled for arrays.
        self.backend, self.vectors, self.shortlist, self.unit = (
            backend,
            np.asarray(vectors),
            shortlist,
            unit,
        )
        self.dimensions = np.array([step.dimension for step in narrowing])
        self.keeps = np.array([step.keep for step in narrowing])

    def search(self, queries: np.ndarray, full_queries: np.ndarray) -> np.ndarray:
        """`queries` as the backend takes them, `full_queries` (q, D) float32 → ids (q, k) int64, best first, -1 pads."""
        return self.narrow(self.backend.search(queries, self.shortlist), full_queries)

    def narrow(self, shortlists: np.ndarray, full_queries: np.ndarray) -> np.ndarray:
        """Do the steps after the index's own: (q, s) int64 with -1 pads → (q, k) int64."""
        from bench.measuring import rescoring

        found = np.empty((len(shortlists), int(self.keeps[-1])), dtype=np.int64)
        rescoring.rescore(
            self.vectors, self.unit, full_queries, shortlists, self.dimensions, self.keeps, found
        )
        return found


class Cold:
    """Drops a mapped file's pages, so that the next read comes from disk as in a large corpus."""

    def __init__(self, vectors: np.memmap) -> None:
        """`vectors` maps a file that this process does not write."""
        self.map = vectors._mmap  # type: ignore[attr-defined]
        self.file = os.open(str(vectors.filename), os.O_RDONLY)
        os.fsync(self.file)  # a page not yet written cannot be dropped
        self.map.madvise(mmap.MADV_RANDOM)

    def drop(self) -> None:
        """Drop every page of the file from this process and from the page cache."""
        self.map.madvise(mmap.MADV_DONTNEED)
        os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)
