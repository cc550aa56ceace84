"""Measuring the trials over one index: what is searched, timed, scored, and what need not be timed at all."""

from __future__ import annotations

import math
import os
import time
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.backends import Backend
from bench.embeddings import Embeddings
from bench.measuring import clock
from bench.measuring.clients import Ask, under_load
from bench.measuring.prepared import reduced
from bench.measuring.pruning import Rival, halve
from bench.measuring.stages import Cold, MultiStage, steps
from bench.quality.intervals import median_interval
from bench.quality.measures import overlap
from bench.quality.scorer import DEPTH, Scorer, cosines
from bench.reducers import Reducer
from bench.study.plan import parameters
from bench.study.schema import DISK, NATIVE, PARETO, SHORTLIST, VECTORS
from bench.vectors import normalise, truncate

_SCOUTED = 64
"""Queries whose median stands for a configuration's latency where it is only to be told whether to time it."""


class Measure:
    """Everything that the trials over one index share."""

    def __init__(
        self,
        job: dict[str, Any],
        embeddings: Embeddings,
        backend: Backend,
        reference: Backend,
        vectors: np.ndarray,
        full_vectors: np.ndarray,
        reducer: Reducer,
    ) -> None:
        self.job, self.embeddings, self.backend, self.reducer = job, embeddings, backend, reducer
        self.vectors, self.full_vectors = vectors, full_vectors
        self.full_queries = normalise(embeddings.queries)
        self.queries = reducer.reduce(self.full_queries, job["dim"])
        self.stored_queries = reducer.reduce(self.full_queries, embeddings.full_dim)
        self.index_queries = self.stored_queries if backend.full_width else self.queries
        self.extra = 0 if embeddings.own is None else 1
        self.reference = reference
        self.exact = np.load(job["exact"])[f"ids_{job['dim']}"]
        self.scorer = Scorer(
            embeddings, job["seed"], job["exact_full"], full_vectors, self.full_queries
        )
        self.dropped: set[str] = set()
        self.threads_before = 0

    @cached_property
    def stored(self) -> np.ndarray:
        """The mapped vectors at the full dimension, (n, D) float32 unit length: what later steps score."""
        if self.job["reducer"] == "truncate":
            return self.full_vectors
        return reduced(self.reducer, self.embeddings.corpus, self.embeddings.full_dim)

    @cached_property
    def precise(self) -> np.ndarray | None:
        """What exhaustive search at the trial's precision finds, (q, depth) int64, without own documents; None where no
        exhaustive search knows the precision."""
        precision, depth = self.job["precision"], self.exact.shape[1] + self.extra
        if precision == "float32":
            return self.exact
        flat = type(self.reference)
        found: np.ndarray | None
        if precision in flat.precisions:
            index = flat(precision)
            index.build(self.vectors)
            found = index.search(self.queries, depth)
        else:
            found = self.backend.exhaustive(self.index_queries, depth)
        return None if found is None else without_own(found, self.embeddings.own)

    def on_disk(self) -> tuple[np.memmap, bool]:
        """Return the mapped vectors at the full dimension as a file, and whether their rows are of unit length."""
        if self.job["reducer"] == "truncate":
            assert isinstance(self.embeddings.corpus, np.memmap)
            return self.embeddings.corpus, False
        path = Path(self.job["exact"]).with_suffix(".npy")
        if not path.exists():
            unfinished = path.with_name(f".{path.stem}.{os.getpid()}.partial.npy")
            np.save(unfinished, self.stored)
            unfinished.replace(path)
        return np.load(path, mmap_mode="r"), True

    def beaten(self) -> dict[str, dict[str, Any]]:
        """Where the study asks for the Pareto front alone: the rows of the trials that need not be timed."""
        # A load is measured whatever one client would see.
        job, trials = self.job, [t for t in self.job["trials"] if t["clients"] == 1]
        if job["sweep"] != PARETO or min((t["k"] for t in trials), default=0) < DEPTH:
            return {}
        candidates, costs = {}, {}
        n_queries = len(self.queries)
        for trial in trials:
            search = _Search(self, trial)
            few = clock.time_queries(search.one, min(_SCOUTED, n_queries), 1, math.inf, search.cold)
            costs[trial["trial_id"]] = (
                float(np.median(few.nanoseconds) / 1e6),
                # What does not tell its size is beaten by time and quality alone.
                self._bytes_per_vector(search, self.backend.size_bytes()) or 0.0,
            )
            search.close()
            candidates[trial["trial_id"]] = partial(self._quality, trial)
        rivals = [Rival(np.array(r["by_query"]), r["ms"], r["bytes"]) for r in job["rivals"]]
        found = halve(candidates, costs, rivals, n_queries, job["seed"])
        self.dropped = set(found)
        return {
            trial_id: {"status": "pruned", "error": drop.reason} for trial_id, drop in found.items()
        }

    def _quality(self, trial: dict[str, Any], rows: np.ndarray) -> np.ndarray:
        search = _Search(self, trial)
        ids = np.concatenate([search.one(i) for i in rows])
        search.close()
        own = self.embeddings.own
        return self.scorer.by_query(without_own(ids, None if own is None else own[rows]), rows)

    def trial(
        self, trial: dict[str, Any], built: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Measure one trial: its row, and its queries' columns."""
        job = self.job
        search = _Search(self, trial)
        measured, results, by_query = (
            self._under_load(search, trial) if trial["clients"] > 1 else self._alone(search)
        )
        ids = self._checked(results, search.asked)
        in_memory = 0 if search.cold else search.second_bytes
        row = {
            **built,
            "memory_bytes": None
            if built["memory_bytes"] is None
            else built["memory_bytes"] + in_memory,
            "index_bytes": None
            if built["index_bytes"] is None
            else built["index_bytes"] + in_memory,
            "disk_bytes": search.second_bytes - in_memory,
            "bytes_per_vector": self._bytes_per_vector(search, built["index_bytes"]),
            **measured,
            "encode_ms_p50": job["encode_ms_p50"],
            "threads_seen": machine.threads_running(),
            "threads_started": max(0, machine.threads_running() - self.threads_before),
        }
        search.close()
        exact_ids = search.exhaustive(self.exact)
        precise_ids = None if self.precise is None else search.exhaustive(self.precise)
        row["ann_recall_at_10"] = self._ann_recall(ids, exact_ids, search)
        figures, queries = self.scorer.score(ids, exact_ids, precise_ids)
        queries["latency_ms"] = (by_query / 1e6).tolist()
        return {**row, **figures}, queries

    def _alone(self, search: _Search) -> tuple[dict[str, Any], list[np.ndarray], np.ndarray]:
        """Time one query after the other: the row's part, what each found, and the median nanoseconds of each."""
        job, n_queries = self.job, len(self.queries)
        full_singles = [self.full_queries[i : i + 1] for i in range(n_queries)]

        def reference(i: int) -> np.ndarray:
            return self.reference.search(full_singles[i], search.asked)

        latency = clock.time_queries(
            search.one, n_queries, job["repeats"], job["budget_seconds"], search.cold
        )
        speedups = clock.paired_speedup(search.one, reference, n_queries, job["seed"], search.cold)
        batches = []
        for _ in range(job["repeats"]):
            begun = time.perf_counter_ns()
            search(slice(None))
            batches.append((time.perf_counter_ns() - begun) / 1e9)
        speedup, speedup_low, speedup_high = median_interval(speedups, job["seed"])
        percentiles = _percentiles(latency.nanoseconds)
        row = {
            **percentiles,
            "qps": 1e9 / float(latency.nanoseconds.mean()),
            "batch_qps": n_queries / float(np.median(batches)),
            "rescore_ms_p50": self._rescore_ms(search),
            "server_ms_p50": None if search.stages else self._server_ms(search),
            "speedup_vs_exact": speedup,
            "speedup_vs_exact_low": speedup_low,
            "speedup_vs_exact_high": speedup_high,
            "bandwidth_fraction": self._bandwidth(search, percentiles["latency_ms_p50"]),
        }
        return row, latency.results, np.median(latency.nanoseconds, axis=0)

    def _under_load(
        self, search: _Search, trial: dict[str, Any]
    ) -> tuple[dict[str, Any], list[np.ndarray], np.ndarray]:
        """As `_alone`, while many clients ask; what compares one query with another is left out."""
        shortlist = search.multi.shortlist if search.stages else None
        ask = Ask(
            self.backend,
            parameters(trial["search_params"]),
            self.index_queries,
            search.asked,
            shortlist,
            self.job["machine_cores"],
        )
        load = under_load(ask, trial["clients"])
        return {**_percentiles(load.nanoseconds), "qps": load.qps}, load.results, load.by_query

    def _server_ms(self, search: _Search) -> float | None:
        told = self.backend.server_ms(self.index_queries[:_SCOUTED], search.asked)
        return None if told is None else float(np.median(told))

    def _bytes_per_vector(self, search: _Search, index_bytes: int | None) -> float | None:
        """Return what lies in memory: the index, and what later steps score where that is not on disk; None where a server does not tell."""
        if index_bytes is None:
            return None
        return (index_bytes + (0 if search.cold else search.second_bytes)) / len(self.vectors)

    def _rescore_ms(self, search: _Search) -> float | None:
        """Return the median time of the steps after the index's own, milliseconds; None where there is none."""
        if not search.stages or search.stages.get(NATIVE):
            return None
        shortlists = self.backend.search(self.index_queries, search.multi.shortlist)
        taken = clock.time_queries(
            lambda i: search.multi.narrow(shortlists[i : i + 1], self.stored_queries[i : i + 1]),
            len(shortlists),
            1,
            math.inf,
            search.cold,
        )
        return float(np.median(taken.nanoseconds) / 1e6)

    def _checked(self, results: list[np.ndarray], asked: int) -> np.ndarray:
        """Return the results as (q, k) without each query's own document; raises when an id cannot be."""
        for found in results:
            if np.shape(found) != (1, asked):
                raise ValueError(
                    f"search returned ids of shape {np.shape(found)} instead of (1, {asked})"
                )
        ids = np.concatenate(results)
        outside = (ids < -1) | (ids >= len(self.vectors))
        if outside.any():
            raise ValueError(
                f"search returned id {ids[outside][0]}, outside 0…{len(self.vectors) - 1}"
            )
        return without_own(ids, self.embeddings.own)

    def _ann_recall(self, ids: np.ndarray, exact_ids: np.ndarray, search: _Search) -> float | None:
        if ids.shape[1] < DEPTH or exact_ids.shape[1] < DEPTH:
            return None
        queries, vectors = self.queries, self.vectors
        if search.stages:
            last = search.steps[-1].dimension
            queries, vectors = truncate(self.stored_queries, last), self.stored[:, :last]
        nearest = exact_ids[:, :DEPTH]
        return float(
            overlap(
                ids,
                cosines(queries, vectors, ids[:, :DEPTH]),
                cosines(queries, vectors, nearest),
                DEPTH,
            ).mean()
        )

    def _bandwidth(self, search: _Search, p50_ms: float) -> float | None:
        if search.cold or search.stages.get(NATIVE) or not self.job["bandwidth"]:
            return None
        shortlist = search.multi.shortlist if search.stages else 0
        read = self.backend.bytes_read(self.index_queries[:100], max(search.asked, shortlist))
        if read is None:
            return None
        if search.stages:
            kept, start = shortlist, 0
            for step in search.steps:
                read += kept * (step.dimension - start) * 4
                kept, start = step.keep, step.dimension
        return read / (p50_ms / 1e3) / self.job["bandwidth"]


class _Search:
    """One trial's search, all its steps, over an index that is configured for it."""

    def __init__(self, measure: Measure, trial: dict[str, Any]) -> None:
        self.measure, self.asked, self.k = measure, trial["k"] + measure.extra, trial["k"]
        self.stages = parameters(trial["stages"])
        self.cold: Cold | None = None
        self.second_bytes = 0
        measure.backend.configure(**parameters(trial["search_params"]))
        if self.stages:
            full = measure.embeddings.full_dim
            self.steps = steps(self.stages, trial["dim"], full, self.asked)
            on_disk = self.stages.get(VECTORS) == DISK
            stored, unit = measure.on_disk() if on_disk else (measure.stored, True)
            self.multi = MultiStage(
                measure.backend, stored, self.stages[SHORTLIST] + measure.extra, self.steps, unit
            )
            # A backend that rescores by itself has counted its own vectors.
            self.second_bytes = (
                0 if self.stages.get(NATIVE) else len(stored) * self.steps[-1].dimension * 4
            )
            if on_disk:
                assert isinstance(stored, np.memmap)
                self.cold = Cold(stored)

    def __call__(self, rows: slice) -> np.ndarray:
        queries = self.measure.index_queries[rows]
        if self.stages.get(NATIVE):
            return self.measure.backend.search_stages(queries, self.multi.shortlist, self.asked)
        if self.stages:
            return self.multi.search(queries, self.measure.stored_queries[rows])
        return self.measure.backend.search(queries, self.asked)

    def one(self, position: int) -> np.ndarray:
        """Search for one query: what is timed."""
        return self(slice(position, position + 1))

    def exhaustive(self, nearest: np.ndarray) -> np.ndarray:
        """Return what this trial would find were its index `nearest`, (q, ≥k) int64: the steps after it stay."""
        if not self.stages:
            return nearest[:, : self.k]
        shortlist = self.stages[SHORTLIST]
        # A query's own document is left out already, so no place is kept for it.
        narrowing = steps(
            self.stages, self.measure.job["dim"], self.measure.embeddings.full_dim, self.k
        )
        multi = MultiStage(self.measure.backend, self.measure.stored, shortlist, narrowing, True)
        return multi.narrow(
            np.ascontiguousarray(nearest[:, :shortlist]), self.measure.stored_queries
        )

    def close(self) -> None:
        if self.cold is not None:
            self.cold.close()


def _percentiles(nanoseconds: np.ndarray) -> dict[str, float]:
    p50, p95, p99 = np.percentile(nanoseconds / 1e6, [50, 95, 99])
    return {
        "latency_ms_p50": float(p50),
        "latency_ms_p95": float(p95),
        "latency_ms_p99": float(p99),
    }


def without_own(ids: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """Remove each query's own document from (q, k + 1) ids, or its last result where it is not among them."""
    if own is None:
        return ids
    drop = ids == own[:, None]
    drop[~drop.any(axis=1), -1] = True
    first = drop.argmax(axis=1)
    keep = np.ones_like(drop)
    keep[np.arange(len(ids)), first] = False
    return ids[keep].reshape(len(ids), -1)
