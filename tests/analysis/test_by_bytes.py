"""The best vector of so many bytes: chosen among all, scored where nothing was chosen."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.by_bytes import best_by_bytes
from bench.analysis.certainty import Certainty

QUERIES = 60


def tables(values, sizes, kinds=None):
    """Return trials and queries of K stored vectors, (K, q) quality, the last one exact search."""
    count = len(values)
    frame = pd.DataFrame(
        {
            "trial_id": [f"t{i}" for i in range(count)],
            "dataset": "d",
            "encoder": "e",
            "status": "ok",
            "backend": "exact",
            "reducer": ["truncate" if not k else "adaptor" for k in kinds or [0] * count],
            "reducer_params": "",
            "reducer_kind": ["prefix" if not k else "learned" for k in kinds or [0] * count],
            "dim": [*range(1, count), 256],
            "full_dim": 256,
            "precision": [*["int8"] * (count - 1), "float32"],
            "stages": "",
            "code_bytes": sizes,
            "ndcg_at_10": values.mean(axis=1),
        }
    )
    queries = pd.DataFrame(
        {
            "trial_id": np.repeat(frame["trial_id"], values.shape[1]).to_numpy(),
            "query_id": np.tile([f"q{i}" for i in range(values.shape[1])], count),
            "ndcg_at_10": values.ravel(),
        }
    )
    return frame, Certainty(frame, queries)


def test_each_budget_has_the_best_vector_that_fits_it():
    by_query = np.linspace(0.1, 0.9, QUERIES)
    values = np.array([by_query * factor for factor in (0.5, 0.8, 0.6, 1.0)])
    frame, certainty = tables(values, [8.0, 16.0, 64.0, 1024.0])
    found = best_by_bytes(frame, certainty, (4, 8, 16, 64, 1024)).set_index("budget")
    assert found["trial_id"].to_dict() == {8: "t0", 16: "t1", 64: "t1", 1024: "t3"}
    # The best is the best in every part, so nothing is lost by choosing on the others.
    assert found["quality"].tolist() == pytest.approx([values[i].mean() for i in (0, 1, 1, 3)])
    assert found["kept"].tolist() == pytest.approx([0.5, 0.8, 0.8, 1.0])
    assert (found["low"] < found["quality"]).all()
    assert (found["quality"] < found["high"]).all()


def test_a_learned_map_is_a_model_of_its_own():
    values = np.tile(np.linspace(0.1, 0.9, QUERIES), (3, 1)) * np.array([[0.5], [0.9], [1.0]])
    frame, certainty = tables(values, [16.0, 16.0, 1024.0], kinds=[0, 1, 0])
    found = best_by_bytes(frame, certainty, (16,))
    assert found[["model", "trial_id"]].to_numpy().tolist() == [["", "t0"], ["adaptor", "t1"]]


def test_the_best_of_many_equals_is_not_flattered():
    rng, naive, honest = np.random.default_rng(0), [], []
    for _ in range(150):
        values = rng.random((101, QUERIES))
        values[-1] = 0.5
        frame, certainty = tables(values, [16.0] * 100 + [1024.0])
        naive.append(values[:100].mean(axis=1).max())
        honest.append(best_by_bytes(frame, certainty, (16,))["quality"].iloc[0])
    assert np.mean(naive) > 0.58, "the luckiest of a hundred looks good"
    assert abs(np.mean(honest) - 0.5) < 0.015, "scored on other queries it is one of many equals"


def test_what_has_no_size_or_no_queries_is_left_out():
    values = np.tile(np.linspace(0.1, 0.9, QUERIES), (2, 1))
    frame, certainty = tables(values, [np.nan, 1024.0])
    assert best_by_bytes(frame, certainty, (16,)).empty
    assert best_by_bytes(frame.iloc[:0], certainty).empty
