"""Tell what a study takes before it begins, and which indexes would not fit into memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.embeddings import outline
from bench.embeddings.sets import Embeddings
from bench.embeddings.smaller import sizes
from bench.encoders import get_encoder
from bench.measuring.estimate import Estimate, Probes, estimate, merged, probed_indexes
from bench.measuring.executor import Executor
from bench.measuring.jobs import Probed, ProbeJob
from bench.measuring.remaining import Groups, Machine, Remaining, this_machine
from bench.measuring.shards import Shard, take
from bench.measuring.workload import Workload
from bench.results.store import Store
from bench.study.plan import EXACT
from bench.study.reader import load_study
from bench.study.schema import Study

_TIMEOUT_SECONDS = 60.0
_READ_RATE = 2e8
"""Vectors are read, checked and written at so many bytes per second."""


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
        kept = sum(part.disk_bytes for part in self.parts if not part.trials)
        disk = kept + max((part.disk_bytes for part in self.parts if part.trials), default=0.0)
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


def dry_run(
    study: str | Path | Study,
    out: str | Path | None = None,
    overrides: Sequence[str] = (),
    shard: tuple[int, int] = (1, 1),
) -> Forecast:
    """Return what `bench.run` would take with the same arguments; nothing is encoded or measured.

    A few small indexes are built and searched, which takes some seconds. Parts of a corpus that is
    not encoded yet are not counted. Raises UsageError on bad input.
    """
    if not isinstance(study, Study):
        study = load_study(study, overrides)
    part = Shard(*shard)
    folder = Path(out or part.folder(study))
    rows = Store(folder).rows() if folder.is_dir() else {}
    here = this_machine(study)
    remaining = Remaining(study, rows, False, here.name)
    for dataset in study.dataset:
        for encoder in study.encoder:
            shell = outline(dataset, encoder, max_queries=study.queries, seed=study.seed)
            # Which documents are relevant is known once the dataset is encoded.
            for found in sizes(shell, study.corpus_sizes) if shell.key else [shell]:
                remaining.add(found)
    take(part, remaining)
    probes = probe([(work, groups) for work, groups in remaining.sets if groups], here)
    return forecast(remaining, probes)


def probe(
    sets: Sequence[tuple[Workload, Groups]], here: Machine, executor: Executor | None = None
) -> Probes:
    """Run the probes of a study, a worker per library; `executor` is this machine by default."""
    start = (executor or Executor()).worker
    found, starts = list[Probed](), list[float]()
    for work, groups in sets:
        n, full = work.embeddings.corpus.shape
        libraries = probed_indexes(groups) or {"": []}
        exact = any(trial.backend == EXACT for group in groups for trial in group.values())
        for indexes in libraries.values():
            job = ProbeJob(
                cores=here.cores,
                n=n,
                full_dim=full,
                dimensions=list(work.dimensions) if exact else [],
                indexes=[trial for trial, _ in indexes],
                searches=[searches for _, searches in indexes],
            )
            exact, begun = False, time.monotonic()
            with start(job, _TIMEOUT_SECONDS, here.memory_limit) as worker:
                for event in worker.events():
                    if isinstance(event, Probed):
                        found.append(event)
                        starts.append(time.monotonic() - begun - event.seconds)
    return Probes.joined(found, max(starts, default=2.0))


def forecast(remaining: Remaining, probes: Probes) -> Forecast:
    """Return what is left, the making of embeddings first where the cache lacks them."""
    parts = [_embedding(work.embeddings) for work, _ in remaining.sets if not work.embeddings.key]
    for work, groups in remaining.sets:
        parts += estimate(work, groups, probes)
    return Forecast(tuple(merged(parts)), remaining.measured)


def _embedding(shell: Embeddings) -> Estimate:
    """Estimate the encoding of texts, by a few of them, or the reading of ready vectors."""
    size, texts = 4.0 * len(shell.corpus) * shell.full_dim, list(shell.sample_documents)
    if not shell.encoder or not texts:
        copied = 0.0 if isinstance(shell.corpus, np.memmap) else size
        return Estimate("reading vectors", seconds=size / _READ_RATE, disk_bytes=copied)
    encode = get_encoder(shell.encoder).of_role("document").encode_full
    encode(texts, "document")  # the first call loads and warms up
    begun = time.perf_counter()
    encode(texts, "document")
    seconds = (time.perf_counter() - begun) / len(texts) * len(shell.corpus)
    return Estimate("encoding", seconds=seconds, disk_bytes=size)


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
