"""The band by which two runs of one index differ."""

import numpy as np
import pytest

from bench.analysis.spread import band
from tests.results.test_spread import SD, run_of


def test_two_runs_of_one_index_lie_within_the_band():
    rng = np.random.default_rng(0)
    found = band(run_of(rng, indexes=300, several=300))
    assert found.degrees == 600
    assert found.deviation == pytest.approx(SD, rel=0.1)
    apart = np.abs(np.expm1(rng.normal(0, SD, 10_000) - rng.normal(0, SD, 10_000)))
    assert (apart < found.share).mean() == pytest.approx(0.95, abs=0.02)


def test_one_process_an_index_gives_no_band():
    assert band(run_of(np.random.default_rng(0), several=0)) is None
