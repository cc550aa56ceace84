"""What runs inside a child process: the exact pass, one index with its trials, or the timing of the encoder.

`python -m bench.trial FD` reads a job (JSON) from standard input and writes one JSON line an event to the file descriptor:
``{"event": "built"}`` when the index stands, ``{"event": "start", "trial_id": …}`` before a trial, ``{"event": "trial", "row": …,
"queries": …}`` when it is measured. If the process dies, the runner knows what it was at.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import timing
from bench.backends import Backend, get_backend
from bench.embeddings import Embeddings, open_embeddings
from bench.exact import exact_search
from bench.quality import median_interval, overlap
from bench.reducers import Reducer, get_reducer
from bench.scoring import DEPTH, Scorer, cosines
from bench.stages import TwoStage, rescore
from bench.study import RESCORE_STAGE, parameters
from bench.vectors import normalise, truncate

Emit = Callable[[dict[str, Any]], None]

_ROWS = 16_384
_EXACT_LAYOUT = 2
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
        partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.npz")
        arrays: dict[str, Any] = {f"ids_{d}": ids for d, (ids, _) in found.nearest.items()}
        for d, (_, ranks) in found.relevant.items():
            first = np.full(len(embeddings.queries), len(embeddings.corpus) + 1)
            np.minimum.at(first, rows, ranks)
            arrays[f"first_relevant_{d}"] = first
        np.savez(partial, **arrays)
        partial.replace(path)
    emit({"event": "built"})
    if not job["trials"]:
        return
    exact = np.load(path)
    scorer = Scorer(embeddings, job["seed"], job["exact_full"])
    for trial in job["trials"]:
        emit({"event": "start", "trial_id": trial["trial_id"]})
        started = _now()
        ids = exact[f"ids_{trial['dim']}"]
        figures, queries = scorer.score(ids[:, : trial["k"]], exact_ids=ids)
        if embeddings.qrels is not None:
            queries["first_relevant_rank"] = exact[f"first_relevant_{trial['dim']}"].tolist()
        figures |= {"loss_precision": 0.0, "loss_search": 0.0} if "loss_dimension" in figures else {}
        row = {
            "status": "ok",
            "started_at": started,
            "bytes_per_vector": trial["dim"] * 4.0,
            "ann_recall_at_10": 1.0,
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
    backend = get_backend(job["backend"])()
    backend.load()
    reducer = _reducer(embeddings, job)
    vectors = _reduced(reducer, embeddings.corpus, job["dim"])

    before = timing.unique_bytes()
    timing.reset_peak()
    begun = time.perf_counter_ns()
    backend.build(vectors, **parameters(job["build_params"]))
    build_seconds = (time.perf_counter_ns() - begun) / 1e9
    peak = timing.peak_bytes()
    built = {
        "build_seconds": build_seconds,
        "memory_bytes": max(0, timing.unique_bytes() - before),
        "peak_memory_bytes": None if peak is None else max(0, peak - before),
        "index_bytes": backend.size_bytes(),
    }

    full_vectors = _reduced(_plain(embeddings), embeddings.corpus, embeddings.full_dim)
    reference = reference_class()
    reference.build(full_vectors)
    emit({"event": "built"})
    measure = _Measure(job, embeddings, backend, reference, vectors, full_vectors, reducer)
    for trial in job["trials"]:
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
        self.job, self.embeddings, self.backend = job, embeddings, backend
        self.vectors, self.full_vectors = vectors, full_vectors
        self.queries = reducer.reduce(normalise(embeddings.queries), job["dim"])
        self.full_queries = normalise(embeddings.queries)
        self.extra = 0 if embeddings.own is None else 1
        self.reference = reference
        self.exact = np.load(job["exact"])
        self.scorer = Scorer(embeddings, job["seed"], job["exact_full"], full_vectors, self.full_queries)

    def trial(self, trial: dict[str, Any], built: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Measure one trial: its row, and its queries' columns."""
        job, n, n_queries = self.job, len(self.vectors), len(self.queries)
        k, stages = trial["k"], parameters(trial["stages"])
        asked = k + self.extra
        self.backend.configure(**parameters(trial["search_params"]))
        singles = [self.queries[i : i + 1] for i in range(n_queries)]
        full_singles = [self.full_queries[i : i + 1] for i in range(n_queries)]
        search_one, search = self.backend.search, self.backend.search
        if stages:
            two = TwoStage(self.backend, self.full_vectors, stages[RESCORE_STAGE] + self.extra)

            def single(i: int) -> np.ndarray:
                return two.search(singles[i], full_singles[i], asked)

            def batch() -> np.ndarray:
                return two.search(self.queries, self.full_queries, asked)
        else:

            def single(i: int) -> np.ndarray:
                return search_one(singles[i], asked)

            def batch() -> np.ndarray:
                return search(self.queries, asked)

        def reference(i: int) -> np.ndarray:
            return self.reference.search(full_singles[i], asked)

        latency = timing.time_queries(single, n_queries, job["repeats"], job["budget_seconds"])
        ids = self._checked(latency.results, asked)
        speedups = timing.paired_speedup(single, reference, n_queries, job["seed"])
        batches = []
        for _ in range(job["repeats"]):
            begun = time.perf_counter_ns()
            batch()
            batches.append((time.perf_counter_ns() - begun) / 1e9)

        milliseconds = latency.nanoseconds / 1e6
        p50, p95, p99 = np.percentile(milliseconds, [50, 95, 99])
        speedup, speedup_low, speedup_high = median_interval(speedups, job["seed"])
        size, memory = built["index_bytes"], built["memory_bytes"]
        if stages:
            size, memory = size + self.full_vectors.nbytes, memory + self.full_vectors.nbytes
        row = {
            **built,
            "memory_bytes": memory,
            "index_bytes": size,
            "bytes_per_vector": size / n,
            "latency_ms_p50": float(p50),
            "latency_ms_p95": float(p95),
            "latency_ms_p99": float(p99),
            "qps": 1e3 / float(milliseconds.mean()),
            "batch_qps": n_queries / float(np.median(batches)),
            "encode_ms_p50": job["encode_ms_p50"],
            "speedup_vs_exact": speedup,
            "speedup_vs_exact_low": speedup_low,
            "speedup_vs_exact_high": speedup_high,
            "bandwidth_fraction": self._bandwidth(asked, stages, float(p50)),
            "threads_seen": timing.threads_running(),
        }
        exact_ids = self.exact[f"ids_{job['dim']}"]
        if stages:
            shortlists = exact_ids[:, : stages[RESCORE_STAGE]]
            exact_ids = rescore(shortlists, self.full_vectors, self.full_queries, min(k, shortlists.shape[1]))
        row["ann_recall_at_10"] = self._ann_recall(ids, exact_ids, bool(stages))
        figures, queries = self.scorer.score(ids, exact_ids)
        queries["latency_ms"] = np.median(milliseconds, axis=0).tolist()
        return {**row, **figures}, queries

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

    def _ann_recall(self, ids: np.ndarray, exact_ids: np.ndarray, full: bool) -> float | None:
        if ids.shape[1] < DEPTH or exact_ids.shape[1] < DEPTH:
            return None
        queries, vectors = (self.full_queries, self.full_vectors) if full else (self.queries, self.vectors)
        nearest = exact_ids[:, :DEPTH]
        return float(
            overlap(ids, cosines(queries, vectors, ids[:, :DEPTH]), cosines(queries, vectors, nearest), DEPTH).mean()
        )

    def _bandwidth(self, asked: int, stages: dict[str, Any], p50_ms: float) -> float | None:
        sample = self.queries[: min(100, len(self.queries))]
        shortlist = stages[RESCORE_STAGE] if stages else 0
        read = self.backend.bytes_read(sample, max(asked, shortlist))
        if read is None or not self.job["bandwidth"]:
            return None
        read += shortlist * self.full_vectors.shape[1] * 4
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


def _reducer(embeddings: Embeddings, job: dict[str, Any]) -> Reducer:
    reducer = get_reducer(job["reducer"])(**parameters(job["reducer_params"]))
    reducer.fit(embeddings.corpus)
    return reducer


def _plain(embeddings: Embeddings) -> Reducer:
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
