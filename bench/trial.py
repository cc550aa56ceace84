"""What runs inside a child process: the exact pass, one index with its trials, or the timing of the encoder.

`python -m bench.trial FD` reads a job (JSON) from standard input and writes one JSON line an event to the file descriptor:
``{"event": "built"}`` when the index stands, ``{"event": "start", "trial_id": …}`` before a trial, ``{"event": "trial", "row": …,
"queries": …}`` when it is measured, ``{"event": "again"}`` when the server is gone and the rest needs a new one. If the process dies, the runner knows what it was at.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import pickle
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine, timing
from bench.backends import SERVER, get_backend
from bench.embeddings import Embeddings, open_embeddings
from bench.exact.one_pass import exact_search
from bench.measure import Measure, reduced
from bench.quality.scorer import Scorer
from bench.reducers import Reducer, get_reducer
from bench.study.plan import parameters
from bench.vectors import normalise, truncate

Emit = Callable[[dict[str, Any]], None]

_EXACT_LAYOUT = 4
"""Of the files that keep exact results and fitted reducers; another number makes them afresh."""


def main() -> None:
    """Run the job on standard input."""
    _end_with(int(sys.argv[2]))
    job = json.load(sys.stdin)
    machine.pin(job["cores"])
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
    path, reducer = exact_path(embeddings.folder, job), _reducer(embeddings, job)
    if not path.exists():
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
            "caution": reducer.caution(trial["dim"]),
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
    threads_before = machine.threads_running()
    backend.load()
    reducer = _reducer(embeddings, job)
    vectors = reduced(reducer, embeddings.corpus, embeddings.full_dim if backend.full_width else job["dim"])

    before = machine.unique_bytes()
    machine.reset_peak()
    begun = time.perf_counter_ns()
    backend.build(vectors, **parameters(job["build_params"]))
    build_seconds = (time.perf_counter_ns() - begun) / 1e9
    peak = machine.peak_bytes()
    built = {
        "build_seconds": build_seconds,
        # A server's memory is another process's.
        "memory_bytes": None if backend.kind == SERVER else max(0, machine.unique_bytes() - before),
        "peak_memory_bytes": None if peak is None or backend.kind == SERVER else max(0, peak - before),
        "index_bytes": backend.size_bytes(),
        "server": backend.server_version(),
        "caution": reducer.caution(job["dim"]),
    }
    if backend.full_width:
        vectors = truncate(vectors, job["dim"])

    full_vectors = reduced(_plain(), embeddings.corpus, embeddings.full_dim)
    reference = reference_class()
    reference.build(full_vectors)
    emit({"event": "built"})
    measure = Measure(job, embeddings, backend, reference, vectors, full_vectors, reducer)
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
        if row["status"] == "failed" and not backend.alive():
            emit({"event": "again"})
            return
    backend.close()


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
    emit({"event": "bandwidth", "bandwidth": machine.memory_bandwidth()})


# ---------------------------------------------------------------------------------------------------------------- helpers


def _embeddings(job: dict[str, Any]) -> Embeddings:
    return open_embeddings(Path(job["embeddings"]), max_queries=job["max_queries"], seed=job["seed"])


def _reducer(embeddings: Embeddings, job: dict[str, Any]) -> Reducer:
    """Return the fitted reducer: the first child fits it and keeps it beside the exact results, the others read it."""
    kept = exact_path(embeddings.folder, job).with_suffix(".reducer")
    with contextlib.suppress(OSError, EOFError, ImportError, AttributeError, pickle.UnpicklingError):
        found: Reducer = pickle.loads(kept.read_bytes())
        return found
    reducer = get_reducer(job["reducer"])(job["encoder"], **parameters(job["reducer_params"]))
    reducer.fit(embeddings.corpus)
    kept.parent.mkdir(exist_ok=True)
    unfinished = kept.with_name(f".{kept.stem}.{os.getpid()}.partial.reducer")
    with contextlib.suppress(TypeError, AttributeError, pickle.PicklingError):  # one that cannot be kept is fitted anew
        unfinished.write_bytes(pickle.dumps(reducer))
        unfinished.replace(kept)
    return reducer


def _plain() -> Reducer:
    return get_reducer("truncate")()


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
