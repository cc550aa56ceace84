"""One trial's search with all its steps, over an index configured for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.backends import Backend
from bench.measuring.buffers import singles
from bench.measuring.prepared import StoredVectors
from bench.measuring.stages import Cold, MultiStage, rescored, steps
from bench.measuring.texts import Texts
from bench.study.plan import Trial, parameters
from bench.study.schema import DISK, NATIVE, SHORTLIST, VECTORS, reads_texts


@dataclass(frozen=True)
class Index:
    """A built index with the data that every search over it shares."""

    backend: Backend
    queries: np.ndarray
    """(q, ·) float32 unit length, as the backend takes them."""
    stored_queries: np.ndarray
    """(q, D) float32 unit length, mapped: later stages score with them."""
    stored: StoredVectors
    full_dim: int
    own: np.ndarray | None
    """(q,) int64: the document identical to each query, to leave out; None if there are none."""
    texts: Texts

    @cached_property
    def singles(self) -> list[np.ndarray]:
        """Each of `queries`, (1, ·), at a cache line of its own."""
        return singles(self.queries)

    @cached_property
    def stored_singles(self) -> list[np.ndarray]:
        """Each of `stored_queries`, (1, D), at a cache line of its own."""
        return singles(self.stored_queries)

    @property
    def extra(self) -> int:
        """Results requested beyond k, to make up for a query's own document."""
        return 0 if self.own is None else 1


class Search:
    """One trial's search; use it before another trial configures the same index."""

    def __init__(self, index: Index, trial: Trial) -> None:
        self.index = index
        self.trial = trial
        self.asked = trial.k + index.extra
        self.stages = parameters(trial.stages)
        self.native = bool(self.stages.get(NATIVE))
        self.reads_texts = reads_texts(self.stages)
        self.cold: Cold | None = None
        self.second_bytes = 0
        index.backend.configure(**parameters(trial.search_params))
        if self.stages:
            self._prepare_stages()

    def _prepare_stages(self) -> None:
        shortlist = self.stages[SHORTLIST] + self.index.extra
        keep = shortlist if self.reads_texts else self.asked
        self.steps = steps(self.stages, self.trial.dim, self.index.full_dim, keep)
        stored: np.ndarray
        if self.stages.get(VECTORS) == DISK:
            mapped, unit = self.index.stored.disk()
            self.cold, stored = Cold(mapped), mapped
        else:
            stored, unit = self.index.stored.memory, True
        self.multi = MultiStage(self.index.backend, stored, shortlist, self.steps, unit)
        # A backend that rescores by itself has counted its own vectors.
        if self.steps and not self.native:
            self.second_bytes = len(stored) * self.steps[-1].dimension * 4
        self.index.texts.load(self.stages)

    @property
    def resident_bytes(self) -> int:
        """Bytes that later stages keep in memory."""
        words = self.index.texts.size_bytes(self.stages)
        return words + (0 if self.cold else self.second_bytes)

    @property
    def disk_bytes(self) -> int:
        """Bytes that later stages read from disk."""
        return self.second_bytes if self.cold else 0

    def all(self) -> np.ndarray:
        """Search for all queries in one call; return ids (q, asked) int64, best first, -1 pads."""
        queries = self.index.queries
        if self.native:
            return self.index.backend.search_stages(queries, self.multi.shortlist, self.asked)
        if self.stages:
            shortlists = self.index.backend.search(queries, self.multi.shortlist)
            return self.narrow(shortlists, range(len(queries)))
        return self.index.backend.search(queries, self.asked)

    def narrow(self, shortlists: np.ndarray, rows: range) -> np.ndarray:
        """Run the later stages of the queries at `rows`: (r, s) int64 → ids (r, asked) int64."""
        queries = self.index.stored_queries[rows.start : rows.stop]
        found = self.multi.narrow(shortlists, queries)
        if self.reads_texts:
            return self.index.texts.finish(self.stages, found, rows, self.asked)
        return found

    def one(self, position: int) -> np.ndarray:
        """Search for one query: the call that is timed; return ids (1, asked) int64."""
        query = self.index.singles[position]
        if self.native:
            return self.index.backend.search_stages(query, self.multi.shortlist, self.asked)
        if self.reads_texts:
            shortlists = self.index.backend.search(query, self.multi.shortlist)
            return self.narrow(shortlists, range(position, position + 1))
        if self.stages:
            return self.multi.search(query, self.index.stored_singles[position])
        return self.index.backend.search(query, self.asked)

    def bytes_read(self, count: int) -> float | None:
        """Return the bytes of vectors read per query, by the index and the later stages.

        The mean over the first `count` queries; None if the index does not count them, or if a
        later stage reads texts.
        """
        if self.native or self.reads_texts:
            return None
        shortlist = self.multi.shortlist if self.stages else 0
        queries = self.index.queries[:count]
        read = self.index.backend.bytes_read(queries, max(self.asked, shortlist))
        if read is None or not self.stages:
            return read
        kept, start = shortlist, 0
        for step in self.steps:
            read += kept * (step.dimension - start) * 4
            kept, start = step.keep, step.dimension
        return read

    def exhaustive(self, nearest: np.ndarray) -> np.ndarray:
        """Return this trial's results if its index returned `nearest`, (q, ≥k) int64."""
        if not self.stages:
            return nearest[:, : self.trial.k]
        stored, queries = self.index.stored.memory, self.index.stored_queries
        found = rescored(nearest, self.stages, self.trial.dim, self.trial.k, stored, queries)
        if self.reads_texts:
            return self.index.texts.finish(self.stages, found, range(len(found)), self.trial.k)
        return found

    def before(self) -> Callable[[], None] | None:
        """Return a function to call before each query, outside the clock; None for none."""
        return self.cold.drop if self.cold else None

    def close(self) -> None:
        """Close the file that later stages read."""
        if self.cold is not None:
            self.cold.close()


def without_own(ids: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """Remove each query's own document from (q, k + 1) ids, or the last result if it is absent."""
    if own is None:
        return ids
    drop = ids == own[:, None]
    drop[~drop.any(axis=1), -1] = True
    first = drop.argmax(axis=1)
    keep = np.ones_like(drop)
    keep[np.arange(len(ids)), first] = False
    return np.asarray(ids[keep].reshape(len(ids), -1))
