"""The worker process: it runs the exact pass, one index with its trials, or one measurement.

``python -m bench.measuring.worker FD PARENT`` reads a job from standard input and writes events to
the file descriptor FD (`bench.measuring.jobs` defines both). If the process dies, the last event
shows the runner which trial was under way.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import assert_never

import numpy as np

from bench import machine
from bench.backends import REFERENCE, SERVER, Backend, get_backend
from bench.embeddings.sets import Embeddings
from bench.measuring import clock, mapped
from bench.measuring.bm25 import run_bm25
from bench.measuring.exact_pass import run_exact
from bench.measuring.jobs import (
    JOB,
    Answer,
    BandwidthJob,
    Bm25Job,
    BuildJob,
    Emit,
    EncodeJob,
    Event,
    ExactJob,
    Failed,
    FitJob,
    Job,
    Measured,
    ProbeJob,
    Progressed,
    Ready,
    ServerGone,
    Started,
    TimedAgain,
    now,
)
from bench.measuring.measure import Built, Measure
from bench.measuring.prepared import fitted_reducer, opened, reduced, unit_vectors
from bench.measuring.probe import run_probe
from bench.reducers import Reducer
from bench.results.schema import PASSED_OVER, PRUNED
from bench.study.plan import parameters

_TOLD_SECONDS = 1.0


def main() -> None:
    """Run the job on standard input; report an exception as an event and exit with 1."""
    machine.end_with(int(sys.argv[2]))
    job = JOB.validate_json(sys.stdin.read())
    machine.pin(job.cores)
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as channel:

        def emit(event: Event) -> None:
            channel.write(event.model_dump_json() + "\n")
            channel.flush()

        try:
            _run(job, emit)
        except MemoryError as error:
            emit(Failed(status="out_of_memory", error=_described(error)))
            sys.exit(1)
        except Exception as error:  # a library may raise anything; the runner puts it into a row
            emit(Failed(status="failed", error=_described(error)))
            sys.exit(1)


def _run(job: Job, emit: Emit) -> None:
    match job:
        case ExactJob():
            run_exact(job, emit)
        case Bm25Job():
            run_bm25(job, emit)
        case BuildJob():
            run_build(job, emit)
        case FitJob():
            fitted_reducer(job.exact, opened(job.exact.data))
            emit(Ready())
        case EncodeJob():
            emit(Answer(value=_encoding(job)))
        case BandwidthJob():
            emit(Answer(value=machine.memory_bandwidth()))
        case ProbeJob():
            run_probe(job, emit)
        case _:
            assert_never(job)


def run_build(job: BuildJob, emit: Emit) -> None:
    """Build one index, then measure each trial over it."""
    embeddings = opened(job.exact.data)
    reference = get_backend(REFERENCE)
    reference.load()
    index = job.index
    backend = get_backend(index.backend)(index.precision, index.dim, index.threads)
    threads_before = machine.threads_running()
    backend.load()
    reducer = fitted_reducer(job.exact, embeddings)
    built = _built(job, embeddings, reducer, backend, reference(), threads_before, emit)
    server = backend.server_version()
    emit(Ready())
    measure = Measure(job, embeddings, reducer, built)
    if job.process:
        for trial_id, trial in job.trials.items():
            emit(TimedAgain(trial_id=trial_id, row=measure.times(trial)))
        backend.close()
        return
    dominated, narrow = measure.dominated(), measure.too_narrow()
    left_out = dominated | narrow
    for trial_id, reason in left_out.items():
        status = PRUNED if trial_id in dominated else PASSED_OVER
        row = {**built.columns, "status": status, "error": reason, "started_at": now()}
        emit(Measured(trial_id=trial_id, row=row, server=server))
    for trial_id in (i for i in job.trials if i not in left_out):
        emit(Started(trial_id=trial_id))
        started = now()
        try:
            row, queries = measure.trial(job.trials[trial_id])
        except Exception as error:  # a library may raise anything; it belongs to this trial's row
            row = {"status": "failed", "error": _described(error), "started_at": started}
            emit(Measured(trial_id=trial_id, row=row, server=server))
            if not backend.alive():
                emit(ServerGone())
                return
        else:
            row = {"status": "ok", "started_at": started, **row}
            emit(Measured(trial_id=trial_id, row=row, queries=queries, server=server))
    backend.close()


def _built(
    job: BuildJob,
    embeddings: Embeddings,
    reducer: Reducer,
    backend: Backend,
    reference: Backend,
    threads_before: int,
    emit: Emit,
) -> Built:
    """Reduce the vectors, build index and reference, measure time and memory of the build."""
    index, full_dim = job.index, embeddings.full_dim
    # What is built second may lie elsewhere in memory, so the order alternates.
    full_vectors = _reference(reference, embeddings) if job.process % 2 else None
    vectors = reduced(reducer, embeddings, full_dim if backend.full_width else index.dim)
    mapped.populate(vectors)
    before = machine.unique_bytes(embeddings.folder)
    machine.reset_peak()
    resident = machine.peak_bytes()
    begun = time.perf_counter_ns()
    with _telling(backend.built, len(vectors), emit):
        backend.build(vectors, **parameters(index.build_params))
    build_seconds = (time.perf_counter_ns() - begun) / 1e9
    peak = machine.peak_bytes()
    memory = max(0, machine.unique_bytes(embeddings.folder) - before)
    mapped.release(vectors)
    here = backend.kind != SERVER  # a server's memory belongs to another process
    most = None if peak is None or resident is None else max(memory, peak - resident)
    columns = {
        "build_seconds": build_seconds,
        "memory_bytes": memory if here else None,
        "peak_memory_bytes": most if here else None,
        "index_bytes": backend.size_bytes(),
        "code_bytes": backend.stored_bytes(),
        "caution": reducer.caution(index.dim),
    }
    if backend.full_width:
        vectors = reduced(reducer, embeddings, index.dim)
    if full_vectors is None:
        full_vectors = _reference(reference, embeddings)
    return Built(backend, reference, vectors, full_vectors, threads_before, columns)


@contextmanager
def _telling(done: Callable[[], int | None], total: int, emit: Emit) -> Iterator[None]:
    """Report now and then, from another thread, how many of `total` are done."""
    ended = threading.Event()

    def tell() -> None:
        while not ended.wait(_TOLD_SECONDS):
            count = done()
            if count is not None:
                emit(Progressed(done=count, total=total))

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _reference(reference: Backend, embeddings: Embeddings) -> np.ndarray:
    """Build exact search at the full dimension; return its vectors, (n, D) float32."""
    vectors = unit_vectors(embeddings)
    if mapped.is_small(*vectors.shape):
        reference.build(vectors)
    else:
        reference.build_in_place(vectors)
    return vectors


def _encoding(job: EncodeJob) -> float:
    """Return the median ms of one query, or the documents per second, under the study's threads."""
    from bench.encoders import get_encoder

    encoder, texts, role = get_encoder(job.encoder), job.texts, job.role
    if role == "query":
        latency = clock.time_queries(
            lambda position: encoder.encode_full([texts[position]], role),
            len(texts),
            3,
            job.budget_seconds,
        )
        return float(np.median(latency.nanoseconds) / 1e6)
    encoder.encode_full(texts[:1], role)
    latency = clock.time_queries(
        lambda _: encoder.encode_full(texts, role), 1, 3, job.budget_seconds, warm_up=False
    )
    return len(texts) / float(np.median(latency.nanoseconds) / 1e9)


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
