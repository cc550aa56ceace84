"""Load tests: many clients query one server at once, each a process with its own connection.

In a closed loop a client sends its next query when it has its last answer: it measures throughput.
But while a server stalls, such a client asks nothing, so one slow time stands for all that would
have waited. In an open loop queries come at a fixed rate at random moments, and each time runs from
the moment the query was due: a stall is seen by every query that it holds up.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np

from bench import machine
from bench.backends import Backend

SECONDS = 3.0
OPEN_SECONDS = 6.0
"""Longer than the closed loop, to see stalls that come every few seconds."""
_SPIN_SECONDS = 1e-4
"""The last part of a wait, which does not sleep: a sleeper wakes up this late."""
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
class Arrivals:
    """Random arrivals of queries: exponential gaps (a Poisson process)."""

    rate: float
    """Queries per second, of all clients together."""
    seed: int

    def due(self, client: int, clients: int, seconds: float) -> np.ndarray:
        """Return when the queries of one client are due, ns from the beginning, (m,) int64."""
        rng = np.random.default_rng([self.seed, client])
        mean = clients / self.rate
        count = int(seconds / mean + 10 * (seconds / mean) ** 0.5) + 10
        moments = np.cumsum(rng.exponential(mean, count))
        return np.asarray(moments[moments < seconds] * 1e9, dtype=np.int64)


@dataclass(frozen=True)
class Load:
    """Times and results of all clients together."""

    nanoseconds: np.ndarray
    """(m,) int64: each search that began and ended while all clients were searching; in an open
    loop every arrival, from the moment it was due."""
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
    """(m, 3) int64: position of the query, start and end in ns, in the order of searching. In an
    open loop the start is the moment the query was due."""
    results: dict[int, np.ndarray]
    """Position of a query → ids (1, k) int64."""
    rest: np.ndarray
    """The same for queries that were never due, asked afterwards; in no percentile."""


@dataclass(frozen=True)
class Failed:
    """Report of a client that did not."""

    error: str
    waited: bool = False
    """Whether it only waited for another client, which has the real cause."""


def under_load(
    ask: Ask, clients: int, seconds: float = SECONDS, arrivals: Arrivals | None = None
) -> Load:
    """Search from `clients` processes for `seconds`, and for every query at least once.

    Each client sends its next query as soon as it has the last answer, or, with `arrivals`, when
    the next one is due. A client has one connection: what comes while it waits for an answer is
    queued, and the queue counts. Raises RuntimeError with the cause if a client fails, or if their
    searches do not overlap in time.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(clients)
    ends, processes = [], []
    try:
        for client in range(clients):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(
                target=_client,
                args=(os.getpid(), ask, client, clients, seconds, arrivals, barrier, theirs),
                daemon=True,
            )
            process.start()
            theirs.close()
            ends.append(ours)
            processes.append(process)
        reports = _reports(ends)
    finally:
        for process in processes:
            process.kill()
            process.join()
    failed = [report for report in reports if isinstance(report, Failed)]
    if failed:
        causes = [report for report in failed if not report.waited] or failed
        raise RuntimeError(f"a client failed: {causes[0].error}")
    answered = [report for report in reports if isinstance(report, Answered)]
    return _gathered(answered, len(ask.queries), closed=arrivals is None)


def _reports(ends: list[Connection]) -> list[Answered | Failed]:
    """Return the reports of all clients, or of the first that failed: others may wait for it."""
    found: dict[Connection, Answered | Failed] = {}
    while len(found) < len(ends):
        for end in wait([end for end in ends if end not in found]):
            assert isinstance(end, Connection)
            report = found[end] = _received(end)
            if isinstance(report, Failed) and not report.waited:
                return [report]
    return list(found.values())


def _received(end: Connection) -> Answered | Failed:
    try:
        report: Answered | Failed = end.recv()
    except EOFError:
        return Failed("it ended by itself")
    return report


def _gathered(reports: list[Answered], n_queries: int, closed: bool) -> Load:
    searches = np.concatenate([report.searches for report in reports])
    positions, begun, ended = searches.T
    if not len(positions):
        raise RuntimeError("no query was due in the time: search for longer")
    if closed:
        first = max(report.searches[0, 1] for report in reports)
        last = min(report.searches[-1, 2] for report in reports)
    else:  # what a stall holds up longest ends last, so nothing may be left out
        first, last = begun.min(), ended.max()
    within = (begun >= first) & (ended <= last)
    if not within.any():
        raise RuntimeError("the clients' searches did not overlap in time: search for longer")
    taken = ended - begun
    asked, starts, ends = np.concatenate([searches, *(report.rest for report in reports)]).T
    every = ends - starts
    found = {position: ids for report in reports for position, ids in report.results.items()}
    return Load(
        nanoseconds=taken[within],
        qps=float(within.sum() / ((last - first) / 1e9)),
        results=[found[position] for position in range(n_queries)],
        by_query=np.array([np.median(every[asked == position]) for position in range(n_queries)]),
    )


def _client(
    parent: int,
    ask: Ask,
    client: int,
    clients: int,
    seconds: float,
    arrivals: Arrivals | None,
    barrier: threading.Barrier,
    end: Connection,
) -> None:
    """Connect, wait for the other clients, search, and send one report."""
    machine.end_with(parent)
    try:
        end.send(_searched(ask, client, clients, seconds, arrivals, barrier))
    except threading.BrokenBarrierError:
        end.send(Failed("another client could not begin", waited=True))
    except Exception as error:  # a client library may raise anything
        barrier.abort()
        end.send(Failed(f"{type(error).__name__}: {error}"))


def _searched(
    ask: Ask,
    client: int,
    clients: int,
    seconds: float,
    arrivals: Arrivals | None,
    barrier: threading.Barrier,
) -> Answered:
    """Cycle through the queries from this client's own offset."""
    machine.pin(ask.cores)
    ask.backend.reconnect()
    ask.backend.configure(**ask.search_params)
    n = len(ask.queries)
    start, share = client * n // clients, -(-n // clients)
    for position in range(min(_WARM_UP, n)):
        ask.search((start + position) % n)
    results: dict[int, np.ndarray] = {}

    def search(turn: int) -> int:
        position = (start + turn) % n
        found = ask.search(position)
        results.setdefault(position, found)
        return position

    due = None if arrivals is None else arrivals.due(client, clients, seconds)
    barrier.wait(_PATIENCE)
    rows = closed_loop(search, seconds, share) if due is None else open_loop(search, due)
    # At a low rate some queries were never due, but their results are scored too.
    left, done = max(0, share - len(rows)), len(rows)
    rest = closed_loop(lambda turn: search(done + turn), 0.0, left)
    return Answered(_table(rows), results, _table(rest))


def _table(rows: list[tuple[int, int, int]]) -> np.ndarray:
    return np.array(rows, dtype=np.int64).reshape(-1, 3)


Turn = Callable[[int], int]
"""The search whose turn it is; returns the position of its query."""


def closed_loop(
    search: Turn, seconds: float, least: int, clock: Callable[[], int] = time.perf_counter_ns
) -> list[tuple[int, int, int]]:
    """Search without a pause for `seconds`, and `least` times; return position, start and end."""
    rows: list[tuple[int, int, int]] = []
    until = clock() + int(seconds * 1e9)
    while len(rows) < least or clock() < until:
        begun = clock()
        position = search(len(rows))
        rows.append((position, begun, clock()))
    return rows


def open_loop(
    search: Turn,
    due: np.ndarray,
    clock: Callable[[], int] = time.perf_counter_ns,
    sleep: Callable[[float], None] = time.sleep,
) -> list[tuple[int, int, int]]:
    """Search when each query is `due`, ns from now; return position, moment due and end.

    A query that is due while the last one is under way starts late, and that counts.
    """
    rows: list[tuple[int, int, int]] = []
    beginning = clock()
    for moment in (beginning + due).tolist():
        left = (moment - clock()) / 1e9
        if left > _SPIN_SECONDS:
            sleep(left - _SPIN_SECONDS)
        while clock() < moment:
            pass
        position = search(len(rows))
        rows.append((position, moment, clock()))
    return rows
