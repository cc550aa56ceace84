"""Steps, drifts and outliers in noisy series, counted, and two public series."""

import numpy as np
import pytest
from scipy.stats import binom

from bench.analysis.change_points import MIN_POINTS, can_tell, changes, exact_steps, repeats
from tests.experiments.history import (
    KINDS,
    drifting,
    false_alarms,
    found_in,
    nile,
    planted,
    tigerbeetle,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_series_without_a_change_has_an_alarm_in_one_of_fifty_at_most(kind):
    count = 200
    alarms = false_alarms(kind, 40, 0.03, count, seed=11) * count
    # Of a rate of 2 %, more than this many come in one of a thousand runs.
    assert alarms <= binom.ppf(0.999, count, 0.02)


@pytest.mark.parametrize(
    ("kind", "n", "sd", "step", "least"),
    [
        ("white", 20, 0.02, 0.2, 0.95),
        ("white", 50, 0.02, 0.1, 0.95),
        ("white", 100, 0.05, 0.2, 0.95),
        ("correlated, .5", 50, 0.02, 0.2, 0.9),
        ("heavy tails (t, 3)", 50, 0.02, 0.1, 0.9),
        ("5 % outliers", 50, 0.02, 0.2, 0.85),
    ],
)
def test_a_planted_step_is_found_near_its_commit(kind, n, sd, step, least):
    share, away, others = planted(kind, n, sd, step, 100, seed=12)
    assert share >= least
    assert away <= 0.5
    assert others <= 0.05


def test_a_planted_step_has_its_size_in_its_interval():
    rng = np.random.default_rng(3)
    held = []
    for _ in range(100):
        values = 0.02 * rng.standard_normal(40) + 0.1 * (np.arange(40) >= 25)
        (step,) = found_in(values).steps
        assert abs(step.at - 25) <= 1
        held.append(step.shift.low <= 0.1 <= step.shift.high)
    assert np.mean(held) >= 0.9


def test_a_drift_is_called_a_drift():
    called = drifting(50, 0.02, 0.3, 50, seed=4)
    assert called["drift"] >= 48
    values = 0.01 * np.random.default_rng(0).standard_normal(60) + np.linspace(0, 0.3, 60)
    (drift,) = found_in(values).drifts
    assert (drift.start, drift.end) == (0, 59)
    assert drift.shift.low <= 0.3 <= drift.shift.high


def test_a_step_after_a_drift_is_told_from_it():
    rng = np.random.default_rng(5)
    values = 0.01 * rng.standard_normal(90)
    values[:60] += np.linspace(0, 0.3, 60)
    values[60:] += 0.3 + 0.2
    found = found_in(values)
    (drift,), (step,) = found.drifts, found.steps
    assert abs(drift.end - 59) <= 1
    assert abs(step.at - 60) <= 1
    assert step.shift.size == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize("length", [1, 2, MIN_POINTS - 1])
def test_a_few_outliers_are_no_step_wherever_they_stand(length):
    for at in (0, 15, 40 - length):
        values = 0.02 * np.random.default_rng(at).standard_normal(40)
        values[at : at + length] += 1.0
        assert found_in(values).steps == ()


def test_of_two_steps_both_are_found_and_those_too_small_are_not_told():
    rng = np.random.default_rng(6)
    values = 0.005 * rng.standard_normal(60)
    values += 0.2 * (np.arange(60) >= 20) - 0.3 * (np.arange(60) >= 40)
    assert [step.at for step in found_in(values).steps] == [20, 40]
    small = 0.001 * rng.standard_normal(60) + 0.03 * (np.arange(60) >= 30)
    assert found_in(small).steps == ()
    assert [step.at for step in changes(small, range(60), 0.0).steps] == [30]
    # Two small ones in one direction are one that counts.
    both = small + 0.03 * (np.arange(60) >= 38)
    assert len(found_in(both).steps) == 1


def test_a_step_lies_between_commits_and_samples_of_a_commit_count():
    values = np.r_[np.zeros(4), np.full(4, 0.3)] + 0.01 * np.random.default_rng(0).standard_normal(
        8
    )
    assert not can_tell([0, 1, 2, 3, 4, 5, 6])
    assert can_tell([0, 0, 0, 0, 1, 1, 1, 1])
    (step,) = changes(values, [0, 0, 0, 0, 1, 1, 1, 1], 0.05).steps
    assert step.at == 4
    assert changes(values, [0, 0, 0, 0, 0, 0, 1, 1], 0.05).steps == ()


@pytest.mark.parametrize("values", [np.zeros(30), np.full(30, 7.5), np.r_[np.zeros(29), 1]])
def test_a_constant_series_is_no_division_by_zero(values):
    assert found_in(values).steps == found_in(values).drifts == ()


def test_a_step_without_noise_is_found():
    (step,) = found_in(np.r_[np.zeros(10), np.ones(5)]).steps
    assert (step.at, step.shift.size) == (10, 1)
    assert step.shift.p < 1e-6


def test_exact_steps_need_one_measurement_and_random_series_do_not_repeat():
    assert exact_steps(np.array([0.8, 0.8, 0.7]), 1e-6) == [2]
    assert exact_steps(np.array([0.8]), 1e-6) == []
    assert exact_steps(np.array([0.8, 0.8 + 1e-9]), 1e-6) == []
    assert repeats(np.array([0.8, 0.8, 0.7]), [0, 1, 2], 1e-6)
    assert repeats(np.array([0.8, 0.7]), [0, 1], 1e-6)
    assert not repeats(np.array([0.8, 0.7, 0.75, 0.81]), [0, 1, 2, 3], 1e-6)
    assert not repeats(np.array([0.8, 0.7]), [0, 0], 1e-6)


def test_the_nile_falls_in_1899_as_three_of_five_annotators_say():
    """Cobb 1978; annotations: van den Burg & Williams 2020, place 28, three of five, none two."""
    (step,) = found_in(np.log(nile())).steps
    assert abs(step.at - 28) <= 1
    assert np.expm1(step.shift.size) == pytest.approx(-0.24, abs=0.05)


def test_tigerbeetle_has_the_steps_the_outlier_and_the_slope_that_its_makers_describe():
    """They name an outlier at 10, steps at 16 and 71, another at 97 and then a slope upwards.

    Otava, at its usual settings, reports 15 and 71 alone.
    """
    found = found_in(np.log(tigerbeetle()))
    assert len(found.steps) == 3
    for step, at in zip(found.steps, (16, 71, 97), strict=True):
        assert abs(step.at - at) <= 2
    (drift,) = found.drifts
    assert abs(drift.start - 97) <= 2
    assert drift.shift.low > 0
