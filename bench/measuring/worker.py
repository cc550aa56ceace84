"""What runs inside a child process: the exact pass, one index with its trials, or the timing of the encoder.

`python -m bench.measuring.worker FD` reads a job (JSON) from standard input and writes one JSON line an event to the file descriptor:
``{"event": "built"}`` when the index stands, ``{"event": "start", "trial_id": …}`` before a trial, ``{"event": "trial", "row": …,
"queries": …}`` when it is measured, ``{"event": "again"}`` when the server is gone and the rest needs a new one. If the process dies, the runner knows what it was at.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from bench import machine
from bench.backends import SERVER, get_backend
from bench.measuring import clock
from bench.measuring.exact_pass import run_exact
from bench.measuring.jobs import Emit, _now
from bench.measuring.measure import Measure
from bench.measuring.prepared import _embeddings, _plain, _reducer, reduced
from bench.study.plan import parameters
from bench.vectors import truncate


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
    vectors = reduced(
        reducer, embeddings.corpus, embeddings.full_dim if backend.full_width else job["dim"]
    )

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
        "peak_memory_bytes": None
        if peak is None or backend.kind == SERVER
        else max(0, peak - before),
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
        emit(
            {
                "event": "trial",
                "row": {"trial_id": trial_id, "started_at": _now(), **built, **row},
                "queries": None,
            }
        )
    for trial in (t for t in job["trials"] if t["trial_id"] not in measure.dropped):
        emit({"event": "start", "trial_id": trial["trial_id"]})
        started = _now()
        try:
            row, queries = measure.trial(trial, built)
            row |= {"status": "ok"}
        except (
            Exception
        ) as error:  # a library may raise anything; whatever it is belongs to this trial's row
            row, queries = {"status": "failed", "error": f"{type(error).__name__}: {error}"}, None
        emit(
            {
                "event": "trial",
                "row": {"trial_id": trial["trial_id"], "started_at": started, **row},
                "queries": queries,
            }
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
    latency = clock.time_queries(
        lambda position: encoder.encode_full([texts[position]], "query"),
        len(texts),
        3,
        job["budget_seconds"],
    )
    emit({"event": "encode", "encode_ms_p50": float(np.median(latency.nanoseconds) / 1e6)})


def run_bandwidth(job: dict[str, Any], emit: Emit) -> None:
    """Measure what one pinned thread reads from memory, bytes a second."""
    emit({"event": "bandwidth", "bandwidth": machine.memory_bandwidth()})


# ---------------------------------------------------------------------------------------------------------------- helpers


_JOBS: dict[str, Callable[[dict[str, Any], Emit], None]] = {
    "exact": run_exact,
    "build": run_build,
    "encode": run_encode,
    "bandwidth": run_bandwidth,
}

if __name__ == "__main__":
    main()
