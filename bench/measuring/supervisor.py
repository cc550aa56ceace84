"""The child process that measures: started with its thread pools held, watched, ended when it takes too long or too much."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import machine

_POLL_SECONDS = 0.1
GRACE_SECONDS = 60.0
"""What loading and reducing may take before the first trial's own time-out counts."""


class Child:
    """One `python -m bench.measuring.worker`, watched: `events` yields what it reports; `status` and `error` say how it ended."""

    def __init__(
        self, job: dict[str, Any], cores: list[int], timeout: float, memory_limit: float
    ) -> None:
        self.job, self.timeout, self.memory_limit = {**job, "cores": cores}, timeout, memory_limit
        self.threads = len(cores)
        self.status, self.error = "ok", ""

    def __enter__(self) -> Child:
        read, write = os.pipe()
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.measuring.worker", str(write), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=self.errors,
            stderr=self.errors,
            pass_fds=[write],
            env={**os.environ, **machine.thread_environment(self.threads)},
            # A group of its own: a Ctrl-C reaches the runner alone, and whatever a library starts is ended with the child.
            start_new_session=True,
        )
        os.close(write)
        self.channel = read
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError), self.process.stdin as stdin:
            stdin.write(json.dumps(self.job).encode())
        return self

    def events(self) -> Iterator[dict[str, Any]]:
        """Yield each event until the child ends or is ended."""
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
                        yield json.loads(line)
                        deadline = time.monotonic() + self.timeout
                elif time.monotonic() > deadline:
                    self._end("timeout", f"took longer than {self.timeout:g} s")
                    return
                if self._memory() > self.memory_limit:
                    self._end(
                        "out_of_memory", f"took more than {self.memory_limit / 2**30:.1f} GiB"
                    )
                    return
        self._ended(self.process.wait())

    def _memory(self) -> int:
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
        except OSError:
            return 0
        # Anonymous memory alone: pages of a mapped file can be dropped at any time and are nobody's burden.
        return next(
            (
                int(line.split()[1]) * 1024
                for line in status.splitlines()
                if line.startswith("RssAnon:")
            ),
            0,
        )

    def _end(self, status: str, error: str) -> None:
        self.status, self.error = status, error
        self._kill()

    def _ended(self, code: int) -> None:
        if code == 0:
            return
        self.errors.seek(0, os.SEEK_END)
        self.errors.seek(max(0, self.errors.tell() - 4000))
        text = self.errors.read().decode(errors="replace").strip()
        lines = text.splitlines()
        # An exception's own line, where its message runs over several; else the last word.
        last = next(
            (line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception)\b", line)),
            lines[-1] if lines else "",
        )
        if "bad_alloc" in text or "MemoryError" in text or code == -signal.SIGKILL:
            self.status = "out_of_memory"
        else:
            self.status = "failed" if code > 0 and "Traceback" in text else "crashed"
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self.error = f"{how}: {last}" if last else how

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def __exit__(self, *exception: object) -> None:
        self._kill()
        os.close(self.channel)
        self.errors.close()
