"""Run all trials of a study: a worker process per index, time-outs, memory limits, resume.

Each worker measures the trials over one index and reports each one as it ends. If it crashes, hangs
or takes too much memory, the trial under way gets that status. A new worker runs the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.backends import get_backend
from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.embeddings.smaller import reordered, sizes
from bench.encoders import Role
from bench.encoders._names import of_role
from bench.errors import UsageError
from bench.files import check_space
from bench.libraries import without_secrets
from bench.measuring.dispatch import Dispatch
from bench.measuring.estimate import SPREAD_PROCESSES, Probes, estimate, too_large
from bench.measuring.executor import Executor
from bench.measuring.forecast import forecast, probe
from bench.measuring.jobs import (
    BandwidthJob,
    Bm25Job,
    EncodeJob,
    ExactJob,
    Measured,
    TimedAgain,
    now,
)
from bench.measuring.prepared import ExactResults
from bench.measuring.progress import Progress
from bench.measuring.remaining import Remaining, further
from bench.measuring.rivals import Rivals
from bench.measuring.shards import WHOLE, Shard, no_trials, take
from bench.measuring.supervisor import clear_leftovers
from bench.measuring.workload import BUDGET_SECONDS, Workload, first
from bench.reducers import PLAIN
from bench.results.schema import NOT_TIMED
from bench.results.spread import with_process
from bench.results.store import Store, load
from bench.results.texts import write_texts
from bench.study.plan import BM25, EXACT, Trial
from bench.study.reader import load_study, write_study
from bench.study.schema import BISECT, PARETO, Study

_RESUMED = ["status", "build_seconds", "process_speedup", "repeats_done", "qps"]
"""Columns of earlier rows that say what is left to do."""


def run(
    study: str | Path | Study,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    *,
    progress: bool = True,
    retry: bool = False,
    deadline: float = math.inf,
    again: bool = True,
    shard: tuple[int, int] = (1, 1),
    executor: Executor | None = None,
) -> pd.DataFrame:
    """Measure the trials of a study that the results folder lacks; return the folder's trials.

    `study` is a study file, the name of one that ships, or a Study. `out` defaults to
    ``results/NAME``. A trial is not measured again if configuration, data, library versions and
    machine are the same; `retry` repeats those that did not end ok. Nothing is begun after
    `deadline`, a time of `time.monotonic`, and no row is written of what did not end by then.
    `again`: build the first index of each backend in further processes too. The study is written to
    ``studies/`` in the folder. `shard` (3, 16) is the third of sixteen parts, in whole indexes, and
    ``results/NAME-3-of-16``. `executor` does the work, this machine by default (`bench.cluster` has
    another). Raises UsageError on bad input, before anything is measured.
    """
    part = Shard(*shard)
    ready = isinstance(study, Study)
    if not isinstance(study, Study):
        study = load_study(study, overrides)
    store = Store(out or part.folder(study))
    with store.held():
        clear_leftovers()
        if not ready or part != WHOLE:
            write_study(study, store.folder)
        _Run(study, store, progress, retry, deadline, part, executor or Executor()).go(again)
    return load(store.folder) if part == WHOLE or store.done() else no_trials()


class _Run:
    def __init__(
        self,
        study: Study,
        store: Store,
        progress: bool,
        retry: bool,
        deadline: float,
        shard: Shard,
        executor: Executor,
    ) -> None:
        self.study, self.deadline, self.shard = study, deadline, shard
        self.executor = executor
        self.store = store
        self.show = progress
        self.rows = store.rows(_RESUMED)
        self.machine = executor.machine(study)
        self.remaining = Remaining(study, self.rows, retry, self.machine.name)
        self.rivals = Rivals(store.folder, self.remaining.done)
        self.probes: Probes | None = None

    def go(self, again: bool) -> None:
        for dataset in self.study.dataset:
            for encoder in self.study.encoder:
                self._embed(dataset, encoder)
        take(self.shard, self.remaining, self.store.folder)
        counts = self.remaining.left, self.remaining.measured
        with Progress(*counts, self.show, self.shard.title) as self.progress:
            self.progress.say(self.executor.lines())
            self.dispatch = Dispatch(
                self.executor,
                self.store,
                self.progress,
                self.study.timeout_seconds,
                self.machine.memory_limit,
                self.deadline,
            )
            try:
                self._go(again)
            finally:
                self.dispatch.close()
                clear_leftovers()
        self.store.gather()

    def _go(self, again: bool) -> None:
        self._foretell()
        for work, groups in self.remaining.sets:
            if groups:
                self._measure(work, groups)
        # Further processes come in passes over the whole study, so that what changes from minute
        # to minute is in their spread too.
        most = max(self.study.processes, SPREAD_PROCESSES) if again else 1
        for process in range(1, most):
            for work, _ in self.remaining.sets:
                self._measure_again(work, process)

    def _embed(self, dataset: str, encoder: str | None) -> None:
        seed, show, begun = self.study.seed, self.show, time.monotonic()
        found = embed(
            dataset,
            encoder,
            max_queries=self.study.queries,
            seed=seed,
            progress=show,
            encode_with=self.executor.encoding(),
        )
        write_texts(self.store.folder, dataset, found.query_ids, found.query_texts)
        if self.study.order is not None:
            found = reordered(found, self.study.order)
        self.store.log("embed", dataset, begun)
        for part in sizes(found, self.study.corpus_sizes):
            self.remaining.add(part)

    def _foretell(self) -> None:
        """Say what the rest of the study takes; keep the probes, to leave out what cannot fit."""
        left = [(work, groups) for work, groups in self.remaining.sets if groups]
        if not left or not (self.show or any(not work.is_small for work, _ in left)):
            return
        self.progress.now("small probes")
        begun = time.monotonic()
        self.probes = probe(left, self.machine, self.executor)
        told = forecast(self.remaining, self.probes)
        self.progress.say(told.lines())
        self.store.log("probes", "", begun, forecast_seconds=told.seconds)

    def _measure(self, work: Workload, groups: list[dict[str, Trial]]) -> None:
        bm25 = [group for group in groups if first(group).backend == BM25]
        groups = [group for group in groups if group not in bm25]
        self._find_exact(work, groups)
        for group in bm25:
            job = Bm25Job(cores=self.machine.cores, full=work.full_key, trials=group)
            self.dispatch.run(job, "BM25", partial(self._add, work), partial(self._blame, work))
        timed_groups = [group for group in groups if first(group).backend != EXACT]
        if not timed_groups or time.monotonic() > self.deadline:
            return
        encoding = self._encoding(work.embeddings)
        self._measure_bandwidth()
        self.dispatch.side_by_side(
            [partial(self._measure_index, work, group, encoding) for group in timed_groups]
        )

    def _measure_index(
        self, work: Workload, group: dict[str, Trial], encoding: dict[str, float | None]
    ) -> None:
        if self._is_late(work, group):
            return
        backend = get_backend(first(group).backend)
        limit = self.machine.memory_limit
        if not backend.available():
            self._leave_out(work, group, "skipped", f"not installed: {backend.install}")
        elif self.probes and (reason := too_large(work, group, self.probes, limit)):
            self._leave_out(work, group, "out_of_memory", reason)
        else:
            with self.dispatch.lock:
                rivals = self.rivals.of(work) if self.study.sweep == PARETO else []
            job = work.build_job(group, self.machine.cores, self.machine.bandwidth).model_copy(
                update={"rivals": rivals, **encoding}
            )
            self.dispatch.run(
                job, _label(first(group)), partial(self._add, work), partial(self._blame, work)
            )

    def _is_late(self, work: Workload, group: dict[str, Trial], seconds: float = 0.0) -> bool:
        """Return whether an index with its trials would probably not end by the deadline.

        `seconds` is what is known of its time; with probes it is estimated.
        """
        if self.deadline == math.inf:
            return False
        if self.probes:
            # Bisection times about three searches of an index.
            few = max(1, len(group) // 3) if self.study.sweep == BISECT else 1
            group = dict(list(group.items())[few // 2 :: few])
            seconds = sum(e.seconds for e in estimate(work, [group], self.probes))
        return time.monotonic() + seconds > self.deadline

    def _measure_again(self, work: Workload, process: int) -> None:
        """Build and time in one more process the indexes that `process` of them have timed."""
        tasks = []
        for again, taken in further(work, self.rows, process):
            if self._is_late(work, again, taken):
                continue
            job = work.build_job(again, self.machine.cores, self.machine.bandwidth).model_copy(
                update={"process": process}
            )
            label = f"{_label(first(again))}, process {process + 1}"
            tasks.append(partial(self.dispatch.time_again, job, label, self._add_process))
        self.dispatch.side_by_side(tasks)

    def _add_process(self, event: TimedAgain) -> None:
        row = self.rows[event.trial_id]
        if "machine" not in row:
            row |= self._earlier_rows[event.trial_id]
        row |= with_process(row, event.row)
        self.store.add(row)

    @cached_property
    def _earlier_rows(self) -> dict[str, dict[str, Any]]:
        """Rows of earlier runs, whole; read only if one of them gets another process."""
        return self.store.rows()

    def _find_exact(self, work: Workload, groups: list[dict[str, Trial]]) -> None:
        """Run the exact pass of every reducer in `groups` whose results or rows are missing."""
        rows = {_reducer(group): group for group in groups if first(group).backend == EXACT}
        # Everything is scored against the full dimension of plain truncation, so that comes first.
        jobs = [
            ExactJob(
                cores=self.machine.cores,
                exact=work.exact_key(reducer, params),
                full=work.full_key,
                trials=rows.get((reducer, params), {}),
                subsets=self.study.subsets if reducer == PLAIN else 0,
            )
            for reducer, params in dict.fromkeys([(PLAIN, ""), *map(_reducer, groups)])
        ]
        jobs = [job for job in jobs if job.trials or not ExactResults(job.exact).exist()]
        for job, then in zip_longest(jobs, jobs[1:]):
            reducer = job.exact.reducer
            label = f"exact search, {reducer}"
            if not ExactResults(job.exact).exist():
                self.dispatch.find_exact(job, label)
            error = self.dispatch.run(
                job,
                label,
                partial(self._add, work),
                partial(self._blame, work),
                then if work.is_small else None,
            )
            if not ExactResults(job.exact).exist():
                raise UsageError(
                    f"exact search with {reducer} on {work.embeddings.dataset} did not end, "
                    f"so nothing can be scored: {error}"
                )

    def _encoding(self, embeddings: Embeddings) -> dict[str, float | None]:
        """Return the times of encoding, by column."""
        return {
            "encode_ms_p50": self._encoded(embeddings, "query"),
            "encode_documents_per_second": self._encoded(embeddings, "document"),
        }

    def _encoded(self, embeddings: Embeddings, role: Role) -> float | None:
        texts = embeddings.sample_texts if role == "query" else embeddings.sample_documents
        if not embeddings.encoder or not texts:
            return None
        job = EncodeJob(
            cores=self._cores(),
            encoder=of_role(embeddings.encoder, role),
            role=role,
            texts=list(texts),
            budget_seconds=BUDGET_SECONDS,
        )
        return self.dispatch.ask(job, f"{role} encoding")

    def _measure_bandwidth(self) -> None:
        if not self.machine.bandwidth:
            measured = self.dispatch.ask(BandwidthJob(cores=self._cores()), "memory bandwidth")
            self.machine = replace(self.machine, bandwidth=measured or 0.0)

    def _cores(self) -> list[int]:
        return self.machine.cores[-self.study.threads[0] :]

    def _add(self, work: Workload, event: Measured, trial: Trial) -> None:
        row: dict[str, Any] = {"trial_id": event.trial_id, **event.row}
        row |= work.columns(trial, event.server)
        work.embeddings.check_unchanged()
        if row.get("error"):
            row["error"] = without_secrets(row["error"])
            check_space(row["error"])
        columns, rankings = None, None
        if event.queries is not None:
            ids = event.queries.found
            rankings = work.named(work.exact_ids(trial) if ids is None else np.array(ids))
            columns = event.queries.columns()
            if (named := work.embeddings.groups) is not None:
                group = dict(zip(work.embeddings.query_ids, named, strict=True))
                columns["query_group"] = [group[query] for query in columns["query_id"]]
            if not trial.is_load and trial.backend not in (EXACT, BM25):
                self.rivals.add(work, row, event.queries)
        # A kill loses at most a second of these: what they are scored from is kept already.
        brief = trial.backend == EXACT or row["status"] in NOT_TIMED
        self.store.add(row, columns, rankings, hold=brief)
        self.rows[event.trial_id] = row
        self.progress.finished(row, trial)

    def _leave_out(self, work: Workload, group: dict[str, Trial], status: str, reason: str) -> None:
        with self.dispatch.lock:
            for trial_id, trial in group.items():
                self._blame(work, trial_id, trial, status, reason)

    def _blame(self, work: Workload, trial_id: str, trial: Trial, status: str, error: str) -> None:
        """Add the row of a trial that was not measured, with the reason."""
        row = {"status": status, "error": error, "started_at": now()}
        self._add(work, Measured(trial_id=trial_id, row=row), trial)


def _label(trial: Trial) -> str:
    return f"{trial.backend} {trial.dim} d {trial.build_params}".strip()


def _reducer(group: dict[str, Trial]) -> tuple[str, str]:
    return first(group).reducer, first(group).reducer_params
