"""Load tests: many clients query one server at once, each a process with its own connection."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench import machine
from bench.backends import Backend

SECONDS = 3.0
_WARM_UP = 20
_PATIENCE = 120.0
"""Seconds that clients may take to connect; the runner's time-out counts as well."""


@dataclass(frozen=True)
class Ask:
    """The searches of each client; it is sent to other processes."""

    backend: Backend
    search_params: dict[str, Any]
    queries: np.ndarray
    """(q, d) float32, as the backend takes them."""
    k: int
    shortlist: int | None
    """Of the backend's own rescore; None for a search in one step."""
    cores: list[int]

    def search(self, position: int) -> np.ndarray:
        """Search for the query at `position`; return ids (1, k) int64."""
        query = self.queries[position : position + 1]
        if self.shortlist is not None:
            return self.backend.search_stages(query, self.shortlist, self.k)
        return self.backend.search(query, self.k)


@dataclass(frozen=True)
class Load:
    """Times and results of all clients together."""

    nanoseconds: np.ndarray
    """(m,) int64: each search that began and ended while all clients were searching."""
    qps: float
    """Searches per second, of all clients together, in that time."""
    results: list[np.ndarray]
    """Ids of each query, (1, k) int64."""
    by_query: np.ndarray
    """(q,) float64: the median latency of each query over all its searches, ns."""


@dataclass(frozen=True)
class Answered:
    """Report of a client that searched to the end."""

    searches: np.ndarray
    """(m, 3) int64: position of the query, start and end in ns, in the order of searching."""
    results: dict[int, np.ndarray]
    """Position of a query → ids (1, k) int64."""


@dataclass(frozen=True)
class Failed:
    """Report of a client that did not."""

    error: str
    waited: bool = False
    """Whether it only waited for another client, which has the real cause."""


def under_load(ask: Ask, clients: int, seconds: float = SECONDS) -> Load:
    """Search from `clients` processes for `seconds`, and for every query at least once.

    Each client sends its next query as soon as it has the last answer. Raises RuntimeError with the
    cause if a client fails, or if their searches do not overlap in time.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(clients)
    ends, processes = [], []
    try:
        for client in range(clients):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_client, args=(ask, client, clients, seconds, barrier, theirs), daemon=True
            )
            process.start()
            theirs.close()
            ends.append(ours)
            processes.append(process)
        reports = [_received(end) for end in ends]
    finally:
        for process in processes:
            process.kill()
            process.join()
    failed = [report for report in reports if isinstance(report, Failed)]
    if failed:
        causes = [report for report in failed if not report.waited] or failed
        raise RuntimeError(f"a client failed: {causes[0].error}")
    answered = [report for report in reports if isinstance(report, Answered)]
    return _gathered(answered, len(ask.queries))


def _received(end: Connection) -> Answered | Failed:
    try:
        report: Answered | Failed = end.recv()
    except EOFError:
        return Failed("it ended by itself")
    return report


def _gathered(reports: list[Answered], n_queries: int) -> Load:
    positions, begun, ended = np.concatenate([report.searches for report in reports]).T
    first = max(report.searches[0, 1] for report in reports)
    last = min(report.searches[-1, 2] for report in reports)
    within = (begun >= first) & (ended <= last)
    if not within.any():
        raise RuntimeError("the clients' searches did not overlap in time: search for longer")
    taken = ended - begun
    found = {position: ids for report in reports for position, ids in report.results.items()}
    return Load(
        nanoseconds=taken[within],
        qps=float(within.sum() / ((last - first) / 1e9)),
        results=[found[position] for position in range(n_queries)],
        by_query=np.array(
            [np.median(taken[positions == position]) for position in range(n_queries)]
        ),
    )


def _client(
    ask: Ask, client: int, clients: int, seconds: float, barrier: threading.Barrier, end: Connection
) -> None:
    """Connect, wait for the other clients, search, and send one report."""
    try:
        end.send(_searched(ask, client, clients, seconds, barrier))
    except threading.BrokenBarrierError:
        end.send(Failed("another client could not begin", waited=True))
    except Exception as error:  # a client library may raise anything
        barrier.abort()
        end.send(Failed(f"{type(error).__name__}: {error}"))


def _searched(
    ask: Ask, client: int, clients: int, seconds: float, barrier: threading.Barrier
) -> Answered:
    """Cycle through the queries from this client's own offset."""
    machine.pin(ask.cores)
    ask.backend.reconnect()
    ask.backend.configure(**ask.search_params)
    n = len(ask.queries)
    start, share = client * n // clients, -(-n // clients)
    for position in range(min(_WARM_UP, n)):
        ask.search((start + position) % n)
    clock = time.perf_counter_ns
    rows: list[tuple[int, int, int]] = []
    results: dict[int, np.ndarray] = {}
    barrier.wait(_PATIENCE)
    until = clock() + int(seconds * 1e9)
    done = 0
    while done < share or clock() < until:
        position = (start + done) % n
        begun = clock()
        found = ask.search(position)
        rows.append((position, begun, clock()))
        results.setdefault(position, found)
        done += 1
    return Answered(np.array(rows, dtype=np.int64), results)
