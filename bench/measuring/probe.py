"""Probes: a few seconds of small builds and searches, from which a study's cost is estimated."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from bench import machine
from bench.backends import get_backend
from bench.exact.one_pass import exact_topk
from bench.measuring.jobs import Emit, IndexProbe, Probed, ProbeJob
from bench.study.plan import Trial, parameters
from bench.vectors import normalise

_LEAST, _MOST, _SHARE = 2_048, 16_384, 500
"""Bounds of the smaller size, and the part of the corpus that it is between them."""
_STEP = 4
"""How many times the larger size is the smaller one."""
_LONG_SECONDS = 2.0
"""An index that takes longer at the smaller size is not built at the larger one."""
_BUDGET_SECONDS = 4.0
"""No further index is probed after this long, or longer on a corpus that takes much longer; the
rest is estimated by its likes."""
_ASKED = 12
"""Queries per setting, the first of which warm up."""
_WARM = 2
_PAIRS_QUERIES, _PAIRS_DOCUMENTS = 256, 16_384
_MEGABYTES = 64


def run_probe(job: ProbeJob, emit: Emit) -> None:
    """Build and search small indexes of generated vectors; answer with what they took."""
    begun = time.perf_counter()
    size = int(np.clip(job.n // _SHARE, _LEAST, _MOST))
    sizes = [min(job.n, size), min(job.n, _STEP * size)]
    widest = max([trial.dim for trial in job.indexes] + [job.full_dim])
    vectors = _drawn(max(sizes), widest)
    found = []
    for trial, searches in zip(job.indexes, job.searches, strict=True):
        if time.perf_counter() - begun < _BUDGET_SECONDS * size / _LEAST:
            found.append(_probed(trial, searches, vectors, sizes))
    emit(
        Probed(
            indexes=[each for each in found if each is not None],
            pairs_per_second=_pairs_per_second(job) if job.dimensions else 0.0,
            bandwidth=machine.memory_bandwidth(_MEGABYTES, 2),
            seconds=time.perf_counter() - begun,
        )
    )


def _probed(
    trial: Trial, searches: list[str], vectors: np.ndarray, sizes: list[int]
) -> IndexProbe | None:
    """Probe one index at both sizes; None if its library fails, which the study will show."""
    cls = get_backend(trial.backend)
    seconds, size, taken = [], [], list[list[float]]()
    try:
        cls.load()
        for n in sizes:
            backend = cls(trial.precision, trial.dim, trial.threads)
            part = vectors[:n] if backend.full_width else normalise(vectors[:n, : trial.dim])
            begun = time.perf_counter()
            backend.build(part, **parameters(trial.build_params))
            seconds.append(time.perf_counter() - begun)
            size.append(float(backend.size_bytes() or 0))
            taken.append([])
            for search in searches:
                backend.configure(**parameters(search))
                taken[-1].append(_median_seconds(backend.search, part, trial.k))
            backend.close()
            if seconds[-1] > _LONG_SECONDS:
                break
    except Exception:  # a library may raise anything; its trials will become rows with the error
        return None
    return IndexProbe(
        backend=trial.backend,
        precision=trial.precision,
        build_params=trial.build_params,
        dim=trial.dim,
        sizes=sizes[: len(seconds)],
        build_seconds=seconds,
        index_bytes=size,
        query_seconds={s: [each[i] for each in taken] for i, s in enumerate(searches)},
    )


def _median_seconds(
    search: Callable[[np.ndarray, int], np.ndarray], vectors: np.ndarray, k: int
) -> float:
    taken = []
    for row in range(_ASKED):
        query = vectors[row : row + 1]
        begun = time.perf_counter()
        search(query, k)
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken[_WARM:]))


def _pairs_per_second(job: ProbeJob) -> float:
    """Return how many (query, document) pairs the exact pass scores at every dimension."""
    corpus, queries = _drawn(_PAIRS_DOCUMENTS, job.full_dim), _drawn(_PAIRS_QUERIES, job.full_dim)
    exact_topk(queries[:4], corpus[:64], job.dimensions, 10)  # loads the compiled kernels
    begun = time.perf_counter()
    exact_topk(queries, corpus, job.dimensions, 100)
    return _PAIRS_QUERIES * _PAIRS_DOCUMENTS / (time.perf_counter() - begun)


def _drawn(n: int, d: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((64, d), dtype=np.float32)
    return normalise(rng.standard_normal((n, d), dtype=np.float32) + centres[np.arange(n) % 64])
