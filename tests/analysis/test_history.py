"""What changed in a history: per figure, machine and data, and what configurations share."""

import json

import numpy as np
import pandas as pd
import pytest

from bench.analysis.history import DRIFT, STEP, find_changes
from bench.errors import UsageError
from bench.results.history import FIGURES
from tests.histories import history, noisy, sha


def test_a_step_of_a_backend_is_one_change_with_the_versions_that_came_with_it():
    versions = [{"faiss": "1.9" if i < 20 else "1.10", "numpy": "2"} for i in range(30)]
    parts = [
        history(noisy(30, dim, step=0.3, at=20), versions=versions, dim=dim) for dim in (16, 32, 64)
    ]
    flat = history(noisy(30, 9), backend="faiss-flat")
    found = find_changes(pd.concat([*parts, flat]))
    (change,) = found.changes
    assert (change.kind, len(change.series), change.of) == (STEP, 3, 3)
    assert found.commits[change.before][0] == sha(19)
    assert found.commits[change.at][0] == sha(20)
    assert change.low < 0.3 < change.high
    assert change.is_worse
    assert change.versions == {"faiss": ("1.9", "1.10")}
    assert len(found.series) == 4


def test_a_change_of_some_configurations_says_of_how_many():
    parts = [history(noisy(30, dim, step=0.3 * (dim < 64), at=20), dim=dim) for dim in (16, 32, 64)]
    (change,) = find_changes(pd.concat(parts)).changes
    assert (len(change.series), change.of) == (2, 3)


def test_better_is_read_off_the_column():
    rows = [
        history(noisy(30, 1, step=0.3, at=15), figure="speedup_vs_exact"),
        history(noisy(30, 1, step=-0.3, at=15), figure="latency_ms_p95"),
        history([0.8] * 15 + [0.9] * 15, figure="ndcg_at_10"),
    ]
    for part in rows:
        (change,) = find_changes(part).changes
        assert not change.is_worse


@pytest.mark.parametrize("column", ["machine", "dataset_fingerprint", "n_queries"])
def test_two_machines_and_two_sets_of_data_are_never_joined(column):
    value = 7 if column == "n_queries" else "another"
    slow = history(noisy(30, 1) * np.where(np.arange(30) < 15, 1, 3))
    slow.loc[15:, column] = value
    found = find_changes(slow)
    assert len(found.series) == 2
    assert found.changes == ()


def test_quality_is_compared_exactly_and_one_measurement_is_enough():
    values = [0.8, 0.8, 0.8, 0.79]
    (change,) = find_changes(history(values, figure="ndcg_at_10")).changes
    assert change.size == pytest.approx(-0.01)
    assert np.isnan(change.low)
    assert not change.series[0].is_relative
    assert find_changes(history([0.8] * 30, figure="ndcg_at_10")).changes == ()
    (bytes_,) = find_changes(history([100, 100, 80], figure="bytes_per_vector")).changes
    assert bytes_.size == pytest.approx(-0.2)


def test_neighbouring_changes_of_quality_stay_two():
    found = find_changes(history([0.8] * 5 + [0.7] + [0.6] * 5, figure="ndcg_at_10"))
    assert [change.at for change in found.changes] == [6, 5]


def test_quality_that_differs_between_builds_goes_through_the_test():
    rng = np.random.default_rng(0)
    values = 0.9 + 0.003 * rng.standard_normal(40)
    assert find_changes(history(values, figure="ann_recall_at_10")).changes == ()
    values[25:] -= 0.05
    (change,) = find_changes(history(values, figure="ann_recall_at_10")).changes
    assert (change.at, change.is_worse) == (25, True)
    assert change.low < -0.05 < change.high


def test_few_commits_are_said_to_be_too_few_and_samples_help():
    found = find_changes(history(noisy(7, 0, step=1.0, at=4)))
    assert (found.short, found.changes) == (1, ())
    values = noisy(16, 0, step=1.0, at=8)
    (change,) = find_changes(history(values, samples=4)).changes
    assert (change.before, change.at) == (1, 2)


def test_a_drift_is_reported_from_its_first_commit_to_its_last():
    parts = [history(noisy(50, dim) * np.linspace(1, 1.4, 50), dim=dim) for dim in (16, 32)]
    (change,) = find_changes(pd.concat(parts)).changes
    assert (change.kind, change.before, change.at, change.of) == (DRIFT, 0, 49, 2)
    assert change.size == pytest.approx(0.4, abs=0.06)


def test_the_trials_over_one_index_share_its_build():
    values = noisy(30, 0, step=0.5, at=15)
    parts = [
        history(values, figure="build_seconds", search_params=json.dumps({"ef": ef}))
        for ef in (16, 32, 64)
    ]
    found = find_changes(pd.concat(parts))
    assert len(found.series) == 1
    assert len(found.changes[0].series[0].values) == 30


def test_memory_that_shrinks_is_judged_too():
    values = np.r_[np.zeros(10), np.full(10, -4096.0), np.full(10, 9e6)]
    found = find_changes(history(values, figure="memory_bytes"))
    assert [change.at for change in found.changes] == [20]


def test_many_series_without_a_change_raise_no_alarm():
    parts = [history(noisy(30, seed, sd=0.05), dim=seed) for seed in range(1, 201)]
    assert find_changes(pd.concat(parts)).changes == ()


def test_a_figure_that_a_history_lacks_is_an_error_with_the_near_miss():
    with pytest.raises(UsageError, match="did you mean 'latency_ms_p95'"):
        find_changes(history([1, 2]), ["latency_ms_p9"])
    assert "latency_ms_p95" in FIGURES
    with pytest.raises(UsageError, match="the history has no memory_bytes there"):
        find_changes(history([1, 2]), ["memory_bytes"])
