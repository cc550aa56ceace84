"""The private PostgreSQL: a socket that nobody else can reach, and no port."""

import os
import socket
import stat
from pathlib import Path

import numpy as np
import psutil
import pytest

import bench
from bench.backends import _postgres as postgres
from bench.backends import _servers
from bench.errors import UsageError

pytestmark = pytest.mark.needs_postgres

HOSTILE = "we\"ird'; DROP TABLE items; --\\ é"


@pytest.fixture(scope="module")
def connection():
    import psycopg

    with psycopg.connect(postgres.server(), autocommit=True) as connection:
        yield connection


def test_its_socket_lies_in_a_folder_that_nobody_else_can_enter(connection):
    folder = postgres.PRIVATE.folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    place = connection.execute("SHOW unix_socket_directories").fetchone()[0]
    assert Path(place) == folder
    (held,) = folder.glob(".s.PGSQL.*[0-9]")
    assert stat.S_ISSOCK(held.stat().st_mode)
    assert stat.S_IMODE(held.stat().st_mode) == 0o700


def test_it_listens_on_no_port(connection):
    assert connection.execute("SHOW listen_addresses").fetchone()[0] == ""
    server = psutil.Process(postgres.PRIVATE.pid)
    for process in [server, *server.children(recursive=True)]:
        assert not [c for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    port = int(connection.execute("SHOW port").fetchone()[0])
    with socket.socket() as asked:
        assert asked.connect_ex(("127.0.0.1", port)) != 0


def test_no_password_and_no_address_stands_in_its_command_line(connection):
    words = psutil.Process(postgres.PRIVATE.pid).cmdline()
    assert not [word for word in words if "password" in word.lower() or "://" in word]


def test_a_path_too_long_for_a_socket_is_refused_not_replaced_by_an_open_folder(
    tmp_path, monkeypatch
):
    deep = tmp_path / ("d" * 60)
    deep.mkdir()
    monkeypatch.setattr(postgres.tempfile, "tempdir", str(deep))
    with pytest.raises(UsageError, match="set TMPDIR to a shorter one"):
        postgres.PrivateServer().dsn()
    assert not list(deep.iterdir())


def test_a_folder_that_another_user_left_in_the_temporary_folder_is_let_alone(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(postgres.tempfile, "tempdir", str(tmp_path))
    for name in ("matryoshka-pg-", "matryoshka-pg-x", "matryoshka-pg-99999999999999999999-x"):
        (tmp_path / name).mkdir()
    planted = tmp_path / "matryoshka-pg-4194305-theirs"
    planted.mkdir()
    (planted / "postmaster.pid").write_text(f"{os.getpid()}\n")
    if os.geteuid() == 0:
        os.chown(planted, 65534, 65534)
    else:
        monkeypatch.setattr(postgres.os, "geteuid", lambda: 65534)
    postgres.remove_leftovers()
    assert planted.exists()
    assert len(list(tmp_path.iterdir())) == 4


def test_a_table_whose_name_holds_quotes_is_made_searched_and_dropped(connection, monkeypatch):
    monkeypatch.setattr(_servers, "fresh_name", lambda: HOSTILE)
    connection.execute("CREATE TABLE IF NOT EXISTS items (id int)")
    backend = bench.get_backend("pgvector-hnsw")("float32", 4, 1)
    vectors = np.eye(8, dtype=np.float32)
    backend.build(vectors, M=16, ef_construction=64)
    backend.configure(ef=40)
    there = {r[0] for r in connection.execute("SELECT tablename FROM pg_tables")}
    assert {HOSTILE, "items"} <= there
    assert backend.search(vectors[:2], 3).shape == (2, 3)
    assert backend.search_stages(vectors[:2], 5, 3).shape == (2, 3)
    assert backend.size_bytes() > 0
    backend.close()
    there = {r[0] for r in connection.execute("SELECT tablename FROM pg_tables")}
    assert HOSTILE not in there
    assert "items" in there
    connection.execute("DROP TABLE items")
