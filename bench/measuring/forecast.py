"""Tell what a study takes before it begins, and which indexes would not fit into memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.measuring.estimate import Estimate, Probes, estimate, merged, probed_indexes
from bench.measuring.jobs import Probed, ProbeJob
from bench.measuring.supervisor import Worker
from bench.measuring.workload import Workload
from bench.study.plan import EXACT, Trial

_TIMEOUT_SECONDS = 60.0

Groups = list[dict[str, Trial]]


@dataclass(frozen=True)
class Forecast:
    """What is left of a study, by part."""

    parts: tuple[Estimate, ...]
    measured: int
    """Trials that need not be measured again."""

    @property
    def trials(self) -> int:
        """Trials left."""
        return sum(part.trials for part in self.parts)

    @property
    def seconds(self) -> float:
        """Time of all parts, s."""
        return sum(part.seconds for part in self.parts)

    def lines(self) -> list[str]:
        """Return one line per part, then the total."""
        rows = [
            (p.part, f"{p.trials:,}", _time(p.seconds), _size(p.memory_bytes)) for p in self.parts
        ]
        head = ("part", "trials", "time", "memory")
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        memory = max((part.memory_bytes for part in self.parts), default=0.0)
        disk = sum(part.disk_bytes for part in self.parts)
        return [
            *(
                f"{row[0]:<{widths[0]}}  "
                + "  ".join(
                    f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)
                )
                for row in (head, *rows)
            ),
            f"in all {self.trials:,} trials, about {_time(self.seconds)} (half or twice of that is "
            f"usual), {_size(memory)} of memory in a worker, {_size(disk)} on disk; "
            f"{self.measured:,} trials are measured already",
        ]


def probe(sets: Sequence[tuple[Workload, Groups]], cores: list[int], limit: float) -> Probes:
    """Run the probes of a study, a worker per library; `limit` is a worker's memory, bytes."""
    found, starts = list[Probed](), list[float]()
    for work, groups in sets:
        n, full = work.embeddings.corpus.shape
        libraries = probed_indexes(groups) or {"": []}
        exact = any(trial.backend == EXACT for group in groups for trial in group.values())
        for indexes in libraries.values():
            job = ProbeJob(
                cores=cores,
                n=n,
                full_dim=full,
                dimensions=list(work.dimensions) if exact else [],
                indexes=[trial for trial, _ in indexes],
                searches=[searches for _, searches in indexes],
            )
            exact, begun = False, time.monotonic()
            with Worker(job, _TIMEOUT_SECONDS, limit) as worker:
                for event in worker.events():
                    if isinstance(event, Probed):
                        found.append(event)
                        starts.append(time.monotonic() - begun - event.seconds)
    return Probes.joined(found, max(starts, default=2.0))


def forecast(
    sets: Sequence[tuple[Workload, Groups]],
    probes: Probes,
    again: int,
    before: Sequence[Estimate] = (),
    measured: int = 0,
) -> Forecast:
    """Return what the groups of trials of each set take, after the parts `before` them."""
    found = [part for work, groups in sets for part in estimate(work, groups, probes, again)]
    return Forecast(tuple(merged([*before, *found])), measured)


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{max(seconds, 1):.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"
