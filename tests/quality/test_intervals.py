"""Intervals against scipy."""

import numpy as np
import pytest
from scipy import stats

from bench.quality.intervals import Bootstrap


def test_interval_of_a_mean_agrees_with_scipy():
    values = np.random.default_rng(0).beta(0.5, 1, 300)
    mean, low, high = Bootstrap(300, seed=3, resamples=20_000).mean(values)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(4)
    )
    assert mean == pytest.approx(values.mean())
    np.testing.assert_allclose([low, high], theirs.confidence_interval, atol=1e-3)


def test_interval_of_a_ratio_is_paired_and_agrees_with_scipy():
    rng = np.random.default_rng(0)
    reference = rng.beta(0.5, 1, 200)
    values = np.clip(reference * 0.95 + rng.normal(0, 0.02, 200), 0, 1)
    ratio, low, high = Bootstrap(200, seed=3, resamples=20_000).ratio(values, reference)
    theirs = stats.bootstrap(
        (values, reference),
        lambda a, b, axis=-1: a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=20_000,
        rng=np.random.default_rng(4),
    )
    assert ratio == pytest.approx(values.mean() / reference.mean())
    np.testing.assert_allclose([low, high], theirs.confidence_interval, atol=1e-3)
    assert high - low < 0.03, "unpaired, the interval of the ratio would be ten times as wide"


def test_ratio_to_nothing_is_not_a_number():
    assert np.isnan(Bootstrap(3).ratio(np.ones(3), np.zeros(3))).all()
