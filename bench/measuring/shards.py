"""Shards of a study: whole indexes, dealt out so that machines that never speak agree.

Every shard of a study can be measured on a machine of its own, and `bench.results.merging` puts
the results together.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.embeddings.encoding import digest
from bench.embeddings.sets import Embeddings
from bench.errors import UsageError
from bench.measuring.remaining import Groups, Remaining
from bench.measuring.workload import Workload, first
from bench.results.derived import with_derived
from bench.results.shards import begun, write_records
from bench.results.tables import TRIALS
from bench.study.plan import Trial
from bench.study.schema import Study


@dataclass(frozen=True)
class Shard:
    """One of several parts of a study, numbered from 1: ``3/16``."""

    number: int
    of: int

    def __post_init__(self) -> None:
        """Raise UsageError for a number outside 1 to `of`."""
        if not 1 <= self.number <= self.of:
            raise UsageError(f"shard {self}: the first number goes from 1 to the second")

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that ``"3/16"`` names; raises UsageError for anything else."""
        found = re.fullmatch(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*", text)
        if found is None:
            raise UsageError(f"--shard takes a part and a number of parts, as 3/16, not '{text}'")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    @property
    def title(self) -> str:
        """What stands before the progress of the run; empty for the whole study."""
        return "" if self == WHOLE else f"shard {self}"

    def folder(self, study: Study) -> Path:
        """Return the results folder where none is named: shards may run side by side."""
        part = "" if self == WHOLE else f"-{self.number}-of-{self.of}"
        return Path("results") / f"{study.name}{part}"


WHOLE = Shard(1, 1)


def take(shard: Shard, remaining: Remaining, folder: Path | None = None) -> None:
    """Keep the shard's indexes of a study; note in the results `folder` what they are.

    All embeddings sets of the study must have been added. Shards differ by one index at most.
    """
    if shard == WHOLE:
        return
    works = [work for work, _ in remaining.sets]
    deal: list[Counter[str]] = [Counter() for _ in range(shard.of)]
    own: list[Groups] = [[] for _ in works]
    trials: dict[str, list[str]] = {}
    for place, (number, group) in enumerate(_ranked(works)):
        backend = first(group).backend
        deal[place % shard.of][backend] += len(group)
        if place % shard.of == shard.number - 1:
            own[number].append(group)
            trials.setdefault(backend, []).extend(group)
    remaining.keep(own)
    if folder is not None:
        sets = {
            f"{found.dataset} with {found.encoder}" if found.encoder else found.dataset: found.key
            for found in (work.embeddings for work in works)
        }
        parts = [dict(sorted(part.items())) for part in deal]
        write_records(folder, [begun(remaining.study, shard.number, parts, trials, sets)])


def no_trials() -> pd.DataFrame:
    """Return what `bench.load` would of an empty shard: all columns, no row."""
    return with_derived(TRIALS.empty_table().to_pandas())


def _ranked(works: list[Workload]) -> list[tuple[int, dict[str, Trial]]]:
    """Return all groups with the number of their set, in an order that is the same everywhere.

    It is that of digests of what is built and from which data: neither the machine nor a library's
    version nor the place of a file is in it. Equal ones stay in the order of the study.
    """
    found = [(number, group) for number, work in enumerate(works) for group in work.groups]
    return sorted(found, key=lambda each: _key(works[each[0]].embeddings, first(each[1])))


def _key(data: Embeddings, trial: Trial) -> str:
    return digest(trial.build_key, data.dataset_fingerprint, data.encoder, len(data.corpus))
