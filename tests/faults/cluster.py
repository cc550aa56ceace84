"""Kills in a Ray cluster at random moments: of a worker of Ray, of a node, of the head.

Each is followed by another start, as in `tests.faults.kills`.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from tests.cluster.nodes import LocalCluster
from tests.faults.ground import Budget, Counts, Lost, Site, finished, site
from tests.faults.kills import anew, same, undisturbed

_NODES = 2
_SECONDS = 240.0
"""Longest run; a longer one hangs."""
_RUN = """
import sys
import bench
from bench.cluster import connected
study, out, address, retry = sys.argv[1:]
with connected(address) as executor:
    bench.run(study, out, progress=False, again=False, retry=retry == "1", executor=executor)
"""


def ray_worker(budget: Budget, chance: random.Random) -> Counts:
    """Kill a process of Ray that runs a task, with the worker that it watches."""
    return _killed(budget, chance, lambda cluster: _kill("ray::run_job", "ray::scan_part"))


def ray_node(budget: Budget, chance: random.Random) -> Counts:
    """Kill a node with all its processes."""

    def node(cluster: LocalCluster) -> bool:
        cluster.kill(chance.choice(cluster.nodes).node_id)
        return True

    return _killed(budget, chance, node)


def ray_head(budget: Budget, chance: random.Random) -> Counts:
    """Kill the process that knows where everything in the cluster is."""
    return _killed(budget, chance, lambda cluster: _kill("gcs_server"), lasting=False)


def _killed(
    budget: Budget,
    chance: random.Random,
    kill: Callable[[LocalCluster], bool],
    lasting: bool = True,
) -> Counts:
    """Have `kill` hit a run at a random moment; `lasting`: the cluster goes on after it."""
    counts = Counts()
    with site() as place, tempfile.TemporaryDirectory(prefix="nodes-") as scratch:
        study = place.study()
        expected, _ = undisturbed(place, study, fork=True)
        cluster = LocalCluster(Path(scratch), _NODES)
        try:
            begun = time.monotonic()
            if error := _Command(place, study, cluster.address).end():
                raise Lost(error)
            seconds = time.monotonic() - begun
            same(expected, finished(place.out))
            while budget.left(counts.faults):
                anew(place)
                run = _Command(place, study, cluster.address)
                time.sleep(chance.uniform(0, seconds))
                hit = False
                while run.alive and not hit:  # there may be nothing to kill at the moment
                    hit = kill(cluster)
                error = run.end()
                counts.faults += hit
                if lasting and error:
                    raise Lost(error)
                before = finished(place.out)
                if hit and not lasting:
                    cluster.close()
                    cluster = LocalCluster(Path(scratch), 0)
                cluster.refill(_NODES)
                if error := _Command(place, study, cluster.address, retry=True).end():
                    raise Lost(error)
                counts.trials += place.check(before)
                same(expected, finished(place.out))
        finally:
            cluster.close()
    return counts


class _Command:
    """A run on the cluster. It is not forked: what Ray has loaded here does not survive that."""

    def __init__(self, place: Site, study: Path, address: str, retry: bool = False) -> None:
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `end`)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(study), str(place.out), address, str(int(retry))],
            env={
                **os.environ,
                "MATRYOSHKA_BENCH_CACHE": str(place.cache),
                "TMPDIR": str(place.temporary),
            },
            stdout=subprocess.DEVNULL,
            stderr=self.said,
        )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.poll() is None

    def end(self) -> str:
        """Wait; return the end of what it said if it failed. Raises Lost for a hang."""
        with self.said:
            try:
                code = self.process.wait(_SECONDS)
            except subprocess.TimeoutExpired as error:
                self.process.kill()
                raise Lost("a run on a cluster hangs") from error
            self.said.seek(0)
            return "" if code == 0 else f"exit status {code}: {self.said.read()[-1500:]}"


def _kill(*words: str) -> bool:
    """Kill the processes of the cluster, all of which began here, that one of `words` names.

    Returns whether there was one.
    """
    hit = False
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if any(word in " ".join(process.cmdline()) for word in words):
                process.kill()
                hit = True
    return hit
