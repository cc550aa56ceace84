"""Real text, against plain numpy and pytrec_eval."""

import numpy as np
import pytest
import pytrec_eval

from bench import get_encoder, run
from bench.datasets import load_dataset


@pytest.fixture(params=["made here", pytest.param("cranfield", marks=pytest.mark.needs_shared)])
def name(request, collection):
    """A collection of texts: one that the tests make, and Cranfield if available."""
    if request.param == "cranfield":
        return f"beir:{request.getfixturevalue('shared_beir')('cranfield')}"
    return f"beir:{collection}"


def test_a_collection_scores_as_with_numpy_and_pytrec_eval(name, tmp_path):
    dimensions = [8, 32, 100, 256]
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "collection"\ndataset = "{name}"\nencoder = "wordllama"\n'
        f"dimensions = {dimensions}\nrepeats = 1\n"
        '[[configurations]]\nbackend = "faiss-flat"\n'
    )
    frame = run(study, tmp_path / "out", progress=False)
    assert (frame["status"] == "ok").all()
    data, encoder = load_dataset(name), get_encoder("wordllama")
    documents, queries = (
        encoder.encode_full(list(data.documents), "document"),
        encoder.encode_full(data.queries, "query"),
    )
    for d in dimensions:
        with np.errstate(invalid="ignore"):
            x, q = (
                np.nan_to_num(v[:, :d] / np.linalg.norm(v[:, :d], axis=1, keepdims=True))
                for v in (documents, queries)
            )
        scores = q @ x.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :100]
        ranked = {
            query: {data.doc_ids[i]: float(scores[row, i]) for i in best[row]}
            for row, query in enumerate(data.query_ids)
        }
        judged = {query: dict(data.qrels[query]) for query in data.query_ids}
        expected = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.100"}).evaluate(
            ranked
        )
        for row in frame[frame["dim"] == d].itertuples():
            assert row.ndcg_at_10 == pytest.approx(
                np.mean([e["ndcg_cut_10"] for e in expected.values()]), abs=1e-4
            )
            if row.backend == "exact":
                assert row.recall_at_100 == pytest.approx(
                    np.mean([e["recall_100"] for e in expected.values()]), abs=1e-4
                )
            else:
                assert row.encode_ms_p50 > 0
                assert row.encode_documents_per_second > 0


PUBLISHED = {384: 0.64508, 256: 0.63507, 128: 0.60156, 64: 0.48412, 32: 0.33713}
"""nDCG@10 of all-MiniLM-L6-v2 on SciFact: at 384 d MTEB's own, below by an independent script."""


@pytest.mark.slow
def test_a_published_score_is_reproduced(shared_beir, minilm, users_cache, tmp_path):
    """Encoding takes minutes, once: the vectors stay in the user's cache of embeddings."""
    study = tmp_path / "scifact.toml"
    study.write_text(
        f'name = "scifact"\ndataset = "beir:{shared_beir("scifact")}"\nencoder = "st:{minilm}"\n'
        f'dimensions = {sorted(PUBLISHED)}\nreducers = ["truncate"]\nconfigurations = []\n'
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MATRYOSHKA_BENCH_CACHE", str(users_cache))
        frame = run(study, tmp_path / "results", progress=False)
    found = frame[frame["backend"] == "exact"].set_index("dim")["ndcg_at_10"]
    for dimension, expected in PUBLISHED.items():
        assert found[dimension] == pytest.approx(expected, abs=5e-4), dimension
