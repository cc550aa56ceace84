"""Non-inferiority against scipy, Holm's correction against its definition, measured trials."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis.non_inferiority import dimension_tests, verdicts
from bench.errors import UsageError
from bench.quality.intervals import Bootstrap
from bench.results.store import load_queries


@pytest.mark.parametrize("shift", [-0.01, 0.0, 0.01, 0.02, 0.05])
def test_the_p_value_is_near_that_of_the_t_test(shift):
    values = np.random.default_rng(0).normal(0, 0.2, 400)
    values += shift - values.mean()
    expected = stats.ttest_1samp(values, 0, alternative="greater").pvalue
    assert Bootstrap(400, resamples=20_000).p_at_most_zero(values) == pytest.approx(
        expected, abs=0.01
    )


def test_the_p_value_falls_below_the_level_where_scipys_interval_leaves_zero():
    values = np.random.default_rng(1).normal(0.02, 0.2, 300)
    low = stats.bootstrap(
        (values,), np.mean, confidence_level=0.9, method="percentile", n_resamples=9999, rng=0
    )
    shifted = values - low.confidence_interval.low
    assert Bootstrap(300, resamples=20_000).p_at_most_zero(shifted) == pytest.approx(
        0.05, abs=0.005
    )


def _measured(qualities, n=200):
    """Trials and queries of exact search; `qualities` is the mean loss per dimension from 32 d."""
    rng = np.random.default_rng(2)
    full = rng.uniform(0.3, 0.9, n)
    trials, queries = [], []
    for d, loss in {**qualities, 32: 0.0}.items():
        values = full - loss + (rng.normal(0, 0.05, n) if loss else 0)
        common = {
            "dataset": "a",
            "encoder": "e",
            "status": "ok",
            "backend": "exact",
            "reducer": "truncate",
            "reducer_kind": "prefix",
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


def test_what_loses_less_than_the_margin_is_non_inferior_and_p_is_corrected():
    found = dimension_tests(*_measured({4: 0.3, 8: 0.011, 16: 0.001}), margin=0.02).set_index("dim")
    assert list(found.index) == [4, 8, 16]
    assert list(found["non_inferior"]) == [False, False, True]
    assert found["p"][4] > 0.99
    # Holm 1979: the smallest p times three, the next times two, never falling.
    p = found["p"].sort_values()
    expected = np.minimum(1, np.maximum.accumulate(p.to_numpy() * [3, 2, 1]))
    np.testing.assert_allclose(found["p_holm"][p.index], expected)


def test_a_wider_margin_accepts_more():
    frame, queries = _measured({4: 0.3, 8: 0.011, 16: 0.001})
    assert list(dimension_tests(frame, queries, margin=0.1)["non_inferior"]) == [False, True, True]
    verdict = verdicts(frame, queries, 0.1)["a", "e"]
    assert (verdict.shown, verdict.not_shown, verdict.margin) == ([8, 16], [4], 0.1)
    assert "over 3 dimensions" in verdict.text


def test_measured_trials_have_a_verdict(frame, measured):
    (verdict,) = verdicts(frame, load_queries(measured)).values()
    assert sorted(verdict.shown + verdict.not_shown) == [4, 8, 16]


def test_without_queries_or_with_a_margin_that_is_no_share(frame):
    assert dimension_tests(frame, load_queries("nowhere")).empty
    assert verdicts(frame, load_queries("nowhere")) == {}
    with pytest.raises(UsageError, match="--margin"):
        verdicts(frame, load_queries("nowhere"), 2.0)
