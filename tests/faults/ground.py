"""What every fault needs: a place of its own, runs that can be hit, and the checks after them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
import pyarrow.parquet as pq
import tomli_w

import bench
from bench import machine
from bench.errors import UsageError
from bench.measuring import supervisor, worker
from bench.results.store import Store, load, load_queries, load_rankings

STUDY: dict[str, Any] = {
    "name": "s",
    "dimensions": [8, 16],
    "reducers": ["truncate", "pca"],
    "repeats": 1,
    "subsets": 5,
    "corpus_sizes": [200],
    "configurations": [{"backend": "faiss-flat", "dimensions": [16]}],
}
_SECONDS = 300.0
"""Longest run; a longer one hangs."""


class Lost(AssertionError):
    """Something finished is lost, unreadable or left behind."""


@dataclass
class Counts:
    """What a kind of fault did."""

    faults: int = 0
    trials: int = 0
    """Finished trials that were checked after a fault."""
    lost: list[str] = field(default_factory=list)


@dataclass
class Budget:
    """How long and how often."""

    until: float
    most: float

    def left(self, done: int) -> bool:
        """Return whether one more fault is due."""
        return done < self.most and (not done or time.monotonic() < self.until)


def vectors(folder: Path, n: int = 300, kind: type[Any] = np.float64, seed: int = 0) -> Path:
    """Write n × 16 vectors with 12 queries and judgements; `kind` other than float32 is copied."""
    rng = np.random.default_rng(seed)
    corpus = rng.standard_normal((n, 16)) * np.linspace(2, 0.5, 16)
    relevant = rng.choice(n, 12, replace=False)
    queries = corpus[relevant] + 0.6 * rng.standard_normal((12, 16))
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    for name, found in (("corpus", corpus), ("queries", queries)):
        unit = found / np.linalg.norm(found, axis=1, keepdims=True)
        np.save(folder / f"{name}.npy", unit.astype(kind))
    lines = [f"{query}\t{document}\t1\n" for query, document in enumerate(relevant)]
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


class Site:
    """A data set, a cache, a folder for temporary files, and results, under one folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = vectors(root / "data")
        self.cache, self.temporary = root / "cache", root / "tmp"
        self.out = root / "out"
        self.temporary.mkdir(exist_ok=True)

    def study(self, name: str = "study.toml", **keys: Any) -> Path:
        """Write the study of this place, with other `keys`; return its file."""
        table = {**STUDY, "dataset": f"vectors:{self.data}", **keys}
        (self.root / name).write_text(tomli_w.dumps(table))
        return self.root / name

    def enter(self) -> None:
        """Have this process use the cache and the folder for temporary files."""
        os.environ |= {"MATRYOSHKA_BENCH_CACHE": str(self.cache), "TMPDIR": str(self.temporary)}
        tempfile.tempdir = None

    def start(self, call: Callable[[], Any]) -> Run:
        """Begin `call` in a process of its own, as a command would run it."""
        return Run(self, call)

    def begin(self, study: Path, fork: bool = True, **keys: Any) -> Run:
        """Begin a run of a study; `fork` its workers, unless something is done at their exit."""

        def call() -> None:
            with forked_workers() if fork else nullcontext():
                bench.run(study, self.out, progress=False, **keys)

        return self.start(call)

    def run(self, study: Path, fork: bool = True, **keys: Any) -> str:
        """Run a study to its end; return the line of its error, empty if all went well."""
        return self.begin(study, fork, **keys).end()

    def processes(self) -> list[psutil.Process]:
        """Return the processes that belong to this place, this one aside."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                    continue
                told = [*process.cmdline(), process.environ().get("TMPDIR", "")]
            except psutil.Error:
                continue
            if any(str(self.root) in text for text in told):
                found.append(process)
        return found

    def leftovers(self, out: Path) -> list[str]:
        """Return what a start in `out` should have removed: temporary and partial files, processes."""
        partial = [path for folder in (out, self.cache) for path in folder.rglob(".*.partial*")]
        paths = [*self.temporary.iterdir(), *partial]
        names = [str(path.relative_to(self.root)) for path in paths]
        return names + [f"process {' '.join(p.cmdline()[:6])}" for p in self.processes()]

    def check(self, before: dict[str, float], out: Path | None = None) -> int:
        """Raise Lost unless all of `before` is there and readable and nothing is left over.

        Returns how many finished trials were checked.
        """
        out = out or self.out
        found = finished(out)
        for trial_id, value in before.items():
            if trial_id not in found:
                raise Lost(f"trial {trial_id} is gone")
            if found[trial_id] != value:
                raise Lost(f"trial {trial_id} was {value} and is {found[trial_id]}")
        wait_for(lambda: not self.leftovers(out), 5.0)
        if left := self.leftovers(out):
            raise Lost(f"left behind: {left}")
        return len(found)


class Run:
    """A call in a process of its own, forked: its imports are there already."""

    def __init__(self, site: Site, call: Callable[[], Any]) -> None:
        self.site = site
        context = multiprocessing.get_context("fork")
        self.ours, theirs = context.Pipe(duplex=False)

        def target() -> None:
            os.setsid()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            site.enter()
            try:
                call()
                theirs.send("")
            except UsageError as error:
                theirs.send(f"UsageError: {error}")
            except KeyboardInterrupt:
                theirs.send("stopped")
            except BaseException:
                theirs.send(traceback.format_exc())

        self.process = context.Process(target=target)
        self.process.start()
        theirs.close()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.is_alive()

    def children(self) -> list[psutil.Process]:
        """Return its child processes, and theirs."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def kill(self, sign: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal, unless it has ended."""
        assert self.process.pid is not None
        if self.alive:
            os.kill(self.process.pid, sign)

    def end(self) -> str:
        """Wait; return an error's line, ``"stopped"``, ``"killed"``, or nothing if all went well.

        Raises Lost for a traceback or a hang.
        """
        self.process.join(_SECONDS)
        if self.alive:
            self.process.kill()
            raise Lost("a run hangs")
        try:
            answer = str(self.ours.recv()) if self.ours.poll() else "killed"
        except EOFError:
            answer = "killed"
        if "Traceback" in answer:
            raise Lost(answer)
        return answer


class Forked:
    """Does for the supervisor what `subprocess.Popen` does, without another interpreter."""

    def __init__(self, command: list[str], *, stdout: Any, env: dict[str, str], **_: Any) -> None:
        read, write = os.pipe()
        self.code: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            self._work(command, read, write, stdout.fileno(), env)
        os.close(read)
        self.stdin = os.fdopen(write, "wb")

    def _work(
        self, command: list[str], read: int, write: int, output: int, env: dict[str, str]
    ) -> None:
        code = 1
        try:
            os.setsid()
            os.close(write)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.environ.clear()
            os.environ.update(env)
            tempfile.tempdir = None
            sys.argv, sys.stdin = command[2:], os.fdopen(read)
            worker.main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0) if isinstance(end.code, int) else 1
        finally:
            os._exit(code)

    def wait(self) -> int:
        """Return the exit status, negative for a signal."""
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


@contextmanager
def forked_workers() -> Iterator[None]:
    """Fork workers instead of starting them, and take the memory's bandwidth as known."""
    with (
        mock.patch.object(supervisor.subprocess, "Popen", Forked),
        mock.patch.object(machine, "memory_bandwidth", return_value=1e10),
    ):
        yield


def finished(out: Path) -> dict[str, float]:
    """Read every file of a results folder; return the quality of each trial that ended ok."""
    if not (out / "parts").exists():
        return {}
    for path in out.rglob("*.parquet"):
        if ".partial" not in path.name:
            pq.read_table(path)
    rows = Store(out).rows(["status", "ndcg_at_10"])
    done = {i: row["ndcg_at_10"] for i, row in rows.items() if row["status"] == "ok"}
    if rows:
        load(out)
        counted = load_queries(out).groupby("trial_id").size()
        for trial_id in done:
            if counted.get(trial_id) != 12:
                raise Lost(f"trial {trial_id} has the rows of {counted.get(trial_id)} queries")
            if load_rankings(out, trial_id) is None:
                raise Lost(f"trial {trial_id} has no rankings")
    return done


def wait_for(what: Callable[[], Any], seconds: float) -> bool:
    """Wait until something is so; return whether it is."""
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


@contextmanager
def site() -> Iterator[Site]:
    """Yield a place in /tmp, where another user's PostgreSQL may read and a socket's path is short."""
    root = Path(tempfile.mkdtemp(prefix="faults-", dir="/tmp"))
    root.chmod(0o755)
    place = Site(root)
    place.temporary.chmod(0o1777)
    try:
        yield place
    finally:
        for process in place.processes():
            process.kill()
        shutil.rmtree(root, ignore_errors=True)
