"""Searches of several steps: a shortlist at a low dimension, then rescored at higher ones.

One stored vector serves all steps. The index holds its prefix at the trial's dimension. Later steps
score longer prefixes of the same mapped vectors, read from memory or from a file.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.backends import Backend
from bench.study.schema import DIMENSION, FUNNEL, SHORTLIST, reads_texts, rescores


@dataclass(frozen=True)
class Step:
    """One narrowing: score over the first `dimension` coordinates, keep the best `keep`."""

    dimension: int
    keep: int


def steps(stages: Mapping[str, Any], low: int, full: int, k: int) -> list[Step]:
    """Return the steps that `stages` (as in a study) adds to the index's own, at dimension `low`.

    A funnel doubles the dimension from step to step and halves the list, never below `k`. There is
    no step if only texts are read. Source: Kusupati et al. 2022.
    """
    if not rescores(stages):
        return []
    last = stages.get(DIMENSION, full)
    found, dimension, keep = [], low, stages[SHORTLIST]
    while stages.get(FUNNEL) and 2 * dimension < last:
        dimension, keep = 2 * dimension, max(k, keep // 2)
        found.append(Step(dimension, keep))
    return [*found, Step(last, k)]


def rescored(
    nearest: np.ndarray,
    stages: Mapping[str, Any],
    low: int,
    k: int,
    stored: np.ndarray,
    queries: np.ndarray,
) -> np.ndarray:
    """Return what the later steps make of an index's results, ids (q, k) int64.

    `nearest` (q, ≥shortlist) int64 were found at dimension `low`, best first. `stored` (n, D) and
    `queries` (q, D) float32 are of unit length. A query's own document is left out already. What
    texts add is not done here: for them the shortlist is returned in its new order.
    """
    # What texts rank is the whole shortlist.
    keep = stages[SHORTLIST] if reads_texts(stages) else k
    narrowing = steps(stages, low, stored.shape[1], keep)
    shortlists = np.ascontiguousarray(nearest[:, : stages[SHORTLIST]])
    if not narrowing:
        return shortlists
    return _narrowed(stored, True, *_arrays(narrowing), shortlists, queries)


def _arrays(narrowing: list[Step]) -> tuple[np.ndarray, np.ndarray]:
    """Return dimensions and lengths of the steps, as the kernel takes them."""
    return np.array([step.dimension for step in narrowing]), np.array([s.keep for s in narrowing])


def _narrowed(
    vectors: np.ndarray,
    unit: bool,
    dimensions: np.ndarray,
    keeps: np.ndarray,
    shortlists: np.ndarray,
    queries: np.ndarray,
) -> np.ndarray:
    """Run the later steps: shortlists (q, s) int64 with -1 pads → ids (q, k) int64."""
    from bench.measuring import rescoring

    found = np.empty((len(shortlists), int(keeps[-1])), dtype=np.int64)
    rescoring.rescore(vectors, unit, queries, shortlists, dimensions, keeps, found)
    return found


class MultiStage:
    """A backend's shortlist, narrowed with longer vectors.

    Source: Kusupati et al. 2022, adaptive retrieval and funnels.
    """

    def __init__(
        self,
        backend: Backend,
        vectors: np.ndarray,
        shortlist: int,
        narrowing: list[Step],
        unit: bool,
    ) -> None:
        """Narrow with `vectors` (n, D) float32, possibly a memory map.

        `unit`: all their rows are of unit length, or zero.
        """
        self.backend = backend
        self.vectors = np.asarray(vectors)  # the kernel is compiled for arrays, not memory maps
        self.shortlist = shortlist
        self.unit = unit
        self.dimensions, self.keeps = _arrays(narrowing)

    def search(self, queries: np.ndarray, full_queries: np.ndarray) -> np.ndarray:
        """Search and narrow; return ids (q, k) int64, best first, -1 pads.

        `queries` as the backend takes them; `full_queries` (q, D) float32.
        """
        return self.narrow(self.backend.search(queries, self.shortlist), full_queries)

    def narrow(self, shortlists: np.ndarray, full_queries: np.ndarray) -> np.ndarray:
        """Run the later steps: shortlists (q, s) int64 with -1 pads → ids (q, k) int64."""
        if not len(self.keeps):
            return shortlists
        return _narrowed(
            self.vectors, self.unit, self.dimensions, self.keeps, shortlists, full_queries
        )


class Cold:
    """Drops a mapped file's pages, so that the next read comes from disk as in a large corpus."""

    def __init__(self, vectors: np.memmap) -> None:
        """Open the file that `vectors` maps; this process must not write it."""
        self.map = vectors._mmap  # type: ignore[attr-defined]
        self.file = os.open(str(vectors.filename), os.O_RDONLY)
        os.fsync(self.file)  # a page not yet written cannot be dropped
        # A huge page would be read whole: of a small corpus, all vectors at once.
        with contextlib.suppress(OSError):
            self.map.madvise(mmap.MADV_NOHUGEPAGE)
        self.map.madvise(mmap.MADV_RANDOM)

    def drop(self) -> None:
        """Drop every page of the file from this process and from the page cache."""
        self.map.madvise(mmap.MADV_DONTNEED)
        os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_DONTNEED)

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)
