"""Quality alone: what an exhaustive search finds at a precision, and after a rescore."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from bench.backends.faiss_flat import FaissFlat
from bench.backends.precisions import FLOAT32
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


@dataclass(frozen=True)
class _Quantised:
    """What the reference finds with vectors of one dimension and precision."""

    ids: np.ndarray
    """(q, depth) int64, best first."""
    bytes_per_vector: float
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

    def sizes(self, trial: Trial) -> dict[str, float]:
        """Return the columns of the size: stored codes, and vectors for a rescore."""
        size = 4.0 * trial.dim
        if trial.precision != FLOAT32.name:
            size = self._quantised(trial.dim, trial.precision).bytes_per_vector
        stages = parameters(trial.stages)
        if not stages:
            return {"bytes_per_vector": size}
        n, full = self._embeddings.corpus.shape
        size += self._texts.size_bytes(stages) / n
        narrowing = steps(stages, trial.dim, full, trial.k)
        dimension = narrowing[-1].dimension if narrowing else 0
        on_disk = stages.get(VECTORS) == DISK
        return {
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
        index = FaissFlat(precision, dimension)
        vectors = self._reduced(dimension)
        index.build(vectors)
        own = self._embeddings.own
        depth = self._job.exact.depth + (own is not None)
        queries = self._reducer.reduce(self._queries, dimension)
        ids = without_own(index.search(queries, depth), own)
        size = index.size_bytes() / len(vectors)
        ranks = None if self._embeddings.qrels is None else self._ranked(index, queries, vectors)
        index.close()
        return _Quantised(ids, size, ranks)

    def _ranked(self, index: FaissFlat, queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Return the rank of each relevant document in the whole corpus, (p,) int64."""
        dimension = vectors.shape[1]
        found = exact_search(
            queries,
            vectors,
            [dimension],
            1,
            "inner_product",
            relevant=self._embeddings.relevant_pairs(),
            transform=index.stored,
            query_transform=index.compared,
            own=self._embeddings.own,
        )
        return found.relevant[dimension][1]
