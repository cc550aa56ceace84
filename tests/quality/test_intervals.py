"""Intervals against scipy."""

import numpy as np
import pytest
from scipy import stats

from bench.quality.intervals import Bootstrap


def test_interval_of_a_mean_agrees_with_scipy():
    values = np.random.default_rng(0).beta(0.5, 1, 2000)
    mean, low, high = Bootstrap(2000, seed=3, resamples=20_000).mean(values)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(4)
    )
    assert mean == pytest.approx(values.mean())
    # The pseudo-query moves each bound outwards, by less than 1 / (n + 1).
    ours, scipys = np.array([low, high]), np.array(theirs.confidence_interval)
    assert ((ours - scipys) * [-1, 1] > -5e-4).all()
    np.testing.assert_allclose(ours, scipys, atol=1e-3)


def test_interval_of_a_ratio_is_paired_and_agrees_with_scipy():
    rng = np.random.default_rng(0)
    reference = rng.beta(0.5, 1, 2000)
    values = np.clip(reference * 0.95 + rng.normal(0, 0.05, 2000), 0, 1)
    ratio, low, high = Bootstrap(2000, seed=3, resamples=20_000).ratio(values, reference)
    theirs = stats.bootstrap(
        (values, reference),
        lambda a, b, axis=-1: a.mean(axis) / b.mean(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=5_000,
        rng=np.random.default_rng(4),
    )
    assert ratio == pytest.approx(values.mean() / reference.mean())
    np.testing.assert_allclose([low, high], theirs.confidence_interval, atol=2e-3)
    assert high - low < 0.03, "unpaired, the interval of the ratio would be several times as wide"


def test_a_sample_without_a_loss_does_not_show_that_there_is_none():
    reference = np.tile([0.0, 1.0], 50)
    ratio, low, high = Bootstrap(100).ratio(reference, reference)
    assert ratio == 1
    # At 100 queries of which 50 find something, a loss in one of 25 would be missed in 1 of 8.
    assert 0.9 < low < 0.98
    assert 1.02 < high < 1.1
    _, low, high = Bootstrap(100).mean(np.ones(100))
    assert 0.95 < low < 0.99
    assert high == 1


def test_ratio_to_nothing_is_not_a_number():
    assert np.isnan(Bootstrap(3).ratio(np.ones(3), np.zeros(3))).all()


def test_groups_are_drawn_whole():
    """The standard error of a mean of groups, against that of the groups' means by scipy."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(600), 5)
    values = rng.beta(0.4, 0.4, 600)[groups] * rng.uniform(0.8, 1, 3000)
    names = [f"g{i}" for i in groups]
    order = rng.permutation(3000)
    mean, low, high = Bootstrap(3000, groups=[names[i] for i in order]).mean(values[order])
    assert mean == pytest.approx(values.mean())
    expected = stats.sem(values.reshape(600, 5).mean(axis=1))
    assert (high - low) / (2 * 1.96) == pytest.approx(expected, rel=0.08)
    _, low, high = Bootstrap(3000).mean(values)
    assert (high - low) / (2 * 1.96) < 0.6 * expected


def test_one_figure_has_about_its_own_interval():
    rng = np.random.default_rng(2)
    reference = rng.beta(0.5, 1, 1500)
    values = np.clip(reference * 0.9 + rng.normal(0, 0.1, 1500), 0, 1)
    bootstrap = Bootstrap(1500, resamples=20_000)
    bounds = bootstrap.ratios(values[None], reference)
    _, low, high = bootstrap.ratio(values, reference)
    assert bounds.critical == pytest.approx(1.96, abs=0.1)
    np.testing.assert_allclose([bounds.low[0], bounds.high[0]], [low, high], atol=3e-3)


def test_bounds_hold_for_all_at_once_like_dunnetts_and_grow_with_their_number():
    """Independent normal figures: the critical value is that of the largest of K normals."""
    rng = np.random.default_rng(3)
    values, others = rng.normal(0.5, 0.1, (2, 40, 1500))
    bounds = Bootstrap(1500, resamples=20_000).differences(values, others)
    expected = stats.norm.ppf(0.975 ** (1 / 40))
    assert bounds.critical == pytest.approx(expected, abs=0.1)
    np.testing.assert_allclose(bounds.estimate, (values - others).mean(axis=1))
    assert (bounds.low < 0).all()
    assert (bounds.high > 0).all()
    errors = stats.sem(values - others, axis=1)
    np.testing.assert_allclose((bounds.estimate - bounds.low) / errors, expected, rtol=0.15)


def test_equal_copies_need_no_correction_among_themselves():
    rng = np.random.default_rng(4)
    reference = rng.beta(0.5, 1, 500)
    values = np.clip(reference * 0.9 + rng.normal(0, 0.1, 500), 0, 1)
    one = Bootstrap(500).ratios(values[None], reference)
    many = Bootstrap(500).ratios(np.tile(values, (50, 1)), reference)
    np.testing.assert_allclose(many.low, one.low[0])


@pytest.mark.parametrize("share", [0.9, 0.95])
def test_as_many_queries_as_needed_show_it_in_about_four_of_five_samples(share):
    rng = np.random.default_rng(5)

    def sample(n):
        reference = (rng.random(n) < 0.5).astype(float)
        return reference * (rng.random(n) > 0.03), reference

    reference = np.tile([0.0, 1.0], 10_000)
    values = reference.copy()
    values[np.flatnonzero(reference)[:300]] = 0  # 3 % of those found, as in the samples below
    of_many = Bootstrap(20_000, resamples=10)
    needed = of_many.queries_needed(values, reference, share, 1.96)
    assert of_many.queries_needed(values, reference, 0.98, 1.96) is None
    shown = 0
    for _ in range(100):
        values, reference = sample(needed)
        shown += Bootstrap(needed, resamples=500).ratio(values, reference)[1] >= share
    assert 60 <= shown <= 92


@pytest.mark.parametrize("block", [1, 7, 512])
def test_simultaneous_bounds_are_those_of_all_resamples_at_once(block, monkeypatch):
    """Against the definition in double precision, whatever the size of the blocks."""
    monkeypatch.setattr("bench.quality.intervals._BLOCK", block)
    rng = np.random.default_rng(6)
    reference = rng.choice([0, 0.3, 0.5, 1], 200)
    values = reference * (rng.random((20, 200)) > 0.1)
    values[3] = values[4]
    bootstrap = Bootstrap(200)
    bounds = bootstrap.ratios(values, reference)
    weights = bootstrap._weights.astype(float)
    typical = reference[reference > 0].mean()
    found = np.column_stack([values, np.zeros(20)])
    base = np.append(reference, typical)
    estimate = found.sum(axis=1) / base.sum()
    drawn = (weights @ found.T) / (weights @ base)[:, None]
    error = drawn.std(axis=0)
    critical = np.quantile(((drawn - estimate) / error).max(axis=1), 0.975)
    influence = (found - estimate[:, None] * base) * 201 / base.sum()
    skew = (influence**3).mean(axis=1) / (influence**2).mean(axis=1)
    low = estimate - critical * error + np.minimum(skew, 0) * (1 + 2 * critical**2) / (6 * 201)
    assert bounds.critical == pytest.approx(critical, rel=1e-5)
    np.testing.assert_allclose(bounds.low, low, atol=1e-6)


def test_figures_of_one_product_are_those_of_each_alone():
    rng = np.random.default_rng(7)
    values, reference = rng.beta(0.5, 1, (5, 300)), rng.beta(0.5, 1, 300)
    bootstrap = Bootstrap(300)
    together = bootstrap.resampled(values)
    alone = [bootstrap.mean(row) for row in values]
    np.testing.assert_allclose(together.means(), alone, atol=1e-6)
    np.testing.assert_allclose(
        together.ratio(2, reference), bootstrap.ratio(values[2], reference), atol=1e-6
    )
