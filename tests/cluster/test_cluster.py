"""The Ray executor against this machine's: same trials, same quality, and nodes that die."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from bench.advising import Wanted, advise
from bench.embeddings import embed
from bench.errors import StudyError, UsageError
from bench.exact.scan import is_small
from bench.measuring.executor import Executor
from bench.measuring.jobs import BuildJob, Measured
from bench.measuring.runner import run
from bench.results.store import TASKS, Store, load, load_queries
from bench.study.schema import Study
from tests.cluster.nodes import LocalCluster
from tests.measuring.packages import install

pytestmark = [pytest.mark.needs_ray, pytest.mark.slow]
QUALITY = ("ndcg", "recall", "mrr", "ann_recall", "fidelity", "loss", "retained", "random")
DOCUMENTS, WIDTH = 18_000, 1_024


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster of two nodes that time, beside the one that the run is on."""
    with pytest.MonkeyPatch.context() as patch:
        # The encoder of a test is a package; nodes see it from their start.
        package = tmp_path_factory.mktemp("package")
        (package / "slowly.py").write_text(SLOWLY)
        install(package, patch, "slowly", "encoders", {"slowly": "Slowly"})
        patch.setenv("SLOWLY_LOG", str(package / "log"))
        found = LocalCluster(tmp_path_factory.mktemp("nodes"), nodes=2)
        yield found
        found.close()


@pytest.fixture
def executor(cluster):
    from bench.cluster import connected

    cluster.refill(2)
    with connected(cluster.address) as found:
        yield found


SLOWLY = textwrap.dedent(
    '''
    import os, time
    import numpy as np
    from bench.encoders import Encoder

    class Slowly(Encoder):
        """Vectors from the length of a text, and a log of who encoded what."""

        name = "slowly"
        usage = "slowly"
        summary = "for tests"
        batch_size = 10
        dimension = 8
        identity = "slowly 1"

        def __init__(self, argument=""):
            pass

        def encode_full(self, texts, role):
            with open(os.environ["SLOWLY_LOG"], "a") as log:
                log.write(f"{role} {texts[0]}\\n")
            time.sleep(0.1)
            rows = [[len(t), *map(ord, t[-7:].rjust(7))] for t in texts]
            return np.array(rows, dtype=np.float32)
    '''
)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Vectors that are worth parting, with judgements."""
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((DOCUMENTS, WIDTH), dtype=np.float32)
    assert not is_small(corpus)
    relevant = rng.choice(DOCUMENTS, 40, replace=False)
    np.save(folder / "corpus.npy", corpus)
    np.save(folder / "queries.npy", corpus[relevant] + 1.5 * rng.standard_normal((40, WIDTH)))
    ids = "".join(json.dumps({"_id": f"q{i}"}) + "\n" for i in range(40))
    (folder / "queries.jsonl").write_text(ids)
    (folder / "corpus_ids.txt").write_text("".join(f"d{i}\n" for i in range(DOCUMENTS)))
    (folder / "qrels").mkdir()
    lines = "".join(f"q{i}\td{d}\t1\n" for i, d in enumerate(relevant))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def study_of(folder):
    return Study.model_validate(
        {
            "name": "both",
            "dataset": f"vectors:{folder}",
            "dimensions": [8, 16],
            "repeats": 1,
            "reducers": ["truncate", "pca"],
            "subsets": 9,
            "configurations": [
                {"backend": "faiss-flat", "dimensions": 8},
                {"backend": "faiss-ivf", "search": {"nprobe": [4, 16]}, "dimensions": 8},
            ],
        }
    )


@pytest.fixture(scope="module")
def here(large, tmp_path_factory):
    """The results of this machine without a cluster."""
    out = tmp_path_factory.mktemp("here") / "results"
    # With a cache of its own, so that nothing found here saves the cluster its work.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        run(study_of(large), out, progress=False, again=False)
    return out


@pytest.fixture
def own_cache_of_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))


def assert_same(one, other):
    a, b = (load(out).set_index("trial_id").sort_index() for out in (one, other))
    assert list(a.index) == list(b.index)
    assert (a["status"] == "ok").all()
    assert (b["status"] == "ok").all()
    columns = [c for c in a if c.startswith(QUALITY)]
    assert len(columns) > 20
    pd.testing.assert_frame_equal(a[columns], b[columns], check_exact=True)
    kept = ["trial_id", "query_id", "ndcg_at_10", "recall_at_10", "first_relevant_rank"]
    by_query = [
        load_queries(out)[kept].sort_values(kept[:2]).reset_index(drop=True) for out in (one, other)
    ]
    pd.testing.assert_frame_equal(*by_query, check_exact=True)


def tasks(out):
    return [json.loads(line) for line in (out / TASKS).read_text().splitlines()]


def test_both_executors_give_the_same_trials_and_the_same_quality(
    executor, here, large, tmp_path, own_cache_of_the_run
):
    out = tmp_path / "results"
    run(study_of(large), out, progress=False, again=False, executor=executor)
    assert_same(here, out)
    done = tasks(out)
    assert {task["label"] for task in done if task["task"] == "exact parts"} == {
        "exact search, truncate",
        "exact search, pca",
    }
    assert len({task["node"] for task in done if task["task"] == "build"}) == 2
    # A resumed run has nothing to do.
    run(study_of(large), out, progress=False, again=False, executor=executor)
    assert [t["task"] for t in tasks(out)[len(done) :]] == ["embed"]


def test_advise_searches_on_the_cluster(executor, large, tmp_path, own_cache_of_the_run):
    out = tmp_path / "advice"
    found = advise(
        f"vectors:{large}",
        wanted=Wanted(keep=0.5),
        out=out,
        backends=["faiss-flat", "faiss-ivf"],
        seconds=30,
        progress=False,
        executor=executor,
    )
    assert found.choice is not None
    assert found.choice.kept.low >= 0.5
    # What it decided by was timed on both nodes, and nothing on the one that the search is on.
    builds = [task for task in tasks(out) if task["task"] == "build"]
    assert {task["node"] for task in builds} == {node.name for node in executor.nodes.timing}


def test_a_node_that_dies_in_the_exact_pass_loses_only_its_part(
    cluster, executor, here, large, tmp_path, own_cache_of_the_run, monkeypatch
):
    killed = []
    find = executor.find_exact

    def find_and_kill(job, tell):
        def told(done, total):
            tell(done, total)
            if not killed:
                killed.append(cluster.nodes[0].node_id)
                cluster.kill(killed[0])

        find(job, told)

    monkeypatch.setattr(executor, "find_exact", find_and_kill)
    out = tmp_path / "results"
    run(study_of(large), out, progress=False, again=False, executor=executor)
    assert killed
    assert_same(here, out)


def test_a_node_that_dies_in_a_trial_loses_only_what_ran_on_it(
    cluster, executor, here, large, tmp_path, own_cache_of_the_run, monkeypatch
):
    killed, measured = [], []
    start = executor.worker

    def worker(job, timeout, limit):
        found = start(job, timeout, limit)
        events = found.events

        def watched():
            for event in events():
                if isinstance(job, BuildJob) and isinstance(event, Measured):
                    measured.append(event.trial_id)
                yield event
                if isinstance(job, BuildJob) and isinstance(event, Measured) and not killed:
                    killed.append(found.node.split()[-1])
                    cluster.kill(killed[0])

        found.events = watched
        return found

    monkeypatch.setattr(executor, "worker", worker)
    out = tmp_path / "results"
    run(study_of(large), out, progress=False, again=False, executor=executor)
    assert_same(here, out)
    assert len(measured) == len(set(measured)) == 3
    assert killed[0] in {task["node"].split()[-1] for task in tasks(out) if "node" in task}


def test_a_node_that_dies_while_it_encodes_loses_only_its_batches(
    cluster, executor, tmp_path, monkeypatch
):
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "texts"
    folder.mkdir()
    count = 600
    for name, ids in (("corpus", range(count)), ("queries", range(5))):
        lines = (json.dumps({"_id": f"{i}", "text": f"text {i * i}"}) + "\n" for i in ids)
        (folder / f"{name}.jsonl").write_text("".join(lines))
    (folder / "qrels").mkdir()
    lines = "".join(f"{i} 0 {i} 1\n" for i in range(5))
    (folder / "qrels" / "test.tsv").write_text(lines)
    log, encode = executor.encoding(), []
    logged = os.environ["SLOWLY_LOG"]

    def encoding(*arguments):
        for vectors in log(*arguments):
            encode.append(len(vectors))
            if len(encode) == 8:
                cluster.kill(cluster.nodes[0].node_id)
            yield vectors

    found = embed(f"beir:{folder}", "slowly", progress=False, encode_with=encoding)
    with Path(logged).open() as file:
        begun = [line for line in file if line.startswith("document")]
    assert encode == [10] * (count // 10)
    # The batches that the dead node had, and no others, were encoded twice: two were sent ahead.
    assert 60 <= len(begun) <= 60 + 4
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "other"))
    again = embed(f"beir:{folder}", "slowly", progress=False)
    np.testing.assert_array_equal(found.corpus, again.corpus)


def test_ctrl_c_keeps_what_was_measured_and_leaves_no_worker(cluster, large, tmp_path):
    cluster.refill(2)
    study = tmp_path / "study.toml"
    table = study_of(large).model_dump(exclude_unset=True)
    out = tmp_path / "results"
    code = textwrap.dedent(
        f"""
        import bench
        from bench.cluster import connected
        from bench.study.schema import Study
        with connected({cluster.address!r}) as executor:
            bench.run(Study.model_validate({table!r}), {str(out)!r}, progress=False,
                      executor=executor)
        """
    )
    study.write_text(code)
    environment = {**os.environ, "MATRYOSHKA_BENCH_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen([sys.executable, str(study)], env=environment)
    deadline = time.monotonic() + 300
    while not workers(cluster) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) != 0
    deadline = time.monotonic() + 30
    while workers(cluster) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not workers(cluster)
    Store(out).done()


def workers(cluster):
    """Return the workers under watch on the nodes of a cluster."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if "bench.measuring.worker" in line:
            with contextlib.suppress(psutil.Error):
                cache = process.environ().get("MATRYOSHKA_BENCH_CACHE", "")
                found += [line] * cache.startswith(str(cluster.folder))
    return found


def test_a_node_of_another_kind_times_nothing(cluster, executor, monkeypatch):
    from bench.cluster import nodes

    real = nodes.describe
    odd = next(node for node in executor.nodes.timing)

    def describe():
        import ray

        found = real()
        if ray.get_runtime_context().get_node_id() == odd.id:
            found["machine"] = "another machine"
        return found

    cluster.add()
    monkeypatch.setattr(nodes, "describe", describe)
    found = nodes.Nodes(executor.ray)
    assert len(found.alive()) == 3
    assert odd.id not in {node.id for node in found.timing}
    assert len(found.timing) == 2
    monkeypatch.setattr(executor, "nodes", found)
    assert "1 of another kind encode and search only (another machine)" in executor.lines()


def test_a_study_of_more_threads_than_a_node_has_is_refused(executor, large):
    cores = len(executor.nodes.timing[0].cores)
    many = study_of(large).model_copy(update={"threads": [cores + 1]})
    with pytest.raises(StudyError, match=f"threads = {cores + 1}"):
        executor.machine(many)


def test_a_cluster_where_no_node_may_time_is_refused(cluster, executor, monkeypatch):
    from bench.cluster import nodes

    monkeypatch.setattr(nodes, "WHOLE", "no_such_resource")
    with pytest.raises(UsageError, match="none may time: start those that may by"):
        nodes.Nodes(executor.ray)


def test_without_an_address_it_is_a_cluster_of_this_machine_alone(cluster, monkeypatch):
    from bench.cluster import connected

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with connected() as found:  # although another one runs here
        assert len(found.nodes.alive()) == found.at_once == 1


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path):
    command = [sys.executable, "-m", "bench", "run", "quickstart", "--out", str(tmp_path / "r")]
    environment = {**os.environ, "RAY_raylet_start_wait_time_s": "2"}
    done = subprocess.run(
        [*command, "--executor", "ray", "--address", "127.0.0.1:1"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 2
    said = [line for line in done.stderr.splitlines() if line.startswith("matryoshka-bench:")]
    assert len(said) == 1
    assert "no Ray cluster can be reached at 127.0.0.1:1" in said[0]
    assert "Traceback" not in done.stderr


def test_an_executor_of_this_machine_says_nothing():
    assert Executor().lines() == []
    assert Executor().encoding() is None
