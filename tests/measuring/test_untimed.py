"""Quality alone, at any precision and after a rescore: the same results as the timed index finds."""

import numpy as np
import pytest

from bench.analysis.at_size import AtSize
from bench.measuring.runner import run
from bench.projection import project
from bench.results.rows import exact_rows, timed, untimed
from bench.results.store import load_queries, load_rankings

STUDY = """
name = "untimed"
dataset = "vectors:{folder}"
dimensions = [8, 16, 32]
reducers = ["truncate", "pca"]
repeats = 1
subsets = 0
[[configurations]]
backend = ["exact", "faiss-flat"]
reducer = ["truncate", "pca"]
precision = ["float32", "int8", "binary"]
dimensions = [8, 16]
[[configurations]]
backend = ["exact", "faiss-flat"]
precision = ["float32", "binary"]
dimensions = [8]
stages = {{ shortlist = [15, 40] }}
[[configurations]]
backend = ["exact", "faiss-flat"]
precision = "binary"
dimensions = [8]
stages = {{ shortlist = 40, vectors = "disk" }}
"""
SETTING = ["reducer", "dim", "precision", "stages"]


@pytest.fixture(scope="module")
def results(tmp_path_factory, vector_folder):
    folder = tmp_path_factory.mktemp("untimed")
    (folder / "study.toml").write_text(STUDY.format(folder=vector_folder))
    return run(folder / "study.toml", folder / "results", progress=False), folder / "results"


def test_every_precision_and_rescore_has_a_row_without_times(results):
    frame, _ = results
    rows = untimed(frame)
    assert (frame["status"] == "ok").all()
    assert rows["latency_ms_p50"].isna().all()
    assert len(exact_rows(frame)) == 2 * 3
    assert len(rows) == 2 * 3 + 2 * 2 * 2 + 2 * 2 + 1
    assert not rows.duplicated(["reducer", "reducer_params", "dim", "precision", "stages"]).any()


def test_it_finds_what_the_timed_index_finds(results):
    frame, folder = results
    queries = load_queries(folder).set_index(["trial_id", "query_id"])["ndcg_at_10"]
    clocked = timed(frame).fillna({"stages": ""}).set_index(SETTING)
    rows = untimed(frame).fillna({"stages": ""})
    rows = rows[(rows["precision"] != "float32") | (rows["stages"] != "")]
    assert len(rows) == 13
    for _, row in rows.iterrows():
        other = clocked.loc[tuple(row[c] for c in SETTING)]
        mine, its = (load_rankings(folder, r["trial_id"]) for r in (row, other))
        same = [
            len(set(a) & set(b)) / 10 for a, b in zip(mine["doc_ids"], its["doc_ids"], strict=True)
        ]
        # Signs of eight components tie often, and either of two equals may be found.
        assert np.mean(same) >= (
            0.9 if row["precision"] == "binary" and not row["stages"] else 0.999
        )
        if row["precision"] != "binary":
            assert row["ndcg_at_10"] == pytest.approx(other["ndcg_at_10"], abs=1e-9)
            assert queries[row["trial_id"]].mean() == pytest.approx(row["ndcg_at_10"])
        assert row["bytes_per_vector"] == pytest.approx(other["bytes_per_vector"], rel=0.01)


def test_every_precision_ranks_the_relevant_document_in_the_whole_corpus(results):
    frame, folder = results
    queries = load_queries(folder).set_index("trial_id")
    for _, row in untimed(frame).iterrows():
        own = queries.loc[row["trial_id"]]
        if row["stages"]:
            assert own["relevant_ranks"].isna().all()
            continue
        ranks = np.array([ranks[0] for ranks in own["relevant_ranks"]])
        assert (own["first_relevant_rank"] == ranks).all()
        from_ranks = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0)
        if row["precision"] == "binary":  # equals may be found in any order
            assert from_ranks.mean() == pytest.approx(row["ndcg_at_10"], abs=0.05)
        else:
            np.testing.assert_allclose(from_ranks, own["ndcg_at_10"], atol=1e-6)
    assert ranks.max() > 10


def test_each_precision_has_its_own_share_at_other_sizes(results):
    frame, folder = results
    queries = load_queries(folder)
    size = AtSize(frame, queries, 100)
    found = project(frame, queries, [100, 600])
    for _, row in timed(frame).iterrows():
        if row["stages"]:
            continue
        own = found[
            (found["reducer"] == row["reducer"])
            & (found["dim"] == row["dim"])
            & (found["precision"] == row["precision"])
        ].set_index("documents")["kept"]
        assert size.change(row).factor == pytest.approx(own[100] / own[600])
    other = timed(frame).query("precision == 'int8'").iloc[0]
    without = AtSize(frame[frame["precision"] == "float32"], queries, 100)
    plain = {**other, "precision": "float32"}
    assert without.change(other) == without.change(plain) != size.change(other)


def test_the_losses_add_up_and_none_is_the_search_s(results):
    frame, _ = results
    full = frame.query("backend == 'exact' and reducer == 'truncate' and dim == 32").iloc[0]
    rows = untimed(frame)
    lost = rows["loss_dimension"] + rows["loss_precision"] + rows["loss_search"]
    assert np.allclose(full["ndcg_at_10"] - rows["ndcg_at_10"], lost)
    assert (rows["loss_search"] == 0).all()


def test_vectors_on_disk_are_no_memory(results):
    frame, _ = results
    rows = untimed(frame)
    on_disk = rows[rows["stages"].fillna("").str.contains("disk")].iloc[0]
    assert on_disk["bytes_per_vector"] < 2
    assert on_disk["disk_bytes"] == 600 * 32 * 4
