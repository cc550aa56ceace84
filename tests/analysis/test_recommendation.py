"""The recommendation: the cheapest that keeps enough, within limits."""

import numpy as np
import pandas as pd
import pytest

from bench import recommend
from bench.errors import UsageError
from bench.results.rows import timed


def test_recommends_the_cheapest_whose_lower_bound_holds(frame):
    for retain in (0.3, 0.7, 0.9):
        found = recommend(frame, retain)[0]
        rows = timed(frame)
        fit = rows[rows["retained_ndcg_at_10_low"] >= retain]
        least = fit["bytes_per_vector"].min()
        near = fit[fit["bytes_per_vector"] <= 1.1 * least]
        assert found.trial_id == near.sort_values("latency_ms_p50").iloc[0]["trial_id"]
        cheaper = rows[rows["bytes_per_vector"] < least]
        assert ("Not the next cheaper one" in found.why_not_cheaper) == bool(len(cheaper))


def test_a_server_that_does_not_tell_its_size_is_the_last_choice(frame):
    rows = timed(frame)
    silent = rows.iloc[[0]].assign(
        trial_id="silent", bytes_per_vector=np.nan, retained_ndcg_at_10_low=2.0
    )
    assert recommend(pd.concat([rows, silent]), 0.5)[0].trial_id != "silent"
    only = recommend(silent, 1.0)[0]
    assert only.trial_id == "silent"
    assert "size unknown" in only.why
    assert recommend(silent, 1.0, max_bytes_per_vector=1e9)[0].trial_id is None


def test_limits_are_kept_and_what_cannot_be_is_said(frame):
    slow = timed(frame)["latency_ms_p95"].max() * 2
    assert recommend(frame, 0.5, max_p95_ms=slow)[0].trial_id
    nothing = recommend(frame, 0.5, max_p95_ms=1e-9)[0]
    assert nothing.trial_id is None
    assert "No configuration" in nothing.why
    chosen = recommend(frame, 0.1, max_bytes_per_vector=70)[0]
    assert chosen.trial["bytes_per_vector"] <= 70
    with pytest.raises(UsageError, match="between 0 and 1"):
        recommend(frame, 98)
    with pytest.raises(UsageError, match="no timed trial"):
        recommend(frame[frame["backend"] == "exact"])
