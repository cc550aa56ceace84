"""Run jobs with an executor: watch their workers, blame a trial for what ends one early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager

from bench.errors import UsageError
from bench.measuring.executor import Executor, Watched
from bench.measuring.jobs import (
    Answer,
    Bm25Job,
    BuildJob,
    ExactJob,
    Job,
    Measured,
    Progressed,
    Ready,
    ServerGone,
    Started,
    TimedAgain,
)
from bench.measuring.prepared import ExactResults
from bench.measuring.progress import Progress
from bench.results.store import Store
from bench.study.plan import Trial

_ANSWERS: dict[str, float] = {}
"""What a job asked before: a search for a configuration runs many studies."""
_MOST_LOST = 3
"""Machines that may go in a row, with nothing measured between, before a trial is blamed."""


class Dispatch:
    """The workers of one run. Everything that writes results does so while it holds `lock`."""

    def __init__(
        self,
        executor: Executor,
        store: Store,
        progress: Progress,
        timeout: float,
        memory_limit: float,
        deadline: float,
    ) -> None:
        """`timeout` in seconds per trial, `memory_limit` in bytes, `deadline` as of `run`."""
        self.executor = executor
        self.store = store
        self.progress = progress
        self.timeout = timeout
        self.memory_limit = memory_limit
        self.deadline = deadline
        self.lock = threading.RLock()
        self._live: set[Watched] = set()
        self._ahead: tuple[Job, Watched] | None = None
        """A job begun while the one before ends, and its worker."""
        self._stopping = False

    def close(self) -> None:
        """End every worker that runs; nothing is begun afterwards."""
        self._stopping = True
        ahead = [self._ahead[1]] if self._ahead else []
        for worker in [*self._live, *ahead]:
            worker.close()

    def side_by_side(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Run `tasks`, as many at once as the executor has machines; raises what the first does."""
        if self.executor.at_once == 1:
            for task in tasks:
                task()
            return
        pool = ThreadPoolExecutor(self.executor.at_once)
        try:
            for future in as_completed([pool.submit(task) for task in tasks]):
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            self.close()
            raise
        finally:
            pool.shutdown()

    def ask(self, job: Job, label: str) -> float | None:
        """Run a job that answers with one number, once per process; None if it failed."""
        key = job.model_dump_json()
        for _ in range(1 + _MOST_LOST):
            if key in _ANSWERS:
                break
            with self._worker(job, label) as worker:
                for event in worker.events():
                    if isinstance(event, Answer):
                        _ANSWERS[key] = event.value
            if not worker.lost:
                break
        return _ANSWERS.get(key)

    def time_again(self, job: BuildJob, label: str, add: Callable[[TimedAgain], None]) -> None:
        """Run a further process of an index; `add` takes the times of each trial.

        An error leaves the rows as they are; the next run of the study tries again.
        """
        left = dict(job.trials)
        for _ in range(1 + _MOST_LOST):
            again = job.model_copy(update={"trials": left})
            with self._worker(again, label) as worker:
                for event in worker.events():
                    if isinstance(event, TimedAgain):
                        with self.lock:
                            add(event)
                        left = {i: t for i, t in left.items() if i != event.trial_id}
            if not (worker.lost and left) or self._stopping:
                return

    def find_exact(self, job: ExactJob, label: str) -> None:
        """Have the executor find exact results where it does that itself."""
        self.progress.now(label)
        begun = time.monotonic()
        self.executor.find_exact(job, self.progress.part)
        if self.executor.at_once > 1:
            self.store.log("exact parts", label, begun)

    def run(
        self,
        job: ExactJob | Bm25Job | BuildJob,
        label: str,
        add: Callable[[Measured, Trial], None],
        blame: Callable[[str, Trial, str, str], None],
        then: ExactJob | None = None,
    ) -> str:
        """Run the trials of a job; if a worker ends early, blame a trial and go on with the rest.

        `add` takes what was measured, `blame` the id, the status and the error of a trial that
        failed. `then` is an exact pass that follows, begun while the results of this one are scored
        and stored. Returns the last worker's error, empty if all went well.
        """
        left, lost = dict(job.trials), 0
        # Without exact results nothing can be scored.
        needed = isinstance(job, ExactJob) and not ExactResults(job.exact).exist()
        while not self._stopping and (needed or time.monotonic() < self.deadline):
            job = job.model_copy(update={"trials": left})
            under_way, ready, again = "", False, False
            with self._worker(job, label) as worker:
                for event in worker.events():
                    match event:
                        case Ready():
                            ready, needed = True, False
                            if then and self.executor.overlaps and not self._ahead:
                                self._ahead = then, self._start(then)
                        case Started():
                            under_way = event.trial_id
                        case ServerGone():
                            again = True
                        case Progressed():
                            self.progress.part(event.done, event.total)
                        case Measured():
                            with self.lock:
                                add(event, left[event.trial_id])
                            left = {i: t for i, t in left.items() if i != event.trial_id}
                            lost = 0
                    if time.monotonic() > self.deadline and not needed:
                        return ""
            if not left or self._stopping:
                return worker.error
            if worker.lost and lost < _MOST_LOST:
                lost, again = lost + 1, True
                self.progress.say([f"{worker.error}: what ran on it runs again elsewhere"])
            if again:
                continue
            status, error = worker.status, worker.error
            if status == "ok":
                status, error = "crashed", "the library ended the process by itself"
            # An error of the build would meet every trial; one of a search belongs to that trial.
            blamed = [under_way or next(iter(left))] if ready else list(left)
            with self.lock:
                for trial_id in blamed:
                    blame(trial_id, left[trial_id], status, error)
            left = {i: t for i, t in left.items() if i not in blamed}
            if not left:
                return error
        return ""

    @contextmanager
    def _worker(self, job: Job, label: str) -> Iterator[Watched]:
        """Run a worker under the study's limits, and log what it took."""
        self.progress.now(label)
        begun = time.monotonic()
        if self._ahead is not None and self._ahead[0] == job:
            worker, self._ahead = self._ahead[1], None
        else:
            worker = self._start(job)
        self._live.add(worker)
        try:
            with worker:
                try:
                    yield worker
                finally:
                    with self.lock:
                        self.store.flush()
        finally:
            self._live.discard(worker)
        with self.lock:
            self.store.log(job.kind, label, begun, worker.node, worker_bytes=worker.peak_bytes)

    def _start(self, job: Job) -> Watched:
        if self._stopping:
            raise UsageError("the run was stopped")
        return self.executor.worker(job, self.timeout, self.memory_limit)
