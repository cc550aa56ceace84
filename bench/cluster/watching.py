"""A worker on a node of the cluster, as the run sees it."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any

from bench.cluster.nodes import WHOLE, Nodes
from bench.cluster.remote import run_job
from bench.errors import UsageError
from bench.measuring.jobs import EVENT, BuildJob, Event, Job
from bench.measuring.workload import versions_of


class RemoteWorker:
    """A job on a timing node that it has to itself: see `bench.measuring.executor.Watched`."""

    def __init__(
        self,
        ray: ModuleType,
        nodes: Nodes,
        source: Any,
        job: Job,
        timeout: float,
        memory_limit: float,
    ) -> None:
        """Wait for a free node, then start; arguments as of `bench.measuring.supervisor.Worker`."""
        self.ray = ray
        self.nodes = nodes
        self.job = job
        self.status = "ok"
        self.error = ""
        self.peak_bytes = 0
        self.lost = False
        self._closed = False
        self._on = nodes.take()
        self.node = self._on.name
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        # All processors and the whole node: no other task of Ray shares its caches and memory.
        task = ray.remote(
            num_cpus=self._on.cpus, resources={WHOLE: 1}, num_returns="streaming", max_retries=0
        )(run_job)
        wanted = versions_of(job.index.backend) if isinstance(job, BuildJob) else {}
        self._stream = task.options(scheduling_strategy=strategy(self._on.id, soft=False)).remote(
            job.model_dump_json(), timeout, memory_limit, wanted, source
        )

    def events(self) -> Iterator[Event]:
        """Yield each event until the worker ends, is ended, or its node is gone."""
        try:
            for reference in self._stream:
                found = self.ray.get(reference)
                if isinstance(found, str):
                    yield EVENT.validate_json(found)
                else:
                    self.status, self.error, self.peak_bytes = found
        except self.ray.exceptions.RayTaskError as error:
            if self._closed:
                return
            if isinstance(error.cause, UsageError):
                raise UsageError(str(error.cause)) from error
            self.status, self.error = "failed", f"{type(error.cause).__name__}: {error.cause}"
        except self.ray.exceptions.RayError as error:
            if not self._closed:
                self.lost = True
                self.status = "crashed"
                self.error = f"the node {self.node} is gone ({type(error).__name__})"

    def __enter__(self) -> RemoteWorker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the task with its worker, and give the node back."""
        if self._closed:
            return
        self._closed = True
        self.ray.cancel(self._stream)
        self.nodes.give(self._on, self.lost)
