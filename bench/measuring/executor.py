"""Where the work of a run is done: on this machine, or on others by a subclass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from bench.embeddings import EncodeWith
from bench.measuring.jobs import Event, ExactJob, Job
from bench.measuring.remaining import Machine, this_machine
from bench.measuring.supervisor import Worker
from bench.study.schema import Study

Tell = Callable[[int, int], None]
"""Called with how much of a long task is done, and with the whole."""


class Watched(Protocol):
    """A worker as a run sees it: see `bench.measuring.supervisor.Worker`."""

    job: Job
    status: str
    error: str
    peak_bytes: int
    lost: bool
    """Whether the machine that it ran on is gone, through no fault of the job."""
    node: str
    """Name of the machine that it runs on; empty for this one."""

    def events(self) -> Iterator[Event]:
        """Yield each event until the worker ends or is ended."""
        ...

    def close(self) -> None:
        """End the worker if it runs; from any thread."""
        ...

    def __enter__(self) -> Watched: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Executor:
    """This machine, which runs one worker at a time."""

    at_once = 1
    """Indexes measured side by side, each on a machine of its own."""
    overlaps = True
    """Whether a worker without a clock may begin before the one ahead of it has ended."""

    def encoding(self) -> EncodeWith | None:
        """Return what encodes the texts of a corpus elsewhere; None for this process."""
        return None

    def lines(self) -> list[str]:
        """Return what there is to say about the machines, a line each."""
        return []

    def machine(self, study: Study) -> Machine:
        """Return the machine that times; raises StudyError if it has too few cores."""
        return this_machine(study)

    def worker(self, job: Job, timeout: float, memory_limit: float) -> Watched:
        """Start a worker; `timeout` in seconds per trial, `memory_limit` in bytes."""
        return Worker(job, timeout, memory_limit)

    def find_exact(self, job: ExactJob, tell: Tell) -> None:
        """Keep the exact results of `job` if its own worker is not to find them; here it is."""
