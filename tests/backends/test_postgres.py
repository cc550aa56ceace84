"""The private PostgreSQL server leaves nothing behind, however its process ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import bench
from bench.backends import _postgres as postgres
from bench.backends._servers import fresh_name

pytestmark = pytest.mark.needs_postgres

START = (
    "from bench.backends import _postgres as p; p.server(); "
    "print(p.PRIVATE.folder, p.PRIVATE.pid, flush=True); "
)


def started(then: str) -> tuple[subprocess.Popen, Path, int]:
    process = subprocess.Popen(
        [sys.executable, "-c", START + then], stdout=subprocess.PIPE, text=True
    )
    with process.stdout as output:
        folder, pid = output.readline().split()
    return process, Path(folder), int(pid)


def gone(pid: int) -> bool:
    """Wait for a process to end; a zombie counts as ended."""
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


def test_a_password_is_in_no_row(tmp_path, monkeypatch):
    monkeypatch.setenv(postgres.DSN_VARIABLE, "postgresql://someone:secret@127.0.0.1:9/nowhere")
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "s"\ndataset = "synthetic:n=300,d=8"\ndimensions = [8]\n'
        '[[configurations]]\nbackend = "pgvector-hnsw"\n'
        "build = { ef_construction = 64 }\nsearch = { ef = 40 }\n"
    )
    frame = bench.run(study, tmp_path / "out", progress=False)
    row = frame[frame["backend"] == "pgvector-hnsw"].iloc[0]
    assert row["status"] == "failed"
    assert "127.0.0.1" in row["error"]
    assert "secret" not in frame.to_csv()


def test_tables_that_a_killed_process_left_are_dropped(monkeypatch):
    import numpy as np
    import psycopg

    server = postgres.server()
    name = fresh_name().replace(f"_{os.getpid()}_", f"_{2**22 + 1}_")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (id bigint)")
        backend = bench.get_backend("pgvector-hnsw")("float32", 8, 1)
        backend.build(np.eye(8, dtype=np.float32), M=16, ef_construction=64)
        tables = {
            row[0]
            for row in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            )
        }
        backend.close()
    assert name not in tables
    assert len(tables) == 1
