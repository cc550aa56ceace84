"""What a study will take, before it begins: minutes, memory and disk, one line per part.

Small indexes are built and searched first (`bench.measuring.probe`). Their times and sizes are
extended to the corpus, and the protocol of the clock says how often each query is asked. Expect a
factor of two either way. What the parts took in the end is in ``tasks.jsonl``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np

from bench.backends import LIBRARY, get_backend
from bench.codes.table import BY_NAME
from bench.measuring import clock, mapped
from bench.measuring.jobs import IndexProbe, Probed
from bench.measuring.workload import Workload, first
from bench.study.plan import BM25, EXACT, Trial, parameters
from bench.study.schema import FUSION, RERANK, SHORTLIST

SPREAD_PROCESSES = 3
"""Fewest processes of the first index of each backend, to know how far processes differ."""
_SCORED_SECONDS = 1e-4
"""Scoring and storing a trial, s per query."""
_RESCORED_SECONDS = 2e-6
"""Scoring a candidate by a longer vector, s."""
_WORDS_SECONDS, _WORD_SECONDS = 2e-4, 1e-8
"""A query by BM25, s, and what each document adds."""
_READ_SECONDS = 1e-2
"""Reading a candidate with a cross-encoder, s."""
_CODED_SECONDS = 1.5e-6
"""Learning a code of few bits and encoding with it, s per component; the mean over the codes."""
_BM25_SECONDS = 2e-4
"""Splitting and indexing a document, s."""
_COPY_RATE = 1e9
"""Vectors are read, cut and normalised at so many bytes per second."""
_FIT_RATE = 2e10
"""Floating-point operations per second when a reducer is fitted, in double precision."""
_SERVER_SECONDS = 5.0
"""Starting a server or an embedded database."""
_SERVER_BUILD, _SERVER_QUERY = 1e-3, 2e-3
"""What a backend that was not probed takes, s per vector and s per query."""
_BASE_BYTES = 150 * 2**20
"""A worker with its libraries."""
_BUILD_GROWTH = 0.08
"""Power of n by which a build takes longer than in proportion, about as n log n."""
_GROWTH = 0.3
"""Power of n by which a query of an index that is not exhaustive slows down."""


@dataclass(frozen=True)
class Estimate:
    """What one part of a study takes."""

    part: str
    trials: int = 0
    seconds: float = 0.0
    memory_bytes: float = 0.0
    """Most that a worker holds of its own; mapped files can be reclaimed and do not count."""
    disk_bytes: float = 0.0


@dataclass(frozen=True)
class Probes:
    """What the probes of a machine found, for one study."""

    indexes: tuple[IndexProbe, ...]
    pairs_per_second: float
    bandwidth: float
    start_seconds: float
    """Starting a worker."""

    @staticmethod
    def joined(found: Sequence[Probed], start_seconds: float) -> Probes:
        """Join the answers of several workers."""
        return Probes(
            tuple(index for each in found for index in each.indexes),
            max((each.pairs_per_second for each in found), default=0.0),
            max((each.bandwidth for each in found), default=0.0),
            start_seconds,
        )

    def near(self, trial: Trial) -> list[IndexProbe]:
        """Return the probes of the indexes most like that of `trial`, by dimension."""
        alike: dict[int, list[IndexProbe]] = {}
        for probe in self.indexes:
            if probe.backend == trial.backend:
                shared = 2 * (probe.precision == trial.precision)
                shared += probe.build_params == trial.build_params
                alike.setdefault(shared, []).append(probe)
        likest = alike[max(alike)] if alike else []
        return sorted(likest, key=lambda probe: probe.dim)


def probed_indexes(groups: Iterable[dict[str, Trial]]) -> dict[str, list[tuple[Trial, list[str]]]]:
    """Return the indexes to probe, each with its search parameters, by library.

    One of the smallest and one of the largest dimension per backend, precision and build
    parameters. Each library gets a process of its own, since some cannot share one.
    """
    alike: dict[Any, dict[int, list[Trial]]] = {}
    for group in groups:
        trials = list(group.values())
        backend = None if trials[0].backend in (EXACT, BM25) else get_backend(trials[0].backend)
        if backend is None or backend.kind != LIBRARY or not backend.available():
            continue
        key = trials[0].backend, trials[0].precision, trials[0].build_params
        alike.setdefault(key, {}).setdefault(trials[0].dim, trials)
    # The largest dimension of everything first: the probes end when their time is over.
    ordered = [by_dim[max(by_dim)] for by_dim in alike.values()]
    ordered += [by_dim[min(by_dim)] for by_dim in alike.values() if len(by_dim) > 1]
    found: dict[str, list[tuple[Trial, list[str]]]] = {}
    for trials in ordered:
        searches = sorted({trial.search_params for trial in trials})
        found.setdefault(get_backend(trials[0].backend).module, []).append((trials[0], searches))
    return found


def estimate(work: Workload, groups: Sequence[dict[str, Trial]], probes: Probes) -> list[Estimate]:
    """Return what `groups` of trials take, a line for the exact pass and one per backend."""
    costs = _Costs(work, probes)
    found = []
    for backend, members in groupby(groups, key=lambda group: first(group).backend):
        listed = list(members)
        if backend == EXACT:
            found += [costs.exact(group) for group in listed]
        elif backend == BM25:
            found.append(costs.bm25())
        else:
            found.append(costs.backend(backend, listed))
    return merged(found)


def too_large(work: Workload, group: dict[str, Trial], probes: Probes, limit: float) -> str:
    """Return why an index cannot be built with `limit` bytes of memory, or "" if it may fit.

    Only what is sure counts: the bytes of the index, by its size over fewer vectors, and those of
    the vectors that are copied.
    """
    costs, trial = _Costs(work, probes), first(group)
    needed, scratch = costs.index_bytes(trial), costs.scratch_bytes(trial)
    if needed + _BASE_BYTES > limit:
        return (
            f"not tried: an index of {needed / 2**30:.1f} GiB does not fit into the "
            f"{limit / 2**30:.1f} GiB that a worker may take"
        )
    free = shutil.disk_usage(work.embeddings.folder).free
    if scratch > free:
        return (
            f"not tried: the vectors at {trial.dim} d need {scratch / 2**30:.1f} GiB of disk, and "
            f"{free / 2**30:.1f} GiB are free; make room, or set MATRYOSHKA_BENCH_CACHE"
        )
    return ""


def merged(estimates: Iterable[Estimate]) -> list[Estimate]:
    """Join estimates of the same part: times add up, the most memory and disk counts."""
    parts: dict[str, Estimate] = {}
    for each in estimates:
        held = parts.setdefault(each.part, Estimate(each.part))
        parts[each.part] = Estimate(
            each.part,
            held.trials + each.trials,
            held.seconds + each.seconds,
            max(held.memory_bytes, each.memory_bytes),
            max(held.disk_bytes, each.disk_bytes),
        )
    return list(parts.values())


class _Costs:
    def __init__(self, work: Workload, probes: Probes) -> None:
        self.work = work
        self.study = work.study
        self.probes = probes
        self.n, self.full = work.embeddings.corpus.shape
        self.q = len(work.embeddings.query_ids)
        self.vector_bytes = 4.0 * self.n * self.full
        small = mapped.is_small(self.n, self.full)
        self.held_bytes = _BASE_BYTES + (2 * self.vector_bytes if small else 0)
        self.bandwidth = probes.bandwidth or 1e10
        self.reference_seconds = 1e-5 + self.vector_bytes / self.bandwidth

    def exact(self, group: dict[str, Trial]) -> Estimate:
        """Estimate the exact pass of one reducer."""
        trial = first(group)
        reducer = self.work.reducer(trial.reducer, trial.reducer_params)
        rate = self.probes.pairs_per_second or 1e8
        seconds = self.probes.start_seconds + self.n * self.q / rate
        if reducer.fitted is not None:
            seconds += 4 * self.n * self.full**2 / _FIT_RATE
        seconds += len(group) * self.q * _SCORED_SECONDS
        coded = {(t.dim, t.precision) for t in group.values() if t.precision in BY_NAME}
        seconds += self.n * _CODED_SECONDS * sum(dim for dim, _ in coded)
        if self.study.subsets and trial.reducer == self.work.full_key.reducer:
            from bench.measuring.subsets import DOCUMENTS, PAIRS

            pairs = min(self.n, DOCUMENTS) * min(self.q, PAIRS)
            seconds += self.study.subsets * pairs / rate
        steps = len(self.work.dimensions)
        held = 2 * 2 * steps * self.q * (self.work.depth + 16) * 8.0
        return Estimate("exact search", len(group), seconds, _BASE_BYTES + held)

    def bm25(self) -> Estimate:
        """Estimate the pass of BM25."""
        return Estimate("BM25", 1, self.probes.start_seconds + self.n * _BM25_SECONDS, _BASE_BYTES)

    def backend(self, name: str, groups: list[dict[str, Trial]]) -> Estimate:
        """Estimate all indexes of one backend, in all the processes that build them."""
        if not get_backend(name).available():
            return Estimate(f"{name} (not installed)", sum(map(len, groups)))
        parts = [self.index(group) for group in groups]
        total = merged(parts)[0]
        more = sum(p.seconds for p in parts) * (self.study.processes - 1)
        more += parts[0].seconds * max(0, SPREAD_PROCESSES - self.study.processes)
        return replace(total, seconds=total.seconds + more)

    def index(self, group: dict[str, Trial]) -> Estimate:
        """Estimate one index with its trials."""
        trial = first(group)
        build, size = self._built(trial)
        reduced, scratch = 4.0 * self.n * trial.dim, self.scratch_bytes(trial)
        start = self.probes.start_seconds + (reduced + self.vector_bytes) / _COPY_RATE
        if get_backend(trial.backend).kind != LIBRARY:
            start += _SERVER_SECONDS
        seconds = start + build + sum(self._trial(each) for each in group.values())
        memory = self.held_bytes + size + (reduced if mapped.is_small(self.n, trial.dim) else 0)
        return Estimate(trial.backend, len(group), seconds, memory, scratch)

    def scratch_bytes(self, trial: Trial) -> float:
        """Return the bytes of the file that holds the reduced vectors; 0 if memory does."""
        is_uncut = trial.dim == self.full and self.work.full_key.reducer == trial.reducer
        is_small = mapped.is_small(self.n, trial.dim)
        return 0.0 if is_small or is_uncut else 4.0 * self.n * trial.dim

    def index_bytes(self, trial: Trial) -> float:
        """Return the bytes of an index; 0 if unknown."""
        return self._built(trial)[1]

    def _built(self, trial: Trial) -> tuple[float, float]:
        """Return seconds and bytes of an index over the whole corpus."""
        near = self.probes.near(trial)
        if not near:
            return _SERVER_BUILD * self.n, 0.0
        growth = max(1.0, self.n / near[0].sizes[-1]) ** _BUILD_GROWTH
        seconds = [(p.dim, growth * _linear(p.sizes, p.build_seconds, self.n)) for p in near]
        sizes = [(p.dim, _linear(p.sizes, p.index_bytes, self.n)) for p in near]
        return _at(trial.dim, seconds), _at(trial.dim, sizes)

    def _query(self, trial: Trial) -> float:
        """Return the seconds of one query of the index."""
        found = []
        for probe in self.probes.near(trial):
            known = probe.query_seconds
            taken = known.get(trial.search_params) or next(iter(known.values()))
            if get_backend(trial.backend).exact:
                scanned = _linear(probe.sizes, probe.index_bytes, self.n) / self.bandwidth
                found.append((probe.dim, max(scanned, _linear(probe.sizes, taken, self.n))))
            else:
                found.append((probe.dim, _extended(probe.sizes, taken, self.n)))
        return _at(trial.dim, found) if found else _SERVER_QUERY

    def _trial(self, trial: Trial) -> float:
        """Return the seconds of one trial: what `clock.time_beside` asks, then the rest."""
        own, other = self._query(trial), self.reference_seconds
        if trial.stages:
            own += _later(parameters(trial.stages), self.n)
        own = max(own, 1e-6)
        repeats = min(self.study.repeats, 1 + int(5.0 / (own * self.q)))
        size = max(-(-self.q * repeats // clock.ROUNDS), clock.LEAST_BLOCK)
        rounds = repeats * -(-self.q // size)
        few = np.clip(clock.REFERENCE_SECONDS / other, clock.REFERENCE_LEAST, clock.REFERENCE_MOST)
        timed = repeats * self.q * own + rounds * (_warmed(own) + _warmed(other) + few * other)
        cold = max(clock.COLD_LEAST * (own + 0.01), clock.COLD_SECONDS)
        together = max(self.q * own, 0.05)
        return float(timed + cold + together + self.q * _SCORED_SECONDS)


def _later(stages: Mapping[str, Any], n: int) -> float:
    """Return the seconds that the later stages of a query take among n documents."""
    seconds = _RESCORED_SECONDS * int(stages[SHORTLIST])
    if FUSION in stages:
        seconds += _WORDS_SECONDS + n * _WORD_SECONDS
    if RERANK in stages:
        seconds += _READ_SECONDS * int(stages[SHORTLIST])
    return seconds


def _warmed(seconds: float) -> float:
    count = np.clip(clock.WARM_UP_SECONDS / seconds, clock.LEAST_WARM_UP, clock.WARM_UP)
    return float(count * seconds)


def _linear(sizes: Sequence[int], values: Sequence[float], n: int) -> float:
    """Extend `values` at one or two `sizes` to `n` by a line that does not fall."""
    if len(values) < 2 or sizes[1] == sizes[0]:
        return values[-1] * n / sizes[len(values) - 1]
    slope = max(0.0, (values[1] - values[0]) / (sizes[1] - sizes[0]))
    return max(values[1] + slope * (n - sizes[1]), values[0])


def _extended(sizes: Sequence[int], values: Sequence[float], n: int) -> float:
    """Extend `values` at one or two `sizes` to `n` by a power of n of at most `_GROWTH`."""
    power, last = _GROWTH, len(values) - 1
    if last and sizes[1] > sizes[0] and min(values) > 0:
        found = np.log(values[1] / values[0]) / np.log(sizes[1] / sizes[0])
        power = float(np.clip(found, 0, _GROWTH))
    return float(values[last] * (n / sizes[last]) ** power)


def _at(dim: int, values: list[tuple[int, float]]) -> float:
    """Interpolate between the smallest and the largest dimension."""
    dims, found = zip(*values, strict=True)
    return float(np.interp(dim, dims, found))
