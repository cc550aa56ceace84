"""What runs inside a child process: the exact pass, one index with its trials, or the timing of the encoder.

`python -m bench.trial FD` reads a job (JSON) from standard input and writes one JSON line an event to the file descriptor:
``{"event": "built"}`` when the index stands, ``{"event": "start", "trial_id": …}`` before a trial, ``{"event": "trial", "row": …,
"queries": …}`` when it is measured. If the process dies, the runner knows what it was at.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench import timing
from bench.backends import SERVER, Backend, get_backend
from bench.embeddings import Embeddings, open_embeddings
from bench.exact import exact_search
from bench.halving import PARETO, Rival, halve
from bench.quality import median_interval, overlap
from bench.reducers import Reducer, get_reducer
from bench.scoring import DEPTH, Scorer, cosines
from bench.stages import DISK, NATIVE, SHORTLIST, VECTORS, Cold, MultiStage, steps
from bench.study import parameters
from bench.vectors import normalise, truncate

Emit = Callable[[dict[str, Any]], None]

_ROWS = 16_384
_SCOUTED = 64
"""Queries whose median stands for a configuration's latency where it is only to be told whether to time it."""
_EXACT_LAYOUT = 3
"""Of the file that keeps exact results; another number makes it afresh."""


def main() -> None:
    """Run the job on standard input."""
    _end_with(int(sys.argv[2]))
    job = json.load(sys.stdin)
    timing.pin(job["cores"])
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as channel:

        def emit(event: dict[str, Any]) -> None:
            channel.write(json.dumps(event) + "\n")
            channel.flush()

        _JOBS[job["kind"]](job, emit)


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its runner dies, even of a SIGKILL: nothing is measured for nobody."""
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the runner is gone")


# ---------------------------------------------------------------------------------------------------------- the exact pass


def exact_path(embeddings_folder: Path, job: dict[str, Any]) -> Path:
    """Return where the exact results of a reducer are kept: beside the embeddings, keyed by all that they depend on."""
    parts = [
        _EXACT_LAYOUT,
        *(job[key] for key in ("reducer", "reducer_params", "dimensions", "depth", "max_queries", "seed")),
        job.get("reducer_identity", ""),
    ]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
    return embeddings_folder / "exact" / f"{digest}.npz"


def run_exact(job: dict[str, Any], emit: Emit) -> None:
    """Search exactly at every dimension with one reducer; emit one row a dimension, with quality at full depth."""
    embeddings = _embeddings(job)
    path = exact_path(embeddings.folder, job)
    if not path.exists():
        reducer = _reducer(embeddings, job)
        rows, documents = _relevant(embeddings)
        found = exact_search(
            embeddings.queries,
            embeddings.corpus,
            job["dimensions"],
            job["depth"],
            # Cutting needs no map, and the cosine no unit length.
            transform=None if job["reducer"] == "truncate" else lambda block: reducer.map(normalise(block)),
            own=embeddings.own,
            relevant=(rows, documents),
        )
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_name(f".{path.stem}.{os.getpid()}.partial.npz")
        arrays: dict[str, Any] = {f"ids_{d}": ids for d, (ids, _) in found.nearest.items()}
        for d, (_, ranks) in found.relevant.items():
            first = np.full(len(embeddings.queries), len(embeddings.corpus) + 1)
            np.minimum.at(first, rows, ranks)
            arrays[f"first_relevant_{d}"] = first
        np.savez(unfinished, **arrays)
        unfinished.replace(path)
    emit({"event": "built"})
    if not job["trials"]:
        return
    exact = np.load(path)
    scorer = Scorer(embeddings, job["seed"], job["exact_full"])
    for trial in job["trials"]:
        emit({"event": "start", "trial_id": trial["trial_id"]})
        started = _now()
        ids = exact[f"ids_{trial['dim']}"]
        figures, queries = scorer.score(ids[:, : trial["k"]], exact_ids=ids, precise_ids=ids)
        if embeddings.qrels is not None:
            queries["first_relevant_rank"] = exact[f"first_relevant_{trial['dim']}"].tolist()
        figures |= {"loss_precision": 0.0, "loss_search": 0.0} if "loss_dimension" in figures else {}
        row = {
            "status": "ok",
            "started_at": started,
            "bytes_per_vector": trial["dim"] * 4.0,
            "ann_recall_at_10": 1.0,
            "caution": _reducer(embeddings, job, fit=False).caution(trial["dim"]),
            **figures,
        }
        emit({"event": "trial", "row": {"trial_id": trial["trial_id"], **row}, "queries": queries})


def _relevant(embeddings: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """Return the judged relevant pairs as positions of queries (p,) and of documents (p,), int64; none without judgements."""
    pairs = [
        (row, int(document))
        for row, query in enumerate(embeddings.query_ids)
        for document, grade in (embeddings.qrels or {}).get(query, {}).items()
        if grade > 0
    ]
    rows, documents = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return rows, documents


# ------------------------------------------------------------------------------------------------- one index and its trials


def run_build(job: dict[str, Any], emit: Emit) -> None:
    """Build one index, then measure each trial over it."""
    embeddings = _embeddings(job)
    reference_class = get_backend("faiss-flat")
    reference_class.load()
    backend = get_backend(job["backend"])(job["precision"], job["dim"], job["threads"])
    threads_before = timing.threads_running()
    backend.load()
    reducer = _reducer(embeddings, job)
    vectors = _reduced(reducer, embeddings.corpus, embeddings.full_dim if backend.full_width else job["dim"])

    before = timing.unique_bytes()
    timing.reset_peak()
    begun = time.perf_counter_ns()
    backend.build(vectors, **parameters(job["build_params"]))
    build_seconds = (time.perf_counter_ns() - begun) / 1e9
    peak = timing.peak_bytes()
    built = {
        "build_seconds": build_seconds,
        # A server's memory is another process's.
        "memory_bytes": None if backend.kind == SERVER else max(0, timing.unique_bytes() - before),
        "peak_memory_bytes": None if peak is None or backend.kind == SERVER else max(0, peak - before),
        "index_bytes": backend.size_bytes(),
        "caution": reducer.caution(job["dim"]),
    }
    if backend.full_width:
        vectors = truncate(vectors, job["dim"])

    full_vectors = _reduced(_plain(), embeddings.corpus, embeddings.full_dim)
    reference = reference_class()
    reference.build(full_vectors)
    emit({"event": "built"})
    measure = _Measure(job, embeddings, backend, reference, vectors, full_vectors, reducer)
    measure.threads_before = threads_before
    for trial_id, row in measure.beaten().items():
        emit({"event": "trial", "row": {"trial_id": trial_id, "started_at": _now(), **built, **row}, "queries": None})
    for trial in (t for t in job["trials"] if t["trial_id"] not in measure.dropped):
        emit({"event": "start", "trial_id": trial["trial_id"]})
        started = _now()
        try:
            row, queries = measure.trial(trial, built)
            row |= {"status": "ok"}
        except Exception as error:  # a library may raise anything; whatever it is belongs to this trial's row
            row, queries = {"status": "failed", "error": f"{type(error).__name__}: {error}"}, None
        emit(
            {"event": "trial", "row": {"trial_id": trial["trial_id"], "started_at": started, **row}, "queries": queries}
        )
    backend.close()


class _Search:
    """One trial's search, all its steps, over an index that is configured for it."""

    def __init__(self, measure: _Measure, trial: dict[str, Any]) -> None:
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
            self.multi = MultiStage(measure.backend, stored, self.stages[SHORTLIST] + measure.extra, self.steps, unit)
            # A backend that rescores by itself has counted its own vectors.
            self.second_bytes = 0 if self.stages.get(NATIVE) else len(stored) * self.steps[-1].dimension * 4
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
        narrowing = steps(self.stages, self.measure.job["dim"], self.measure.embeddings.full_dim, self.k)
        multi = MultiStage(self.measure.backend, self.measure.stored, shortlist, narrowing, True)
        return multi.narrow(np.ascontiguousarray(nearest[:, :shortlist]), self.measure.stored_queries)

    def close(self) -> None:
        if self.cold is not None:
            self.cold.close()


class _Measure:
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
        self.scorer = Scorer(embeddings, job["seed"], job["exact_full"], full_vectors, self.full_queries)
        self.dropped: set[str] = set()
        self.threads_before = 0

    @cached_property
    def stored(self) -> np.ndarray:
        """The mapped vectors at the full dimension, (n, D) float32 unit length: what later steps score."""
        if self.job["reducer"] == "truncate":
            return self.full_vectors
        return _reduced(self.reducer, self.embeddings.corpus, self.embeddings.full_dim)

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
        path = exact_path(self.embeddings.folder, self.job).with_suffix(".npy")
        if not path.exists():
            unfinished = path.with_name(f".{path.stem}.{os.getpid()}.partial.npy")
            np.save(unfinished, self.stored)
            unfinished.replace(path)
        return np.load(path, mmap_mode="r"), True

    def beaten(self) -> dict[str, dict[str, Any]]:
        """Where the study asks for the Pareto front alone: the rows of the trials that need not be timed."""
        job, trials = self.job, self.job["trials"]
        if job["sweep"] != PARETO or min(t["k"] for t in trials) < DEPTH:
            return {}
        candidates, costs = {}, {}
        n_queries = len(self.queries)
        for trial in trials:
            search = _Search(self, trial)
            few = timing.time_queries(search.one, min(_SCOUTED, n_queries), 1, math.inf, search.cold)
            costs[trial["trial_id"]] = (
                float(np.median(few.nanoseconds) / 1e6),
                self._bytes(search, self.backend.size_bytes()) / len(self.vectors),
            )
            search.close()
            candidates[trial["trial_id"]] = partial(self._quality, trial)
        rivals = [Rival(np.array(r["by_query"]), r["ms"], r["bytes"]) for r in job["rivals"]]
        found = halve(candidates, costs, rivals, n_queries, job["seed"])
        self.dropped = set(found)
        return {trial_id: {"status": "pruned", "error": drop.reason} for trial_id, drop in found.items()}

    def _quality(self, trial: dict[str, Any], rows: np.ndarray) -> np.ndarray:
        search = _Search(self, trial)
        ids = np.concatenate([search.one(i) for i in rows])
        search.close()
        own = self.embeddings.own
        return self.scorer.by_query(without_own(ids, None if own is None else own[rows]), rows)

    def trial(self, trial: dict[str, Any], built: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Measure one trial: its row, and its queries' columns."""
        job, n, n_queries = self.job, len(self.vectors), len(self.queries)
        search = _Search(self, trial)
        full_singles = [self.full_queries[i : i + 1] for i in range(n_queries)]

        def reference(i: int) -> np.ndarray:
            return self.reference.search(full_singles[i], search.asked)

        latency = timing.time_queries(search.one, n_queries, job["repeats"], job["budget_seconds"], search.cold)
        ids = self._checked(latency.results, search.asked)
        speedups = timing.paired_speedup(search.one, reference, n_queries, job["seed"], search.cold)
        batches = []
        for _ in range(job["repeats"]):
            begun = time.perf_counter_ns()
            search(slice(None))
            batches.append((time.perf_counter_ns() - begun) / 1e9)

        milliseconds = latency.nanoseconds / 1e6
        p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
        speedup, speedup_low, speedup_high = median_interval(speedups, job["seed"])
        in_memory = 0 if search.cold else search.second_bytes
        row = {
            **built,
            "memory_bytes": None if built["memory_bytes"] is None else built["memory_bytes"] + in_memory,
            "index_bytes": built["index_bytes"] + in_memory,
            "disk_bytes": search.second_bytes - in_memory,
            "bytes_per_vector": self._bytes(search, built["index_bytes"]) / n,
            "latency_ms_p50": float(p50),
            "latency_ms_p95": float(p95),
            "latency_ms_p99": float(p99),
            "qps": 1e3 / float(milliseconds.mean()),
            "batch_qps": n_queries / float(np.median(batches)),
            "rescore_ms_p50": self._rescore_ms(search),
            "encode_ms_p50": job["encode_ms_p50"],
            "speedup_vs_exact": speedup,
            "speedup_vs_exact_low": speedup_low,
            "speedup_vs_exact_high": speedup_high,
            "bandwidth_fraction": self._bandwidth(search, float(p50)),
            "threads_seen": timing.threads_running(),
            "threads_started": max(0, timing.threads_running() - self.threads_before),
        }
        search.close()
        exact_ids = search.exhaustive(self.exact)
        precise_ids = None if self.precise is None else search.exhaustive(self.precise)
        row["ann_recall_at_10"] = self._ann_recall(ids, exact_ids, search)
        figures, queries = self.scorer.score(ids, exact_ids, precise_ids)
        queries["latency_ms"] = np.median(milliseconds, axis=0).tolist()
        return {**row, **figures}, queries

    def _bytes(self, search: _Search, index_bytes: int) -> int:
        """Return the bytes that lie in memory: the index, and what later steps score where that is not on disk."""
        return index_bytes + (0 if search.cold else search.second_bytes)

    def _rescore_ms(self, search: _Search) -> float | None:
        """Return the median time of the steps after the index's own, milliseconds; None where there is none."""
        if not search.stages or search.stages.get(NATIVE):
            return None
        shortlists = self.backend.search(self.index_queries, search.multi.shortlist)
        taken = timing.time_queries(
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
                raise ValueError(f"search returned ids of shape {np.shape(found)} instead of (1, {asked})")
        ids = np.concatenate(results)
        outside = (ids < -1) | (ids >= len(self.vectors))
        if outside.any():
            raise ValueError(f"search returned id {ids[outside][0]}, outside 0…{len(self.vectors) - 1}")
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
            overlap(ids, cosines(queries, vectors, ids[:, :DEPTH]), cosines(queries, vectors, nearest), DEPTH).mean()
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


# ------------------------------------------------------------------------------------------------------ the encoder's time


def run_encode(job: dict[str, Any], emit: Emit) -> None:
    """Time the encoding of single queries under the study's threads; emit the median in milliseconds."""
    from bench.encoders import get_encoder

    encoder, texts = get_encoder(job["encoder"]), job["texts"]
    latency = timing.time_queries(
        lambda position: encoder.encode_full([texts[position]], "query"), len(texts), 3, job["budget_seconds"]
    )
    emit({"event": "encode", "encode_ms_p50": float(np.median(latency.nanoseconds) / 1e6)})


def run_bandwidth(job: dict[str, Any], emit: Emit) -> None:
    """Measure what one pinned thread reads from memory, bytes a second."""
    emit({"event": "bandwidth", "bandwidth": timing.memory_bandwidth()})


# ---------------------------------------------------------------------------------------------------------------- helpers


def _embeddings(job: dict[str, Any]) -> Embeddings:
    return open_embeddings(Path(job["embeddings"]), max_queries=job["max_queries"], seed=job["seed"])


def _reducer(embeddings: Embeddings, job: dict[str, Any], fit: bool = True) -> Reducer:
    reducer = get_reducer(job["reducer"])(job["encoder"], **parameters(job["reducer_params"]))
    if fit:
        reducer.fit(embeddings.corpus)
    return reducer


def _plain() -> Reducer:
    return get_reducer("truncate")()


def _reduced(reducer: Reducer, corpus: np.ndarray, dimension: int) -> np.ndarray:
    """Return the whole corpus at `dimension`, (n, d) float32 unit length, without a second full-width copy."""
    reduced = np.empty((len(corpus), dimension), dtype=np.float32)
    for start in range(0, len(corpus), _ROWS):
        reduced[start : start + _ROWS] = truncate(reducer.map(normalise(corpus[start : start + _ROWS])), dimension)
    return reduced


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


_JOBS: dict[str, Callable[[dict[str, Any], Emit], None]] = {
    "exact": run_exact,
    "build": run_build,
    "encode": run_encode,
    "bandwidth": run_bandwidth,
}

if __name__ == "__main__":
    main()
