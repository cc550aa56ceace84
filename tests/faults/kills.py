"""Kills by SIGKILL at random moments: of the runner, a worker, PostgreSQL, a client of a load test.

Each is followed by another start, after which everything that was finished must be there, and
nothing of the killed processes. At the end all is as if there had been no kill.
"""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tests.faults.ground import Budget, Counts, Lost, Run, Site, finished, site, wait_for

_INDEX = {"backend": "pgvector-hnsw", "dimensions": [16], "build": {"M": 8, "ef_construction": 40}}
_POSTGRES = [{**_INDEX, "search": {"ef": [20, 40]}}]
_LOAD = [{**_INDEX, "search": {"ef": 40}, "clients": [2]}]


def runner(budget: Budget, chance: random.Random) -> Counts:
    """Kill the runner, again and again until the study is done; then begin another."""
    return _runner(budget, chance, fork=True)


def runner_with_server(budget: Budget, chance: random.Random) -> Counts:
    """Kill the runner of a study that starts a PostgreSQL, which no kill of the runner ends."""
    return _runner(budget, chance, fork=False, configurations=_POSTGRES, corpus_sizes=[])


def _runner(budget: Budget, chance: random.Random, fork: bool, **keys: Any) -> Counts:
    counts = Counts()
    with site() as place:
        study = place.study(**keys)
        expected, seconds = undisturbed(place, study, fork)
        before: dict[str, float] = {}
        while budget.left(counts.faults):
            run = place.begin(study, fork, again=fork)
            time.sleep(chance.uniform(0, seconds))
            hit = run.alive
            run.kill()
            if run.end() == "" or not hit:
                same(expected, finished(place.out))
                anew(place)
                before = {}
                continue
            counts.faults += 1
            before = _kept(before, finished(place.out))
            error = place.run(study, fork, deadline=time.monotonic())
            if error and "holds no measured trial yet" not in error:
                raise Lost(error)
            counts.trials += place.check(before)
        if error := place.run(study, fork, again=fork):
            raise Lost(error)
        place.check(before)
        same(expected, finished(place.out))
    return counts


def worker(budget: Budget, chance: random.Random) -> Counts:
    """Kill a worker: its trial is blamed, the sweep goes on, and `--retry` measures what is left."""
    return _child(budget, chance, lambda run: run.children()[-1:], fork=True)


def postgres(budget: Budget, chance: random.Random) -> Counts:
    """Kill PostgreSQL, its first process or one that serves a connection."""

    def servers(run: Run) -> list[psutil.Process]:
        return [p for p in run.site.processes() if "postgres" in " ".join(p.cmdline()[:1])]

    return _child(budget, chance, servers, configurations=_POSTGRES, corpus_sizes=[])


def clients(budget: Budget, chance: random.Random) -> Counts:
    """Kill one of the processes that query a server at once."""

    def askers(run: Run) -> list[psutil.Process]:
        return [p for p in run.children() if "spawn_main" in " ".join(p.cmdline())]

    return _child(budget, chance, askers, configurations=_LOAD, corpus_sizes=[])


def _child(
    budget: Budget,
    chance: random.Random,
    victims: Callable[[Run], list[psutil.Process]],
    fork: bool = False,
    **keys: Any,
) -> Counts:
    """Kill one of the `victims` at a random moment of those at which there are some."""
    counts = Counts()
    with site() as place:
        study = place.study(**keys)
        expected, _ = undisturbed(place, study, fork)
        longest = 1.0
        while budget.left(counts.faults):
            anew(place)
            run = place.begin(study, fork, again=False)
            hit = False
            if wait_for(lambda run=run: _alive(victims, run) or not run.alive, 60.0):
                begun = time.monotonic()
                time.sleep(chance.uniform(0, longest))
                if found := _alive(victims, run):
                    hit = _hit(chance.choice(found))
                else:
                    longest = max(0.05, 0.8 * (time.monotonic() - begun))
            error = run.end()
            if error and not error.startswith("UsageError: exact search"):
                raise Lost(error)
            if not hit:
                continue
            counts.faults += 1
            before = finished(place.out)
            if error := place.run(study, fork, retry=True, again=fork):
                raise Lost(error)
            counts.trials += place.check(before)
            same(expected, finished(place.out))
    return counts


def _alive(victims: Callable[[Run], list[psutil.Process]], run: Run) -> list[psutil.Process]:
    try:
        return [p for p in victims(run) if p.status() != psutil.STATUS_ZOMBIE]
    except psutil.Error:
        return []


def _hit(victim: psutil.Process) -> bool:
    try:
        victim.kill()
    except psutil.Error:
        return False
    return True


def undisturbed(place: Site, study: Path, fork: bool) -> tuple[dict[str, float], float]:
    """Return what a run without a fault finds, and how long it takes, s."""
    begun = time.monotonic()
    if error := place.run(study, fork, again=fork):
        raise Lost(error)
    seconds = time.monotonic() - begun
    found = finished(place.out)
    place.check(found)
    anew(place)
    return found, seconds


def anew(place: Site) -> None:
    for folder in (place.out, place.cache):
        shutil.rmtree(folder, ignore_errors=True)


def _kept(before: dict[str, float], now: dict[str, float]) -> dict[str, float]:
    if gone := before.keys() - now.keys():
        raise Lost(f"the kill took {sorted(gone)}")
    return now


def same(expected: dict[str, float], found: dict[str, float]) -> None:
    if found.keys() != expected.keys():
        raise Lost(f"{len(found)} trials are finished, and {len(expected)} without a kill")
    # PostgreSQL draws the levels of its graph at random.
    off = {i for i in found if abs(found[i] - expected[i]) > 0.2}
    if off:
        raise Lost(f"other figures than without a kill: {sorted(off)}")
