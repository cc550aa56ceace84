"""Measure the trials over one index: time them, score them, skip dominated ones."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from bench import machine
from bench.backends import Backend
from bench.backends.precisions import FLOAT32
from bench.embeddings.sets import Embeddings
from bench.measuring import clock, mapped
from bench.measuring.bisection import Keeping, chains, faithful, left_out
from bench.measuring.buffers import aligned, singles
from bench.measuring.clients import OPEN_SECONDS, Arrivals, Ask, under_load
from bench.measuring.clock import Paired
from bench.measuring.jobs import BuildJob, QueryRows
from bench.measuring.percentiles import bounded, percentiles, quantile_interval
from bench.measuring.prepared import ExactResults, StoredVectors
from bench.measuring.pruning import Rival, prune
from bench.measuring.search import Index, Search, without_own
from bench.measuring.texts import Texts
from bench.quality.intervals import median_interval
from bench.quality.measures import overlap, shared
from bench.quality.parts import searching
from bench.quality.scorer import DEPTH, Scorer, cosines
from bench.reducers import PREFIX, Reducer, get_reducer
from bench.results.spread import PROCESS_COLUMNS, SPEEDUP
from bench.study.plan import CLOSED, Trial, parameters
from bench.vectors import normalise, truncate

_SCOUTED = 64
"""Queries whose median latency decides whether a configuration is worth timing."""
_FEW_PAGES = 100
"""Pages that a process may read from disk by chance, such as code."""
_READ = "memory was short: vectors were read from disk while this was timed"
_BATCH_SECONDS = 0.05
"""No further call with all queries is made after this long."""


@dataclass(frozen=True)
class Built:
    """One built index and the reference it is compared with."""

    backend: Backend
    reference: Backend
    """Exact search at the full dimension."""
    vectors: np.ndarray
    """(n, d) float32 unit length: the trial's reduced vectors."""
    full_vectors: np.ndarray
    """(n, D) float32 unit length."""
    threads_before: int
    """Threads of this process before the library was loaded."""
    columns: dict[str, Any]
    """Columns of every trial's row: build time, memory, size, caution."""


class Measure:
    """Measures the trials over one index; holds the data that they share."""

    def __init__(
        self, job: BuildJob, embeddings: Embeddings, reducer: Reducer, built: Built
    ) -> None:
        self.job = job
        self.seed = job.exact.data.seed
        self.embeddings = embeddings
        self.built = built
        self.full_queries = normalise(embeddings.queries)
        self.full_singles = singles(self.full_queries)
        self.queries = aligned(reducer.reduce(self.full_queries, job.index.dim))
        stored_queries = aligned(reducer.reduce(self.full_queries, embeddings.full_dim))
        results = ExactResults(job.exact)
        self.index = Index(
            backend=built.backend,
            queries=stored_queries if built.backend.full_width else self.queries,
            stored_queries=stored_queries,
            stored=StoredVectors(
                reducer, embeddings, built.full_vectors, results.path.with_suffix(".npy")
            ),
            full_dim=embeddings.full_dim,
            own=embeddings.own,
            texts=Texts(job.exact.data.dataset, embeddings.query_ids, embeddings.own),
        )
        self.throughput: dict[Trial, float] = {}
        self.exact = results.ids(job.index.dim)
        full_ids = ExactResults(job.full).ids(embeddings.full_dim)
        self.scorer = Scorer(embeddings, full_ids, self.seed, built.full_vectors, self.full_queries)

    @cached_property
    def precise(self) -> np.ndarray | None:
        """Exhaustive results at the trial's precision, (q, depth) int64, without own documents.

        None if no exhaustive search supports the precision.
        """
        precision, depth = self.job.index.precision, self.exact.shape[1] + self.index.extra
        if precision == FLOAT32.name:
            return self.exact
        flat, built = type(self.built.reference), self.built.backend
        found: np.ndarray | None
        if isinstance(built, flat):
            found = built.search(self.queries, depth)
        else:
            found = self.index.backend.exhaustive(self.index.queries, depth)
            if found is None and precision in flat.precision_names():
                index = flat(precision)
                index.build(self.built.vectors)
                found = index.search(self.queries, depth)
        return None if found is None else without_own(found, self.index.own)

    def dominated(self) -> dict[str, str]:
        """Return why each dominated trial is skipped, by id; empty unless `sweep` is pareto."""
        # Load tests are always measured: the times of one client do not predict them.
        trials = {i: trial for i, trial in self.job.trials.items() if not trial.is_load}
        if not self.job.pareto or min((t.k for t in trials.values()), default=0) < DEPTH:
            return {}
        candidates, costs = {}, {}
        n_queries = len(self.queries)
        for trial_id, trial in trials.items():
            search = Search(self.index, trial)
            few = clock.time_queries(
                search.one, min(_SCOUTED, n_queries), 1, math.inf, search.before()
            )
            # If the size is unknown, only time and quality decide.
            size = self._bytes_per_vector(search, self.built.backend.size_bytes()) or 0.0
            costs[trial_id] = (float(np.median(few.nanoseconds) / 1e6), size)
            search.close()
            candidates[trial_id] = partial(self._quality, trial)
        rivals = [Rival(np.array(r.by_query), r.ms, r.bytes) for r in self.job.rivals]
        found = prune(candidates, costs, rivals, n_queries, self.seed)
        return {trial_id: drop.reason for trial_id, drop in found.items()}

    def too_narrow(self) -> dict[str, str]:
        """Return why trials are not timed, by id; empty unless `sweep` is bisect."""
        trials = {i: trial for i, trial in self.job.trials.items() if not trial.is_load}
        if self.job.keep is None or min((t.k for t in trials.values()), default=0) < DEPTH:
            return {}
        names, groups = self.embeddings.query_ids, self.embeddings.groups
        rows = np.flatnonzero(searching(names, groups, self.seed))
        full = self.scorer.by_query(self.scorer.full_ids[rows, :DEPTH], rows)
        own = None if groups is None else [groups[row] for row in rows]
        keeping = Keeping(full, rows, own, self.job.keep, self.seed)
        qualities = {i: partial(self._quality, trial) for i, trial in trials.items()}
        searches = {i: partial(self._found, trial) for i, trial in trials.items()}
        found: dict[str, str] = {}
        for chain in chains(trials):
            left = left_out(chain, qualities, keeping)
            if 0 < len(left) < len(chain):
                left.pop(faithful(chain, searches, rows), None)
            found |= left
        return found

    def _found(self, trial: Trial, rows: np.ndarray) -> np.ndarray:
        search = Search(self.index, trial)
        ids = np.concatenate([search.one(i) for i in rows])
        search.close()
        own = self.index.own
        return without_own(ids, None if own is None else own[rows])

    def _quality(self, trial: Trial, rows: np.ndarray) -> np.ndarray:
        return self.scorer.by_query(self._found(trial, rows), rows)

    def trial(self, trial: Trial) -> tuple[dict[str, Any], QueryRows]:
        """Measure one trial; return columns of its row and of its queries."""
        search, read_before = Search(self.index, trial), machine.pages_from_disk()
        measured, results, by_query = (
            self._under_load(search) if trial.is_load else self._alone(search)
        )
        read = machine.pages_from_disk() - read_before
        # Vectors in memory are never read again, and a cold search means to read.
        if search.cold or mapped.is_small(*self.built.full_vectors.shape):
            read = 0
        ids = self._checked(results, search.asked)
        built, threads = self.built.columns, machine.threads_running()
        row = {
            **built,
            "memory_bytes": _plus(built["memory_bytes"], search.resident_bytes),
            "index_bytes": _plus(built["index_bytes"], search.resident_bytes),
            "disk_bytes": search.disk_bytes,
            "bytes_per_vector": self._bytes_per_vector(search, built["index_bytes"]),
            **measured,
            "caution": " ".join(
                filter(None, [built["caution"], _READ if read > _FEW_PAGES else ""])
            ),
            "encode_ms_p50": self.job.encode_ms_p50,
            "encode_documents_per_second": self.job.encode_documents_per_second,
            "allocator": machine.allocator(),
            "threads_seen": threads,
            "threads_started": max(0, threads - self.built.threads_before),
        }
        search.close()
        exact_ids = search.exhaustive(self.exact)
        precise_ids: np.ndarray | None = exact_ids
        if self.precise is not self.exact:
            precise_ids = None if self.precise is None else search.exhaustive(self.precise)
        recall = self._ann_recall(ids, exact_ids, search)
        scored = self.scorer.score(
            ids, exact_ids, precise_ids, recall, self._is_full(search), self._is_exact(search),
            search.reads_texts,
        )  # fmt: skip
        queries = QueryRows(
            query_id=self.embeddings.query_ids,
            found=ids.tolist(),
            latency_ms=(by_query / 1e6).tolist(),
            **scored.by_query,
        )
        return {**row, **scored.row}, queries

    def times(self, trial: Trial) -> dict[str, Any]:
        """Time one trial in a further process; return the columns of its times alone."""
        search = Search(self.index, trial)
        columns = self._times(search)[0]
        search.close()
        return columns

    def _times(self, search: Search) -> tuple[dict[str, Any], Paired]:
        """Time one query after the other, and exact search in between; return columns, times."""
        job, full = self.job, self.full_singles

        def reference(i: int) -> np.ndarray:
            return self.built.reference.search(full[i], search.asked)

        found = clock.time_beside(
            search.one, reference, len(self.queries), job.repeats, job.budget_seconds,
            search.before(),
        )  # fmt: skip
        columns = percentiles(found.nanoseconds)
        columns |= bounded(SPEEDUP, *median_interval(found.speedups, self.seed))
        lists = {listed: [columns[name]] for name, listed in PROCESS_COLUMNS.items()}
        return {**columns, **lists, "repeats_done": len(found.nanoseconds)}, found

    def _alone(self, search: Search) -> tuple[dict[str, Any], list[np.ndarray], np.ndarray]:
        """Time one query after the other; return columns, ids per query, median times (q,) ns."""
        columns, found = self._times(search)
        nanoseconds = found.nanoseconds
        read = search.bytes_read(_SCOUTED)
        row = {
            **columns,
            **self._cold_ms(search),
            "qps": 1e9 / float(nanoseconds.mean()),
            "batch_qps": len(self.queries) / self._batch_seconds(search),
            "rescore_ms_p50": self._rescore_ms(search),
            "server_ms_p50": None if search.stages else self._server_ms(search),
            "bandwidth_fraction": self._bandwidth(search, read, columns["latency_ms_p50"]),
            "bytes_read": read,
        }
        return row, found.results, np.median(nanoseconds, axis=0)

    def _cold_ms(self, search: Search) -> dict[str, float | None]:
        """Return the median time of a query from cold caches with its interval, ms."""
        taken = clock.time_cold(
            search.one, len(self.queries), self.evict, self.seed, search.before()
        )
        low, high = quantile_interval(taken[None, :] / 1e6, 0.5)
        return bounded("latency_cold_ms_p50", float(np.median(taken) / 1e6), low, high)

    @cached_property
    def evict(self) -> machine.CacheEviction:
        """Empties the processor's caches; its buffer is shared by the trials."""
        return machine.CacheEviction()

    def _batch_seconds(self, search: Search) -> float:
        """Return the median time of all queries in one call, s; a long one is made once."""
        taken: list[float] = []
        while len(taken) < self.job.repeats and sum(taken) < _BATCH_SECONDS:
            begun = time.perf_counter_ns()
            search.all()
            taken.append((time.perf_counter_ns() - begun) / 1e9)
        return float(np.median(taken))

    def _under_load(self, search: Search) -> tuple[dict[str, Any], list[np.ndarray], np.ndarray]:
        """Do as `_alone` while many clients query, without figures that need a single client.

        Where the trial has an arrival rate, it is a share of what the same clients reach when each
        sends its next query as soon as it can; that is measured first, once for all shares.
        """
        trial = search.trial
        ask = Ask(
            self.index.backend,
            parameters(trial.search_params),
            self.index.queries,
            search.asked,
            search.multi.shortlist if search.stages else None,
            self.job.machine_cores,
        )
        closed = replace(trial, arrival=CLOSED)
        if trial.arrival == CLOSED:
            load = under_load(ask, trial.clients)
            self.throughput[closed] = load.qps
        else:
            if closed not in self.throughput:
                self.throughput[closed] = under_load(ask, trial.clients).qps
            rate = trial.arrival * self.throughput[closed]
            load = under_load(ask, trial.clients, OPEN_SECONDS, Arrivals(rate, self.seed))
        nanoseconds = load.nanoseconds[None, :]
        columns = percentiles(nanoseconds, min(len(self.queries), nanoseconds.size))
        return {**columns, "qps": load.qps}, load.results, load.by_query

    def _server_ms(self, search: Search) -> float | None:
        reported = self.index.backend.server_ms(self.index.queries[:_SCOUTED], search.asked)
        return None if reported is None else float(np.median(reported))

    def _bytes_per_vector(self, search: Search, index_bytes: int | None) -> float | None:
        """Return bytes per vector in memory: the index, and the vectors that later stages read.

        None if a server does not report its size.
        """
        if index_bytes is None:
            return None
        return (index_bytes + search.resident_bytes) / len(self.built.vectors)

    def _rescore_ms(self, search: Search) -> float | None:
        """Return the median time of the steps after the index's own, ms; None if there is none."""
        if not search.stages or search.native:
            return None
        # Reads from disk take as long as the whole search, and all their time.
        few = slice(_SCOUTED if search.cold or search.reads_texts else None)
        shortlists = self.index.backend.search(self.index.queries[few], search.multi.shortlist)
        taken = clock.time_queries(
            lambda i: search.narrow(shortlists[i : i + 1], range(i, i + 1)),
            len(shortlists),
            1,
            math.inf,
            search.before(),
        )
        return float(np.median(taken.nanoseconds) / 1e6)

    def _checked(self, results: list[np.ndarray], asked: int) -> np.ndarray:
        """Return results (q, k) without own documents; raises ValueError for an impossible id."""
        for found in results:
            if np.shape(found) != (1, asked):
                raise ValueError(
                    f"search returned ids of shape {np.shape(found)} instead of (1, {asked})"
                )
        ids = np.concatenate(results)
        n = len(self.built.vectors)
        outside = (ids < -1) | (ids >= n)
        if outside.any():
            raise ValueError(f"search returned id {ids[outside][0]}, outside 0…{n - 1}")
        return without_own(ids, self.index.own)

    def _is_exact(self, search: Search) -> bool:
        """Return whether the index compares every vector at full precision."""
        return self.built.backend.exact and search.trial.precision == FLOAT32.name

    def _is_full(self, search: Search) -> bool:
        """Return whether the trial is what all are compared with: exact search, nothing cut."""
        trial = search.trial
        return (
            self._is_exact(search)
            and get_reducer(trial.reducer).kind == PREFIX
            and trial.dim == self.embeddings.full_dim
            and not search.stages
        )

    def _ann_recall(
        self, ids: np.ndarray, exact_ids: np.ndarray, search: Search
    ) -> np.ndarray | None:
        """Return the recall of each query, (q,) float64; None if fewer than ten were asked for."""
        if ids.shape[1] < DEPTH or exact_ids.shape[1] < DEPTH:
            return None
        if search.reads_texts:  # no cosine orders them, so no near-tie counts
            return shared(ids[:, :DEPTH], exact_ids[:, :DEPTH])
        queries, vectors = self.queries, self.built.vectors
        if search.stages:
            last = search.steps[-1].dimension
            queries = truncate(self.index.stored_queries, last)
            vectors = self.index.stored.memory[:, :last]
        found = cosines(queries, vectors, ids[:, :DEPTH])
        true = cosines(queries, vectors, exact_ids[:, :DEPTH])
        return overlap(ids, found, true, DEPTH)

    def _bandwidth(self, search: Search, read: float | None, p50_ms: float) -> float | None:
        if search.cold or read is None or not self.job.bandwidth:
            return None
        return read / (p50_ms / 1e3) / self.job.bandwidth


def _plus(size: int | None, more: int) -> int | None:
    return None if size is None else size + more
