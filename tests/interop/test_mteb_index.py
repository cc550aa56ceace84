"""MTEB and this suite give the same figures, in both directions."""

import numpy as np
import pytest

from bench.errors import UsageError
from bench.interop.mteb_index import MtebIndex

FIGURES = ("ndcg_at_10", "recall_at_100", "mrr_at_10")
DIMENSIONS = (16, 64, 100, 256)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, collection):
    """Exact search at four dimensions, and HNSW at one, on a collection that the tests make."""
    from bench.measuring.runner import run

    folder = tmp_path_factory.mktemp("agreement")
    (folder / "study.toml").write_text(
        f"""
        name = "agreement"
        dataset = "beir:{collection}"
        encoder = "wordllama"
        dimensions = {list(DIMENSIONS)}
        reducers = ["truncate"]
        k = 100
        repeats = 1
        [[configurations]]
        backend = "faiss-hnsw"
        dimensions = [64]
        build = {{ M = 2, ef_construction = 10 }}
        search = {{ ef = 16 }}
        """
    )
    return run(folder / "study.toml", folder / "results", progress=False)


@pytest.mark.needs_mteb
@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_mteb_evaluate_and_bench_run_give_the_same_figures(sweep, collection, dimension):
    from bench.encoders import get_encoder
    from tests.interop.mteb_task import LocalModel, mteb_scores

    theirs = mteb_scores(LocalModel(get_encoder("wordllama"), dimension), collection)
    ours = sweep[(sweep["backend"] == "exact") & (sweep["dim"] == dimension)].iloc[0]
    for name in FIGURES:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-5), name


@pytest.mark.needs_mteb
def test_an_index_of_ours_scored_by_mteb_has_the_figures_of_bench_run(sweep, collection):
    import faiss
    from mteb.models import SearchEncoderWrapper

    from bench.encoders import get_encoder
    from tests.interop.mteb_task import LocalModel, mteb_scores

    faiss.omp_set_num_threads(1)  # as the study has it: the graph depends on the order of insertion
    index = MtebIndex("faiss-hnsw", 64, build={"M": 2, "ef_construction": 10}, search={"ef": 16})
    theirs = mteb_scores(
        SearchEncoderWrapper(LocalModel(get_encoder("wordllama"), None), index_backend=index),
        collection,
    )
    ours = sweep[sweep["backend"] == "faiss-hnsw"].iloc[0]
    assert ours["ann_recall_at_10"] < 1, (
        "a graph that finds everything cannot be distinguished from exact search"
    )
    for name in FIGURES:
        assert ours[name] == pytest.approx(theirs[name], abs=1e-5), name


def test_the_index_takes_documents_in_parts_and_forgets_them():
    rng = np.random.default_rng(0)
    vectors, queries = rng.standard_normal((50, 8)), rng.standard_normal((3, 8))
    index = MtebIndex("faiss-flat", 4)
    for _ in range(2):
        index.add_documents(vectors[:20], [])
        index.add_documents(vectors[20:], [])
        scores, ids = index.search(queries, 100, None)
        unit = [
            v[:, :4] / np.linalg.norm(v[:, :4], axis=1, keepdims=True) for v in (queries, vectors)
        ]
        expected = unit[0] @ unit[1].T
        np.testing.assert_array_equal(ids, np.argsort(-expected, axis=1))
        np.testing.assert_allclose(scores, -np.sort(-expected, axis=1), atol=1e-6)
        index.clear()
    with pytest.raises(ValueError, match="no documents were added"):
        index.search(queries, 10, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "faiss-hnws"}, "faiss-hnsw"),
        (
            {"backend": "faiss-hnsw", "search": {"nprobe": 3}},
            "no search parameter 'nprobe'; it has: ef",
        ),
        ({"backend": "faiss-flat", "build": {"M": 3}}, "no build parameter 'M'; it has: none"),
    ],
)
def test_unknown_backends_and_parameters_are_reported_in_one_line(arguments, message):
    with pytest.raises(UsageError, match=message):
        MtebIndex(**arguments)
