"""The nodes of a cluster: which of them time, and which is free."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import Counter
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from bench import __version__, machine
from bench.cluster.remote import describe
from bench.errors import UsageError

WHOLE = "whole_node"
"""The custom resource of a node that may time: one of it, held by each index under a clock."""
_POLL_SECONDS = 1.0
_NEWS_SECONDS = 10.0
"""Time after which a node that failed a task is taken to be alive."""
_PATIENCE_SECONDS = 60.0
"""Time that a run waits for a node that may time, if none is left."""


@dataclass(frozen=True)
class Node:
    """A node that runs."""

    id: str
    """In hexadecimal, as Ray names it."""
    name: str
    """For people."""
    cpus: int
    gpus: int
    times: bool
    """Whether it offers the resource `WHOLE`."""
    kind: str
    """`bench.machine.description` of it: times of equal ones may be compared."""
    cores: tuple[int, ...]
    """Processors that its workers may use."""
    memory: int
    """Bytes."""


class Nodes:
    """The nodes of the cluster that this process is connected to."""

    def __init__(self, ray: ModuleType) -> None:
        """Look at every node; raises UsageError if none may time, or if one runs other code."""
        self.ray = ray
        self._known: dict[str, Node] = {}
        self._free: queue.SimpleQueue[Node] = queue.SimpleQueue()
        self._offered: set[str] = set()
        self._lock = threading.Lock()
        self._closed = False
        own = ray.get_runtime_context().get_node_id()
        offering = [node for node in self.alive() if node.times]
        if not offering:
            raise UsageError(
                f"no node of the Ray cluster offers the resource {WHOLE}, so none may time: start "
                f"those that may by `ray start … --resources '{{\"{WHOLE}\": 1}}'`"
            )
        # The node of the runner serves vectors and writes results, so it times only if alone.
        apart = [node for node in offering if node.id != own] or offering
        kinds = Counter(node.kind for node in apart)
        here = machine.description()
        self.kind = max(kinds, key=lambda kind: (kinds[kind], kind == here, kind))
        """Only nodes of one kind time, so that no figure mixes the times of two."""
        self._own = own if apart is not offering else ""
        self._offer()

    def alive(self) -> list[Node]:
        """Return the nodes that run and have a processor to give."""
        found = [node for node in self.ray.nodes() if node["Alive"]]
        new = {
            node["NodeID"]: self._described(node)
            for node in found
            if node["NodeID"] not in self._known
        }
        for identity, asked in new.items():
            try:
                told = self.ray.get(asked, timeout=60)
            except self.ray.exceptions.RayError:
                continue  # it went, or never came up
            self._known[identity] = self._node(
                next(node for node in found if node["NodeID"] == identity), told
            )
        alive = [self._known[node["NodeID"]] for node in found if node["NodeID"] in self._known]
        return [node for node in alive if node.cpus]

    @property
    def timing(self) -> list[Node]:
        """The nodes that time, those that run."""
        return [
            node
            for node in self.alive()
            if node.times and node.kind == self.kind and node.id != self._own
        ]

    def take(self) -> Node:
        """Return a timing node that is free, as soon as there is one; `give` it back.

        Raises UsageError if none is left for a minute, or the nodes are closed.
        """
        begun = time.monotonic()
        while not self._closed:
            with contextlib.suppress(queue.Empty):
                return self._free.get(timeout=_POLL_SECONDS)
            self._offer()
            if self.timing:
                begun = time.monotonic()
            elif time.monotonic() - begun > _PATIENCE_SECONDS:
                raise UsageError(
                    "no node of the Ray cluster that may time is left; what was measured is kept: "
                    "start one and run again to resume"
                )
        raise UsageError("the run was stopped")

    def give(self, node: Node, lost: bool = False) -> None:
        """Give a node back, so that another worker can take it; if `lost`, it may be gone."""
        end = time.monotonic() + (_NEWS_SECONDS if lost else 0)
        while time.monotonic() < end and node in self.alive():
            time.sleep(_POLL_SECONDS / 4)  # the cluster hears of a death later than its tasks
        with self._lock:
            self._offered.discard(node.id)
        self._offer()

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True

    def _offer(self) -> None:
        """Offer each timing node that is not offered or taken yet, new ones too."""
        with self._lock:
            for node in self.timing:
                if node.id not in self._offered:
                    self._offered.add(node.id)
                    self._free.put(node)

    def _described(self, node: dict[str, Any]) -> Any:
        strategy = self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        return (
            self.ray.remote(num_cpus=0, max_retries=0)(describe)
            .options(scheduling_strategy=strategy(node["NodeID"], soft=False))
            .remote()
        )

    def _node(self, node: dict[str, Any], told: dict[str, Any]) -> Node:
        identity, resources = node["NodeID"], node["Resources"]
        name = f"{told['host']} {identity[:6]}"
        if told["version"] != __version__:
            raise UsageError(
                f"the node {name} has matryoshka-bench {told['version']}, this machine "
                f"{__version__}: install the same"
            )
        return Node(
            id=identity,
            name=name,
            cpus=int(resources.get("CPU", 0)),
            gpus=int(resources.get("GPU", 0)),
            times=resources.get(WHOLE, 0) >= 1,
            kind=told["machine"],
            cores=tuple(told["cores"]),
            memory=told["memory"],
        )
