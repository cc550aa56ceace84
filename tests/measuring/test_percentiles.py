"""Percentiles: intervals that count queries, against simulation."""

import numpy as np
import pytest

from bench.measuring.percentiles import percentiles, quantile_interval


def coverage(share, draw, true, times=400):
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(times):
        low, high = quantile_interval(draw(rng), share)
        held += (low is None or low <= true) and (high is None or true <= high)
    return held / times


@pytest.mark.parametrize("share", [0.5, 0.95, 0.99])
@pytest.mark.parametrize("repeats", [1, 3])
def test_the_interval_holds_the_quantile_of_all_queries(share, repeats):
    """Three samples of one query that hardly differ are one sample, not three."""

    def draw(rng):
        return rng.lognormal(0, 1, (1, 500)) * rng.lognormal(0, 0.01, (repeats, 500))

    true = np.quantile(np.random.default_rng(1).lognormal(0, 1, 10**6), share)
    assert coverage(share, draw, true) >= 0.93


def test_independent_samples_of_a_query_count_by_themselves():
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 1, (3, 500))
    low, high = quantile_interval(values, 0.5)
    alone_low, alone_high = quantile_interval(values[:1], 0.5)
    assert high - low < 0.75 * (alone_high - alone_low)


@pytest.mark.parametrize(("queries", "bounded"), [(367, False), (368, True)])
def test_a_percentile_of_few_queries_has_no_upper_bound(queries, bounded):
    values = np.random.default_rng(0).permutation(queries)[None, :].astype(float)
    low, high = quantile_interval(values, 0.99)
    assert low is not None
    assert (high is not None) == bounded


def test_six_queries_bound_a_median_and_five_do_not():
    assert quantile_interval(np.arange(6.0)[None, :], 0.5) == (0.0, 5.0)
    assert quantile_interval(np.arange(5.0)[None, :], 0.5) == (None, None)


def test_columns_are_in_milliseconds():
    found = percentiles(np.full((3, 400), 2_000_000))
    assert found["latency_ms_p50"] == found["latency_ms_p99_high"] == 2.0
    assert set(found) == {
        f"latency_ms_p{p}{side}" for p in (50, 95, 99) for side in ("", "_low", "_high")
    }
