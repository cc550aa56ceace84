"""Load: many clients of one server at once, each a process with a connection of its own, as an application's workers are."""

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
"""Seconds that clients may take to connect; the runner's own time-out counts as well."""

_WAITED = "another client could not begin"


@dataclass(frozen=True)
class Ask:
    """What each client does; it is sent to other processes."""

    backend: Backend
    search_params: dict[str, Any]
    queries: np.ndarray
    """(q, d) float32, as the backend takes them."""
    k: int
    shortlist: int | None
    """Of the backend's own rescore; None for a search in one step."""
    cores: list[int]

    def __call__(self, position: int) -> np.ndarray:
        query = self.queries[position : position + 1]
        if self.shortlist is not None:
            return self.backend.search_stages(query, self.shortlist, self.k)
        return self.backend.search(query, self.k)


@dataclass(frozen=True)
class Load:
    """What the clients saw."""

    nanoseconds: np.ndarray
    """(m,) int64: each search that began and ended while all clients were asking."""
    qps: float
    """Searches a second, of all clients together, in that time."""
    results: list[np.ndarray]
    """What each query found, (1, k) int64."""
    by_query: np.ndarray
    """(q,) float64: the median latency of each query, nanoseconds, over all that was asked."""


def under_load(ask: Ask, clients: int, seconds: float = SECONDS) -> Load:
    """Have `clients` processes ask for `seconds`, each as soon as its last answer came, and every query at least once.

    Raises RuntimeError with what went wrong in a client.
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
    if failed := sorted((text for text in reports if isinstance(text, str)), key=_WAITED.__eq__):
        raise RuntimeError(f"a client failed: {failed[0]}")
    return _gathered(reports, len(ask.queries))


def _received(end: Connection) -> Any:
    try:
        return end.recv()
    except EOFError:
        return "it ended by itself"


def _gathered(reports: list[tuple[np.ndarray, dict[int, np.ndarray]]], n_queries: int) -> Load:
    rows = np.concatenate([asked for asked, _ in reports])
    positions, begun, ended = rows.T
    first = max(asked[0, 1] for asked, _ in reports)
    last = min(asked[-1, 2] for asked, _ in reports)
    within = (begun >= first) & (ended <= last)
    if not within.any():
        raise RuntimeError("the clients' searches did not overlap in time: ask for longer")
    taken = ended - begun
    found = {position: ids for _, results in reports for position, ids in results.items()}
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
    """Ask from a place of one's own among the queries on, around and around; report (position, begun, ended) of each."""
    try:
        machine.pin(ask.cores)
        ask.backend.reconnect()
        ask.backend.configure(**ask.search_params)
        n = len(ask.queries)
        start, share = client * n // clients, -(-n // clients)
        for position in range(min(_WARM_UP, n)):
            ask((start + position) % n)
        clock = time.perf_counter_ns
        rows: list[tuple[int, int, int]] = []
        results: dict[int, np.ndarray] = {}
        barrier.wait(_PATIENCE)
        until = clock() + int(seconds * 1e9)
        asked = 0
        while asked < share or clock() < until:
            position = (start + asked) % n
            begun = clock()
            found = ask(position)
            rows.append((position, begun, clock()))
            results.setdefault(position, found)
            asked += 1
        end.send((np.array(rows, dtype=np.int64), results))
    except threading.BrokenBarrierError:
        end.send(_WAITED)
    except Exception as error:  # a client library may raise anything
        barrier.abort()
        end.send(f"{type(error).__name__}: {error}")
