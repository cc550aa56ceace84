"""The executor of a Ray cluster: encoding and the exact pass on all nodes, timed trials on some."""

from __future__ import annotations

import math
import os
import socket
from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from bench import machine
from bench.cluster.fetching import on_own_cores
from bench.cluster.nodes import WHOLE, Nodes
from bench.cluster.remote import Encoding, Source, scan_part
from bench.cluster.watching import RemoteWorker
from bench.embeddings import EncodeWith
from bench.encoders import Encoder, Role
from bench.errors import UsageError
from bench.exact.one_pass import new_pass
from bench.exact.scan import DOCUMENTS, Exact, is_small
from bench.libraries import extra
from bench.measuring.exact_pass import found_by
from bench.measuring.executor import Executor, Tell, Watched
from bench.measuring.jobs import Bm25Job, ExactJob, ExactKey, FitJob, Job
from bench.measuring.prepared import ExactResults, fitted_reducer, opened, restored_reducer
from bench.measuring.remaining import Machine, machine_for
from bench.measuring.supervisor import Worker
from bench.study.schema import Study

_PARTS = 4
"""Parts of the exact pass per node: a node that dies loses one of them."""
_REACH_SECONDS = 10.0
_AHEAD = 2
"""Batches sent to an encoder before the first of them is back."""


class RayExecutor(Executor):
    """The nodes of a Ray cluster; `bench.cluster.connected` makes one and ends it."""

    overlaps = False  # the node that it would wait for may be the one that it waits on

    def __init__(self, address: str | None = None) -> None:
        """Connect to the cluster; see `bench.cluster.connected`."""
        self.ray = extra("ray", "--executor ray", "ray")
        extra("ray.util.scheduling_strategies", "--executor ray", "ray")
        self.ours = not self.ray.is_initialized()
        if self.ours:
            self._connect(address)
        try:
            self.nodes = Nodes(self.ray)
        except BaseException:
            self.close()
            raise
        self.at_once = len(self.nodes.timing)
        here = self._on(self.ray.get_runtime_context().get_node_id())
        # No processor is asked for: it is the run that is busy where it serves.
        self.source = (
            self.ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Source)
            .options(scheduling_strategy=here)
            .remote()
        )

    def _connect(self, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing leaves the machine
        told = {"log_to_driver": False, "logging_level": "ERROR", "include_dashboard": False}
        named = address or os.environ.get("RAY_ADDRESS")
        try:
            if named:
                _reach(named)
                self.ray.init(address=named, log_to_driver=False, logging_level="ERROR")
            else:
                cores = len(machine.usable_cores())
                self.ray.init("local", num_cpus=cores, resources={WHOLE: 1}, **told)
        except (OSError, ValueError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "no answer"
            raise UsageError(
                f"no Ray cluster can be reached at {named or 'this machine'} ({reason}): "
                "start one by `ray start --head`, or name its --address"
            ) from error

    def close(self) -> None:
        """Leave the cluster, and end it if it is of this machine alone."""
        if hasattr(self, "nodes"):
            self.nodes.close()
        if self.ours:
            self.ray.shutdown()

    def lines(self) -> list[str]:
        """Return which nodes there are, a line per kind."""
        alive = self.nodes.alive()
        timing = {node.id for node in self.nodes.timing}
        lines = [f"Ray: {len(timing)} of {len(alive)} nodes time trials ({self.nodes.kind})"]
        others = sorted({node.kind for node in alive} - {self.nodes.kind})
        for kind in others:
            count = sum(node.kind == kind for node in alive)
            lines.append(f"{count} of another kind encode and search only ({kind})")
        return lines

    def machine(self, study: Study) -> Machine:
        """Return the machine that times; raises StudyError if it has too few cores."""
        timing = self.nodes.timing
        if not timing:
            raise UsageError("no node of the Ray cluster that may time is left")
        memory = min(node.memory for node in timing)
        return machine_for(study, self.nodes.kind, list(timing[0].cores), memory)

    def worker(self, job: Job, timeout: float, memory_limit: float) -> Watched:
        """Start a worker: on a node of its own, or here where no clock and no other data are."""
        if isinstance(job, Bm25Job) or self._is_small(job):
            return Worker(on_own_cores(job), timeout, memory_limit)
        return RemoteWorker(self.ray, self.nodes, self.source, job, timeout, memory_limit)

    def _is_small(self, job: Job) -> bool:
        if isinstance(job, ExactJob):
            return is_small(opened(job.exact.data).corpus)
        return isinstance(job, FitJob)

    # ------------------------------------------------------------------------------ exact pass

    def find_exact(self, job: ExactJob, tell: Tell) -> None:
        """Find and keep the exact results of a corpus that is worth parting."""
        embeddings, results = opened(job.exact.data), ExactResults(job.exact)
        if is_small(embeddings.corpus):
            return
        reducer, is_fitted = restored_reducer(job.exact)
        if reducer.fitted and not is_fitted:
            # A worker has the thread pools that a run without a cluster has.
            fit = on_own_cores(FitJob(cores=job.cores, exact=job.exact))
            with Worker(fit, math.inf, math.inf) as worker:
                list(worker.events())
                if worker.status != "ok":
                    raise UsageError(f"{job.exact.reducer} cannot be fitted: {worker.error}")
        reducer = fitted_reducer(job.exact, embeddings)
        search = partial(self._search, job.exact, tell)
        found = found_by(search, job.exact, embeddings, reducer)
        results.save(found, len(embeddings.corpus))

    def _search(
        self,
        key: ExactKey,
        tell: Tell,
        queries: np.ndarray,
        corpus: np.ndarray,
        dimensions: tuple[int, ...],
        k: int,
        **asked: Any,
    ) -> Exact:
        """Do as `exact_search` on all nodes: each part is scanned by the node that has it."""
        nodes, n = self.nodes.alive(), len(corpus)
        rows = math.ceil(n / (_PARTS * len(nodes)) / DOCUMENTS) * DOCUMENTS
        threads = min(node.cpus for node in nodes)
        scan = self.ray.remote(num_cpus=threads, max_retries=-1)(scan_part)
        with threadpool_limits(1, user_api="blas"):
            plan = new_pass(queries, corpus, dimensions, k, **asked)
            shared, text, left = self.ray.put(plan), key.model_dump_json(), {}
            for part, first in enumerate(range(0, n, rows)):
                end, node = min(first + rows, n), nodes[part // _PARTS]
                task = scan.options(scheduling_strategy=self._on(node.id, soft=True))
                left[task.remote(shared, text, first, end, threads, self.source)] = end - first
            scans, waiting = [], list(left)
            try:
                while waiting:
                    done, waiting = self.ray.wait(waiting)
                    scans.append(self.ray.get(done[0]))
                    tell(n - sum(left[reference] for reference in waiting), n)
            except self.ray.exceptions.RayTaskError as error:
                raise UsageError(f"the exact pass failed on a node: {error.cause}") from error
            finally:
                for reference in waiting:
                    self.ray.cancel(reference, force=True)
            return plan.finish(scans)

    # -------------------------------------------------------------------------------- encoding

    def encoding(self) -> EncodeWith:
        """Return what encodes a corpus on all nodes, those with GPUs alone if there are any."""
        return self._encode

    def _encode(
        self, spec: str, model: Encoder, role: Role, texts: Iterator[list[str]]
    ) -> Iterator[np.ndarray]:
        enough = _AHEAD * len(self.nodes.alive())
        few = list(islice(texts, enough))
        texts = chain(few, texts)
        if len(few) < enough:
            yield from (model.encode_full(batch, role) for batch in texts)
            return
        encoders: list[Any] = []
        sent: deque[tuple[list[str], Any, Any]] = deque()

        def send(batch: list[str]) -> tuple[list[str], Any, Any]:
            busy = [encoder for _, encoder, _ in sent]
            least = min(encoders, key=busy.count)
            return batch, least, least.encode.remote(batch, role)

        try:
            encoders += self._encoders(spec, model.identity)
            for batch in texts:
                sent.append(send(batch))
                # The next batch waits for the first: no more than these are in memory.
                if len(sent) >= _AHEAD * len(encoders):
                    yield self._first(spec, model.identity, encoders, sent, send)
            while sent:
                yield self._first(spec, model.identity, encoders, sent, send)
        finally:
            for encoder in encoders:
                self.ray.kill(encoder)

    def _first(
        self, spec: str, identity: str, encoders: list[Any], sent: deque[Any], send: Any
    ) -> np.ndarray:
        """Return the vectors of the first batch sent; what a dead node had is sent to another."""
        while True:
            _, encoder, reference = sent[0]
            try:
                vectors: np.ndarray = self.ray.get(reference)
                sent.popleft()
                return vectors
            except self.ray.exceptions.RayTaskError as error:
                raise UsageError(f"a node cannot encode: {error.cause}") from error
            except self.ray.exceptions.ActorDiedError as error:
                if "UsageError" in str(error):  # it did not load
                    said = str(error).strip().splitlines()[-1].rpartition("UsageError: ")[2]
                    raise UsageError(f"a node cannot encode: {said}") from error
                gone = encoder
            except self.ray.exceptions.RayError:
                gone = encoder
            encoders.remove(gone)
            if not encoders:
                encoders += self._encoders(spec, identity)
            for place in range(len(sent)):
                if sent[place][1] is gone:
                    sent[place] = send(sent[place][0])

    def _encoders(self, spec: str, identity: str) -> list[Any]:
        """Start an encoder on each GPU, or on each node if there is none."""
        nodes = self.nodes.alive()
        places = [
            (node, {"num_gpus": 1, "num_cpus": 1}) for node in nodes for _ in range(node.gpus)
        ]
        return [
            self.ray.remote(Encoding)
            .options(scheduling_strategy=self._on(node.id), **needs)
            .remote(spec, identity)
            for node, needs in places or [(node, {"num_cpus": node.cpus}) for node in nodes]
        ]

    def _on(self, node_id: str, soft: bool = False) -> Any:
        return self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            node_id, soft=soft
        )


def _reach(address: str) -> None:
    """Raise OSError if nobody listens at ``HOST:PORT``: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), _REACH_SECONDS).close()
