"""Quality alone: what an exhaustive search finds at a precision, and after a rescore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from bench.backends._exhaustive import Exhaustive, is_timed
from bench.backends.precisions import FLOAT32
from bench.codes.table import NO_KERNEL
from bench.embeddings.sets import Embeddings
from bench.exact.one_pass import exact_search
from bench.measuring.jobs import ExactJob
from bench.measuring.prepared import (
    ExactResults,
    StoredVectors,
    reduced,
    unit_vectors,
)
from bench.measuring.search import without_own
from bench.measuring.stages import rescored, steps
from bench.measuring.texts import Texts
from bench.reducers import Reducer
from bench.study.plan import Trial, parameters
from bench.study.schema import DISK, VECTORS, reads_texts
from bench.vectors import normalise

_DEPTH = 1024
"""Documents first looked at for the relevant ones of a query; those that hide deeper cost more."""
_MOST_RESULTS = 2**22


@dataclass(frozen=True)
class _Quantised:
    """What the reference finds with vectors of one dimension and precision."""

    ids: np.ndarray
    """(q, depth) int64, best first."""
    bytes_per_vector: float
    code_bytes: float
    ranks: np.ndarray | None
    """(p,) int64, of `Embeddings.relevant_pairs`; None without judgements."""


class Untimed:
    """Searches every vector at each trial's precision, as the reference does, without a clock."""

    def __init__(
        self, job: ExactJob, embeddings: Embeddings, reducer: Reducer, results: ExactResults
    ) -> None:
        """`results` hold what exact search in float32 found, at the depth of `job`."""
        self._job = job
        self._embeddings = embeddings
        self._reducer = reducer
        self._results = results
        # The trials over one set of codes follow each other.
        self._quantised = lru_cache(1)(self._search)
        self._reduced = lru_cache(1)(lambda dim: reduced(reducer, embeddings, dim))
        self._queries = normalise(embeddings.queries)
        self._texts = Texts(job.exact.data.dataset, embeddings.query_ids, embeddings.own)

    def found(self, trial: Trial) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids found in float32 and at the trial's precision, both (q, k) int64."""
        exact = self._results.ids(trial.dim)
        precise = exact
        if trial.precision != FLOAT32.name:
            precise = self._quantised(trial.dim, trial.precision).ids
        return self._narrowed(trial, exact), self._narrowed(trial, precise)

    def ranks(self, trial: Trial) -> np.ndarray | None:
        """Return the rank of each relevant document by the scores at the trial's precision, (p,).

        int64, in the order of `Embeddings.relevant_pairs`. None without judgements, and after a
        rescore, which ranks no document outside the shortlist.
        """
        if parameters(trial.stages):
            return None
        return self._quantised(trial.dim, trial.precision).ranks

    def caution(self, trial: Trial) -> str:
        """Return what the row says against its own use; empty for nothing."""
        return "" if is_timed(trial.precision) else NO_KERNEL

    def sizes(self, trial: Trial) -> dict[str, float]:
        """Return the columns of the size: stored codes, and vectors for a rescore."""
        size = code = 4.0 * trial.dim
        if trial.precision != FLOAT32.name:
            found = self._quantised(trial.dim, trial.precision)
            size, code = found.bytes_per_vector, found.code_bytes
        stages = parameters(trial.stages)
        if not stages:
            return {"bytes_per_vector": size, "code_bytes": code}
        n, full = self._embeddings.corpus.shape
        size += self._texts.size_bytes(stages) / n
        narrowing = steps(stages, trial.dim, full, trial.k)
        dimension = narrowing[-1].dimension if narrowing else 0
        on_disk = stages.get(VECTORS) == DISK
        return {
            "code_bytes": code,
            "bytes_per_vector": size + (0 if on_disk else 4.0 * dimension),
            "disk_bytes": 4 * n * dimension if on_disk else 0,
        }

    @cached_property
    def _stored(self) -> tuple[np.ndarray, np.ndarray]:
        """The mapped vectors (n, D) and queries (q, D) that a rescore reads, unit length."""
        path = self._results.path.with_suffix(".npy")
        full = unit_vectors(self._embeddings)
        stored = StoredVectors(self._reducer, self._embeddings, full, path).memory
        return stored, self._reducer.reduce(self._queries, stored.shape[1])

    def _narrowed(self, trial: Trial, ids: np.ndarray) -> np.ndarray:
        stages = parameters(trial.stages)
        if not stages:
            return ids[:, : trial.k]
        found = rescored(ids, stages, trial.dim, trial.k, *self._stored)
        if reads_texts(stages):
            return self._texts.finish(stages, found, range(len(found)), trial.k)
        return found

    def _search(self, dimension: int, precision: str) -> _Quantised:
        """Return what is found at the exact pass's depth."""
        index = Exhaustive(precision, dimension)
        vectors = self._reduced(dimension)
        index.build(vectors)
        own = self._embeddings.own
        depth = self._job.exact.depth + (own is not None)
        queries = self._reducer.reduce(self._queries, dimension)
        ids = without_own(index.search(queries, depth), own)
        size, code = index.size_bytes() / len(vectors), index.stored_bytes()
        ranks = None if self._embeddings.qrels is None else self._ranked(index, queries, vectors)
        index.close()
        return _Quantised(ids, size, code, ranks)

    def _ranked(self, index: Exhaustive, queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return the rank of each relevant document in the whole corpus, (p,) int64."""
        pairs, own = self._embeddings.relevant_pairs(), self._embeddings.own
        if not index.has_products:
            return ranks_found(index.search, queries, len(vectors), pairs, own)
        dimension = vectors.shape[1]
        found = exact_search(
            queries,
            vectors,
            [dimension],
            1,
            "inner_product",
            relevant=pairs,
            transform=index.stored,
            query_transform=index.compared,
            own=own,
        )
        return found.relevant[dimension][1]


def ranks_found(
    search: Callable[[np.ndarray, int], np.ndarray],
    queries: np.ndarray,
    n: int,
    pairs: tuple[np.ndarray, np.ndarray],
    own: np.ndarray | None,
) -> np.ndarray:
    """Return the rank of each pair, (p,) int64, from an exhaustive search's own order.

    `search` maps (q, d) queries and k to ids (q, k), best first; `n` is the number of documents.
    `pairs` are positions of queries and documents, (p,) each. `own` (q,) are documents that are not
    counted, -1 for none. The search goes deeper until every document of a pair is found.
    """
    rows, documents = pairs
    ranks = np.zeros(len(rows), dtype=np.int64)
    depth = min(n, _DEPTH)
    while (asked := np.unique(rows[ranks == 0])).size:
        at_once = max(1, _MOST_RESULTS // depth)
        for start in range(0, len(asked), at_once):
            some = asked[start : start + at_once]
            for row, ids in zip(some, search(queries[some], depth), strict=True):
                place = np.full(n, n, dtype=np.int64)
                place[ids[ids >= 0]] = np.flatnonzero(ids >= 0)
                of_row = np.flatnonzero(rows == row)
                found = place[documents[of_row]]
                before = 0 if own is None or own[row] < 0 else found > place[own[row]]
                is_found = found < n
                ranks[of_row[is_found]] = (found + 1 - before)[is_found]
        if depth == n:
            break
        depth = min(n, 32 * depth)
    ranks[ranks == 0] = n
    return ranks
