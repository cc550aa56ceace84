"""What a study has left to measure, and the limits of the machine that measures it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from bench import machine
from bench.embeddings.sets import Embeddings
from bench.errors import StudyError
from bench.measuring.estimate import SPREAD_PROCESSES
from bench.measuring.workload import Workload
from bench.results.schema import NOT_TIMED
from bench.study.plan import BM25, EXACT, Trial, parameters, plan
from bench.study.schema import GRID, SHORTLIST, Study

SPREAD_BUILD_SECONDS = 60.0
"""An index that takes longer to build is not built again to know how far processes differ."""
Groups = list[dict[str, Trial]]
"""Trials by id, a group per worker."""


@dataclass(frozen=True)
class Machine:
    """The machine as a study may use it."""

    name: str
    cores: list[int]
    bandwidth: float
    """Memory bandwidth of one thread, bytes per second; 0 until measured."""
    memory_limit: float
    """Memory of its own that a worker may hold, bytes."""


def this_machine(study: Study) -> Machine:
    """Return the machine; raises StudyError if the study names more threads than it has cores."""
    memory = psutil.virtual_memory().total
    return machine_for(study, machine.description(), machine.usable_cores(), memory)


def machine_for(study: Study, name: str, cores: list[int], memory: float) -> Machine:
    """Return a machine with `cores` and `memory` (bytes) for a study; raises as `this_machine`."""
    if max(study.threads) > len(cores):
        raise StudyError(
            f"threads = {max(study.threads)}, but this process may use {len(cores)} cores: "
            "name fewer threads"
        )
    limit = study.memory_gib * 2**30 if study.memory_gib else 0.8 * memory
    return Machine(name, cores, 0.0, limit)


class Remaining:
    """The trials of a study that earlier rows do not cover."""

    def __init__(
        self, study: Study, rows: Mapping[str, Mapping[str, Any]], retry: bool, machine_name: str
    ) -> None:
        """`rows` by trial id; `retry` repeats those that did not end ok.

        Raises StudyError for a shortlist that is shorter than the results asked for.
        """
        self.study = study
        self.machine_name = machine_name
        # A full-grid run measures what an earlier run with another `sweep` left out.
        again = set(NOT_TIMED) if study.sweep == GRID else set()
        self.done = {
            trial_id
            for trial_id, row in rows.items()
            if row["status"] == "ok" or not (retry or row["status"] in again)
        }
        self.sets: list[tuple[Workload, Groups]] = []
        for trial in plan(study):
            shortlist = parameters(trial.stages).get(SHORTLIST)
            if shortlist is not None and shortlist < trial.k:
                raise StudyError(
                    f"stages: a shortlist of {shortlist} cannot give k = {trial.k} results"
                )

    def add(self, embeddings: Embeddings) -> None:
        """Add a set of embeddings; raises StudyError if the study does not fit it."""
        work = Workload(self.study, embeddings, self.machine_name)
        work.check()
        groups = ({i: t for i, t in g.items() if i not in self.done} for g in work.groups)
        self.sets.append((work, [group for group in groups if group]))

    @property
    def left(self) -> int:
        """Trials left."""
        return sum(len(group) for _, groups in self.sets for group in groups)

    @property
    def measured(self) -> int:
        """Trials that need not be measured again."""
        return sum(len(group) for work, _ in self.sets for group in work.own) - self.left

    def keep(self, own: Sequence[Groups]) -> None:
        """Keep these groups of each set, in the order of `sets`; others are not measured here."""
        for position, ((work, groups), kept) in enumerate(zip(self.sets, own, strict=True)):
            ids = {trial_id for group in kept for trial_id in group}
            work.own = kept
            self.sets[position] = work, [group for group in groups if not ids.isdisjoint(group)]


def further(
    work: Workload, rows: Mapping[str, Mapping[str, Any]], process: int
) -> Iterator[tuple[dict[str, Trial], float]]:
    """Yield the trials that `process` processes have timed, of more that are to, index by index.

    `rows` are those of the trials by id. With each index comes the least time of another process,
    s. The first index of each backend is built in several, unless that takes too long. With shards
    it is the first of the study, so that all shards together do what one run does.
    """
    own = {trial_id for group in work.own for trial_id in group}
    firsts: dict[str, dict[str, Trial]] = {}
    for group in work.groups:
        backend = next(iter(group.values())).backend
        if backend in (EXACT, BM25):
            continue
        least = SPREAD_PROCESSES if firsts.setdefault(backend, group) is group else 1
        most = max(work.study.processes, least)
        again = {}
        for trial_id, trial in group.items() if not own.isdisjoint(group) else ():
            row = rows.get(trial_id, {})
            if len(row.get("process_speedup") or []) == process:
                cheap = row["build_seconds"] <= SPREAD_BUILD_SECONDS
                if process < (most if cheap else max(work.study.processes, 1)):
                    again[trial_id] = trial
        if again:
            found = [rows[trial_id] for trial_id in again]
            yield again, seconds_again(found, len(work.embeddings.query_ids))


def seconds_again(rows: Sequence[Mapping[str, Any]], n_queries: int) -> float:
    """Return the least time that another process takes for the trials of one index, by their rows.

    It builds the index and asks every query as often as the first did, s.
    """
    asked = sum(n_queries * (row["repeats_done"] or 1) / row["qps"] for row in rows)
    return float(asked + max((row["build_seconds"] for row in rows), default=0.0))
