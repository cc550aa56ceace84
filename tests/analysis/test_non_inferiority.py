"""The verdict on each dimension, with what more queries would show."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.non_inferiority import dimension_tests, verdicts
from bench.errors import UsageError
from bench.results.store import load_queries


def _measured(qualities, n=200):
    """Trials and queries of exact search; `qualities` is the mean loss per dimension from 32 d."""
    rng = np.random.default_rng(2)
    full = rng.uniform(0.3, 0.9, n)
    trials, queries = [], []
    for d, loss in {**qualities, 32: 0.0}.items():
        noise = rng.normal(0, 0.05, n)
        values = full - loss + (noise - noise.mean() if loss else 0)
        common = {
            "dataset": "a",
            "encoder": "e",
            "status": "ok",
            "backend": "exact",
            "reducer": "truncate",
            "reducer_kind": "prefix",
            "precision": "float32",
            "stages": "",
        }
        trials.append(
            {**common, "trial_id": str(d), "dim": d, "full_dim": 32, "ndcg_at_10": values.mean()}
        )
        queries.append(
            pd.DataFrame(
                {
                    "trial_id": str(d),
                    "query_id": [str(i) for i in rng.permutation(n)],
                    "ndcg_at_10": np.nan,
                }
            )
        )
        queries[-1]["ndcg_at_10"] = [values[int(i)] for i in queries[-1]["query_id"]]
    return pd.DataFrame(trials), pd.concat(queries)


def test_what_loses_less_than_the_margin_is_non_inferior_and_the_rest_says_what_it_would_take():
    losses = {4: 0.3, 8: 0.005, 16: 0.0005}
    found = dimension_tests(*_measured(losses, 400), margin=0.02).set_index("dim")
    assert list(found.index) == [4, 8, 16]
    assert list(found["non_inferior"]) == [False, False, True]
    assert found["share"][4] == pytest.approx(0.5, abs=0.03)
    assert (found["low"] < found["share"]).all()
    assert pd.isna(found["needed"][4]), "no number of queries shows what is not so"
    needed = int(found["needed"][8])
    assert 400 < needed < 20_000
    more = dimension_tests(*_measured(losses, 2 * needed), margin=0.02).set_index("dim")
    assert more["non_inferior"][8]


def test_a_wider_margin_accepts_more():
    frame, queries = _measured({4: 0.3, 8: 0.011, 16: 0.001})
    assert list(dimension_tests(frame, queries, margin=0.1)["non_inferior"]) == [False, True, True]
    verdict = verdicts(frame, queries, 0.1)["a", "e"]
    assert (verdict.shown, verdict.not_shown, verdict.margin) == ([8, 16], [4], 0.1)
    assert "for 3 dimensions at once" in verdict.text
    assert "By their estimates, 4 d lose" in verdict.text


def test_measured_trials_have_a_verdict(frame, measured):
    (verdict,) = verdicts(frame, load_queries(measured)).values()
    assert sorted(verdict.shown + verdict.not_shown) == [4, 8, 16]


def test_without_queries_or_with_a_margin_that_is_no_share(frame):
    assert dimension_tests(frame, load_queries("nowhere")).empty
    assert verdicts(frame, load_queries("nowhere")) == {}
    with pytest.raises(UsageError, match="--margin"):
        verdicts(frame, load_queries("nowhere"), 2.0)
