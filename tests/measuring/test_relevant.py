"""The ranks of relevant documents that the queries table keeps."""

import numpy as np
import pytest

from bench.embeddings import embed
from bench.measuring.runner import run
from bench.results.rows import exact_rows
from bench.results.store import load, load_queries


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A results folder of graded judgements, several per query, one outside the corpus."""
    folder = tmp_path_factory.mktemp("judged")
    rng = np.random.default_rng(3)
    np.save(folder / "corpus.npy", rng.standard_normal((300, 12)).astype(np.float32))
    np.save(folder / "queries.npy", rng.standard_normal((30, 12)).astype(np.float32))
    (folder / "qrels").mkdir()
    lines = [
        f"{query}\t{document}\t{1 + rng.integers(3)}"
        for query in range(30)
        for document in rng.choice(300, 1 + query % 4, replace=False)
    ]
    (folder / "qrels" / "test.tsv").write_text(
        "query-id\tcorpus-id\tscore\n" + "\n".join(lines) + "\n"
    )
    (folder / "study.toml").write_text(
        f'name = "judged"\ndataset = "vectors:{folder}"\ndimensions = [4, 12]\n'
        'reducers = ["truncate", "pca"]\n'
    )
    run(folder / "study.toml", folder / "results", progress=False)
    return folder


def test_every_relevant_document_has_its_rank_in_the_whole_corpus_and_its_grade(judged):
    data = embed(f"vectors:{judged}", progress=False)
    frame, queries = load(judged / "results"), load_queries(judged / "results")
    for _, row in exact_rows(frame)[exact_rows(frame)["reducer"] == "truncate"].iterrows():
        own = queries[queries["trial_id"] == row["trial_id"]].set_index("query_id")
        for i, query in enumerate(data.query_ids):
            corpus, asked = data.corpus[:, : row["dim"]], data.queries[i, : row["dim"]]
            scores = corpus @ asked / np.linalg.norm(corpus, axis=1)
            rank = {d: 1 + (scores > scores[int(d)]).sum() for d in data.qrels[query]}
            pairs = sorted((rank[d], grade) for d, grade in data.qrels[query].items())
            assert own.loc[query, "relevant_ranks"].tolist() == [r for r, _ in pairs]
            assert own.loc[query, "relevant_grades"].tolist() == [g for _, g in pairs]
            assert own.loc[query, "first_relevant_rank"] == pairs[0][0]


def test_a_judged_document_that_the_corpus_lacks_is_kept_after_all_others():
    from types import SimpleNamespace

    from bench.measuring.relevant import RelevantDocuments

    embeddings = SimpleNamespace(
        query_ids=["a", "b", "c"],
        qrels={"a": {"2": 1, "gone": 3}, "b": {"gone": 1}, "c": {"1": 2, "0": 1, "4": 0}},
        corpus=np.empty((9, 2)),
    )
    assert RelevantDocuments(embeddings).columns(np.array([5, 4, 2])) == {
        "first_relevant_rank": [5, 10, 2],
        "relevant_ranks": [[5, 10], [10], [2, 4]],
        "relevant_grades": [[1, 3], [1], [1, 2]],
    }
