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
from bench.measuring.clients import Arrivals, Ask, Failed, closed_loop, open_loop, under_load
from bench.results.rows import arrivals, loads, timed
from bench.study.plan import plan
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


# --------------------------------------------------------------------------------- the open loop


class Stalls:
    """A server on a clock of the test's own: 1 ms a query, and 100 ms of nothing every 2 s."""

    def __init__(self):
        self.now = 0.0

    def clock(self):
        return round(self.now * 1e9)

    def sleep(self, seconds):
        self.now += seconds

    def spin(self):
        self.now += 1e-5
        return self.clock()

    def search(self, turn):
        since = self.now % 2
        self.now += 0.001 + max(0.0, 0.1 - since if since < 0.1 else 0.0)
        return turn % 10


def times_ms(rows):
    _, begun, ended = np.array(rows).T
    return (ended - begun) / 1e6


def test_an_open_loop_sees_the_stall_that_a_closed_loop_hides():
    closed, fixed = Stalls(), Stalls()
    hidden = times_ms(closed_loop(closed.search, 20, 1, closed.clock))
    due = Arrivals(0.5 * len(hidden) / 20, 0).due(0, 1, 20)
    seen = times_ms(open_loop(fixed.search, due, fixed.spin, fixed.sleep))
    assert np.percentile(hidden, 99) < 2
    assert np.percentile(seen, 99) > 80
    assert hidden.max() == pytest.approx(101, abs=1), "it is there, once in two seconds"


def test_latency_runs_from_the_moment_a_query_was_due():
    server = Stalls()
    server.now = 1.0
    due = np.array([0, 100_000, 200_000, 10_000_000])
    rows = open_loop(server.search, due, server.spin, server.sleep)
    assert [position for position, _, _ in rows] == [0, 1, 2, 3]
    # Three due within 0.2 ms are answered one after the other; the last comes when all is quiet.
    np.testing.assert_allclose(times_ms(rows), [1, 1.9, 2.8, 1], atol=0.1)
    assert rows[3][1] - rows[0][1] == 10_000_000


def test_arrivals_are_a_poisson_process_shared_by_the_clients():
    clients, seconds, rate = 4, 50, 200.0
    due = [Arrivals(rate, 7).due(client, clients, seconds) for client in range(clients)]
    together = np.sort(np.concatenate(due))
    assert len(together) == pytest.approx(rate * seconds, rel=0.05)
    gaps = np.diff(together) / 1e9
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)
    assert together[-1] < seconds * 1e9
    assert not np.array_equal(due[0], due[1])
    np.testing.assert_array_equal(due[0], Arrivals(rate, 7).due(0, clients, seconds))


@pytest.mark.parametrize("clients", [1, 2])
def test_client_processes_keep_to_the_rate_and_answer_every_query(asked, clients):
    load = under_load(asked, clients, 0.5, Arrivals(40, seed=1))
    expected = sum(len(Arrivals(40, 1).due(c, clients, 0.5)) for c in range(clients))
    assert len(load.nanoseconds) == expected
    assert len(load.results) == len(asked.queries)
    assert load.nanoseconds.min() >= SLEEP * 1e9


def test_arrivals_are_trials_of_their_own_beside_the_closed_loop(tmp_path):
    text = (
        'name = "s"\ndataset = "synthetic:n=100,d=8"\ndimensions = [8]\n'
        '[[configurations]]\nbackend = "{}"\nclients = [1, 2]\narrivals = {}\n'
    )
    path = tmp_path / "study.toml"
    path.write_text(text.format("pgvector-hnsw", "[0.5, 0.9]") + "search = { ef = 40 }\n")
    trials = plan(load_study(path))
    found = [(t.clients, t.arrival) for t in trials if t.build_params == trials[0].build_params]
    assert found == [(c, a) for c in (1, 2) for a in (0.0, 0.5, 0.9)]
    assert [t.is_load for t in trials[:6]] == [False, True, True, True, True, True]
    path.write_text(text.format("faiss-flat", "0.5").replace("[1, 2]", "1"))
    with pytest.raises(UsageError, match="arrivals are for servers, and 'faiss-flat' is none"):
        load_study(path)
    path.write_text(text.format("pgvector-hnsw", "1.5"))
    with pytest.raises(UsageError, match="arrivals"):
        load_study(path)


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
def test_a_real_server_at_a_fixed_rate(study, tmp_path):
    frame = bench.run(
        study("search = { ef = [40] }\narrivals = [0.3]\n"), tmp_path / "out", progress=False
    )
    rows = frame[frame["backend"] == "pgvector-hnsw"]
    assert list(rows["status"]) == ["ok", "ok"], list(rows["error"])
    assert timed(frame)["arrival"].tolist() == [0.0]
    assert loads(frame).empty
    fixed = arrivals(frame).iloc[0]
    assert fixed["latency_ms_p50"] > 0
    assert fixed["qps"] < rows[rows["arrival"] == 0]["qps"].item()


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
