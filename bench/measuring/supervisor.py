"""A watched worker process: its thread pools held, its time and memory limited."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import backends, machine
from bench.files import clear_scratch, scratch_folder
from bench.measuring.jobs import EVENT, Event, ExactJob, Failed, Job, Progressed

_POLL_SECONDS = 0.1
_PIPE_BYTES = 2**20
GRACE_SECONDS = 60.0
"""Time to load and reduce, before the first trial's own time-out counts."""


def clear_leftovers() -> None:
    """End the processes and remove the temporary folders that killed runs left."""
    clear_scratch()
    backends.clear_leftovers()


def worker_environment(threads: int) -> dict[str, str]:
    """Return the environment of a worker: thread pools held, large blocks in huge pages."""
    return {
        **os.environ,
        **machine.thread_environment(threads),
        **machine.malloc_environment(os.environ),
    }


class Worker:
    """One worker process: `events` yields its reports, `status` and `error` are how it ended."""

    lost = False
    """This machine does not go without its runner."""
    node = ""

    def __init__(self, job: Job, timeout: float, memory_limit: float) -> None:
        """Start the process; `timeout` in seconds per trial, `memory_limit` in bytes."""
        self.job = job
        self.timeout = timeout
        self.memory_limit = memory_limit
        self.status = "ok"
        self.error = ""
        self.peak_bytes = 0
        """Most anonymous memory seen, bytes."""
        read, write = os.pipe()
        # Room for some events, so that a worker goes on while the runner stores the last one.
        with contextlib.suppress(OSError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        self.scratch = scratch_folder()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.measuring.worker", str(write), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=self.errors,
            stderr=self.errors,
            pass_fds=[write],
            env=worker_environment(len(self.job.cores)) | {"TMPDIR": str(self.scratch)},
            # A separate session: Ctrl-C reaches the runner alone, and killing it ends all children.
            start_new_session=True,
        )
        os.close(write)
        self.channel = read
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(self.job.model_dump_json().encode())

    def __enter__(self) -> Worker:
        return self

    def events(self) -> Iterator[Event]:
        """Yield each event until the worker ends or is ended."""
        pending = b""
        deadline = time.monotonic() + self.timeout + GRACE_SECONDS
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            while True:
                if selector.select(_POLL_SECONDS):
                    chunk = os.read(self.channel, 1 << 20)
                    if not chunk:
                        break
                    *lines, pending = (pending + chunk).split(b"\n")
                    for line in lines:
                        event = EVENT.validate_json(line)
                        if isinstance(event, Failed):
                            self.status, self.error = event.status, event.error
                        else:
                            yield event
                        # A build that goes on and on counts against its trial all the same.
                        if not isinstance(event, Progressed) or isinstance(self.job, ExactJob):
                            deadline = time.monotonic() + self.timeout
                elif time.monotonic() > deadline:
                    self._end("timeout", f"took longer than {self.timeout:g} s")
                    return
                held = self._memory()
                self.peak_bytes = max(self.peak_bytes, held)
                if held > self.memory_limit:
                    limit = self.memory_limit / 2**30
                    self._end("out_of_memory", f"took more than {limit:.1f} GiB")
                    return
        self._ended(self.process.wait())

    def _memory(self) -> int:
        """Return the worker's anonymous memory, bytes; file-backed pages can be reclaimed."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        lines = (line for line in status.splitlines() if line.startswith("RssAnon:"))
        return next((int(line.split()[1]) * 1024 for line in lines), 0)

    def _end(self, status: str, error: str) -> None:
        self.status, self.error = status, error
        self._kill()

    def _ended(self, code: int) -> None:
        """Set `status` and `error` if the worker was killed or exited without reporting them."""
        if code == 0 or self.status != "ok":
            return
        text = self._last_output()
        lines = text.splitlines()
        # The line of an exception, if its message runs over several lines; else the last one.
        errors = (x for x in reversed(lines) if re.match(r"[\w.]+(Error|Exception)\b", x))
        last = next(errors, lines[-1] if lines else "")
        no_memory = "bad_alloc" in text or code == -signal.SIGKILL
        self.status = "out_of_memory" if no_memory else "crashed"
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self.error = f"{how}: {last}" if last else how

    def _last_output(self) -> str:
        self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, self.errors.tell() - 4000))
        return self.errors.read().decode(errors="replace").strip()

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process if it runs, with all its children."""
        self._kill()
        if not self.errors.closed:
            os.close(self.channel)
            self.errors.close()
            shutil.rmtree(self.scratch, ignore_errors=True)
