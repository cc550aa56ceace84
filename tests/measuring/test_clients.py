"""Load tests: results and errors of many clients; a server that dies is replaced."""

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import bench
from bench.backends import SERVER, Backend
from bench.errors import UsageError
from bench.measuring import clients
from bench.measuring.clients import Ask, Failed, under_load
from bench.study.reader import load_study
from bench.vectors import normalise

SLEEP = 0.002
K = 5


class Pretended(Backend):
    """A server whose connection does not pickle, and that takes its time."""

    name = "pretended"
    kind = SERVER
    module = "numpy"

    def build(self, vectors):
        self.vectors, self.connection = vectors, threading.Lock()

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "connection"}

    def reconnect(self):
        self.connection = threading.Lock()

    def configure(self, fails_at=-1):
        self.fails_at = fails_at

    def search(self, queries, k):
        with self.connection:
            time.sleep(SLEEP)
        if self.fails_at >= 0 and np.allclose(queries[0], self.vectors[self.fails_at]):
            raise ValueError("the shard is on fire")
        return np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")[:, :k].astype(
            np.int64
        )

    def size_bytes(self):
        return self.vectors.nbytes


@pytest.fixture
def asked():
    vectors = normalise(np.random.default_rng(0).standard_normal((50, 8)).astype(np.float32))
    backend = Pretended()
    backend.build(vectors)
    return Ask(backend, {}, vectors[:30].copy(), K, None, sorted(os.sched_getaffinity(0)))


def test_every_query_is_answered_as_by_one_client(asked):
    load = under_load(asked, 3, seconds=0.5)
    asked.backend.configure()
    assert np.array_equal(np.concatenate(load.results), asked.backend.search(asked.queries, K))
    assert len(load.by_query) == len(asked.queries)
    assert load.nanoseconds.min() >= SLEEP * 1e9
    # Three clients, each waiting for its last answer, cannot get more than this.
    assert 0 < load.qps <= 3 / SLEEP


def test_even_a_short_time_asks_every_query(asked):
    assert len(under_load(asked, 2, seconds=0.0).results) == len(asked.queries)


def test_the_cause_of_a_failed_client_is_reported(asked):
    failing = Ask(asked.backend, {"fails_at": 29}, asked.queries, K, None, asked.cores)
    with pytest.raises(RuntimeError, match="the shard is on fire"):
        under_load(failing, 2, seconds=0.2)


@pytest.mark.parametrize("waited", [False, True])
def test_the_cause_comes_before_clients_that_only_waited(asked, monkeypatch, waited):
    reports = iter([Failed("another client could not begin", waited=True), Failed("x", waited)])
    monkeypatch.setattr(clients, "_received", lambda end: next(reports))
    with pytest.raises(RuntimeError, match="another client" if waited else "failed: x"):
        under_load(asked, 2, seconds=0.0)


def test_clients_are_for_servers(tmp_path):
    study = tmp_path / "study.toml"
    study.write_text(
        'name = "s"\ndataset = "synthetic:n=100,d=8"\ndimensions = [8]\n'
        '[[configurations]]\nbackend = "faiss-flat"\nclients = [1, 4]\n'
    )
    with pytest.raises(UsageError, match="clients = 4 is for servers, and 'faiss-flat' is none"):
        load_study(study)


# ----------------------------------------------------------------------------------- a real server


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study.toml"

    def written(rest):
        path.write_text(
            'name = "pg"\ndataset = "synthetic:n=2000,d=32"\ndimensions = [16]\n'
            'repeats = 1\nqueries = 60\n[[configurations]]\nbackend = "pgvector-hnsw"\n'
            f"build = {{ ef_construction = 64 }}\n{rest}"
        )
        return path

    return written


@pytest.mark.needs_postgres
def test_a_real_server_under_load(study, tmp_path):
    frame = bench.run(
        study("search = { ef = [40] }\nclients = [1, 3]\n"), tmp_path / "out", progress=False
    )
    rows = frame[frame["backend"] == "pgvector-hnsw"].set_index("clients")
    assert list(rows["status"]) == ["ok", "ok"], list(rows["error"])
    assert rows.loc[1, "fidelity_at_10"] == pytest.approx(rows.loc[3, "fidelity_at_10"])
    assert rows.loc[1, "server_ms_p50"] > 0
    assert (rows["latency_ms_p99"] >= rows["latency_ms_p50"]).all()
    assert rows.loc[1, "speedup_vs_exact"] > 0
    assert np.isnan(rows.loc[3, "speedup_vs_exact"])


@pytest.mark.needs_postgres
@pytest.mark.slow
def test_a_server_that_dies_is_one_failed_row_and_a_new_one_for_the_rest(study, tmp_path):
    out, killed = tmp_path / "out", []

    def kill():
        while not killed:
            time.sleep(0.02)
            measured = [
                p
                for p in (out / "parts").glob("*.trials.parquet")
                if "pgvector" in p.read_bytes().decode("latin1")
            ]
            for pid_file in (
                Path(tempfile.gettempdir()).glob("matryoshka-pg-*/postmaster.pid")
                if measured
                else ()
            ):
                owner = int(pid_file.parent.name.split("-")[2])
                with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
                    # Only the server of this run's own child: a file left behind can hold the
                    # number of any process.
                    server = psutil.Process(int(pid_file.read_text().splitlines()[0]))
                    own = psutil.Process(owner).ppid() == os.getpid()
                    if own and str(pid_file.parent) in server.cmdline():
                        server.kill()
                        killed.append(server.pid)

    watcher = threading.Thread(target=kill, daemon=True)
    watcher.start()
    frame = bench.run(study("search = { ef = [16, 20, 30, 40, 50, 60] }\n"), out, progress=False)
    killed.append(0)
    rows = frame[frame["backend"] == "pgvector-hnsw"]
    assert len(killed) > 1
    assert sorted(rows["status"]) == ["failed"] + ["ok"] * 5, list(rows["error"])
    assert "connection" in rows.loc[rows["status"] == "failed", "error"].iloc[0].lower()
