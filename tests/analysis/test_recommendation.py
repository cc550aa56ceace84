"""The recommendation: the cheapest that keeps enough, within limits."""

import numpy as np
import pandas as pd
import pytest

from bench import recommend
from bench.analysis.certainty import Certainty
from bench.errors import UsageError
from bench.results.rows import timed
from bench.results.store import load_queries


@pytest.fixture
def queries(measured):
    return load_queries(measured)


def test_recommends_the_cheapest_whose_lower_bound_holds(frame, queries):
    for retain in (0.3, 0.7, 0.9):
        found = recommend(frame, queries, retain)[0]
        rows = timed(frame)
        kept = Certainty(frame, queries).kept(rows)
        assert (kept["low"] <= rows["retained_ndcg_at_10_low"] + 0.02).all()
        fit = rows[kept["low"] >= retain]
        least = fit["bytes_per_vector"].min()
        near = fit[fit["bytes_per_vector"] <= 1.1 * least]
        assert found.trial_id == near.sort_values("latency_ms_p50").iloc[0]["trial_id"]
        cheaper = rows[rows["bytes_per_vector"] < least]
        assert ("Not the next cheaper one" in found.why_not_cheaper) == bool(len(cheaper))
        assert f"Chosen among {len(rows)} configurations" in found.basis
        assert "40 queries" in found.basis


def test_exact_search_of_whole_vectors_keeps_all_by_definition(frame, queries):
    found = recommend(frame, queries, 1.0)[0]
    assert found.configuration == "faiss-flat 32 d"
    assert "exact search, nothing cut" in found.why
    others = frame[(frame["backend"] == "exact") | (frame["dim"] < 32)]
    nothing = recommend(others, queries, 0.98)[0]
    assert nothing.trial_id is None
    assert "The nearest is" in nothing.why


def test_what_is_not_shown_says_how_many_queries_it_would_take(frame, queries):
    own = queries["trial_id"].isin(frame.loc[frame["dim"] < 32, "trial_id"])
    full = frame.query("backend == 'exact' and reducer == 'truncate' and dim == 32")["trial_id"]
    of_full = queries[queries["trial_id"] == full.iloc[0]].set_index("query_id")["ndcg_at_10"]
    same = queries.assign(ndcg_at_10=queries["query_id"].map(of_full))
    below = frame[(frame["backend"] == "exact") | (frame["dim"] < 32)]
    assert own.any()
    why = recommend(below, same, 0.98)[0].why
    assert "queries would probably show it" in why


def test_results_without_their_queries_show_nothing(frame):
    found = recommend(frame[frame["dim"] < 32], load_queries("nowhere"), 0.5)[0]
    assert found.trial_id is None
    assert "certain" in found.why


def test_a_server_that_does_not_tell_its_size_is_the_last_choice(frame, queries):
    rows = timed(frame)
    whole = rows.query("backend == 'faiss-flat' and dim == 32 and precision == 'float32'")
    silent = whole.assign(trial_id="silent", bytes_per_vector=np.nan)
    assert recommend(pd.concat([frame, silent]), queries, 0.5)[0].trial_id != "silent"
    only = recommend(silent, queries, 1.0)[0]
    assert only.trial_id is None, "without the exact pass there is nothing to compare with"
    exact = frame[frame["backend"] == "exact"]
    only = recommend(pd.concat([exact, silent]), queries, 1.0)[0]
    assert only.trial_id == "silent"
    assert "size unknown" in only.why
    limited = recommend(pd.concat([exact, silent]), queries, 1.0, max_bytes_per_vector=1e9)[0]
    assert limited.trial_id is None


def test_limits_are_kept_and_what_cannot_be_is_said(frame, queries):
    slow = timed(frame)["latency_ms_p95"].max() * 2
    assert recommend(frame, queries, 0.5, max_p95_ms=slow)[0].trial_id
    nothing = recommend(frame, queries, 0.5, max_p95_ms=1e-9)[0]
    assert nothing.trial_id is None
    assert "No configuration" in nothing.why
    chosen = recommend(frame, queries, 0.1, max_bytes_per_vector=70)[0]
    assert chosen.trial["bytes_per_vector"] <= 70
    with pytest.raises(UsageError, match="between 0 and 1"):
        recommend(frame, queries, 98)
    with pytest.raises(UsageError, match="no timed trial"):
        recommend(frame[frame["backend"] == "exact"], queries)


@pytest.mark.parametrize("objective", ["latency", "cost"])
def test_another_objective_takes_the_least_of_it_and_within_a_tenth_the_other(
    objective, frame, queries
):
    for retain in (0.3, 0.7, 0.9):
        found = recommend(frame, queries, retain, objective=objective)[0]
        rows = timed(frame)
        fit = rows[Certainty(frame, queries).kept(rows)["low"] >= retain]
        memory = 3.5 * fit["bytes_per_vector"] * fit["n_corpus"] / 2**30
        disk = 0.1 * fit["disk_bytes"].fillna(0) / 2**30
        busy = 10 * fit["latency_ms_p50"] / 1e3 / 0.5 * 0.04 * 730
        value, other = fit["latency_ms_p50"], fit["bytes_per_vector"]
        if objective == "cost":
            value, other = memory + disk + busy, fit["latency_ms_p50"]
        near = fit[value <= 1.1 * value.min()]
        assert found.trial_id in set(
            near.loc[other[near.index] == other[near.index].min(), "trial_id"]
        )


def test_an_unknown_objective_is_bad_input(frame, queries):
    with pytest.raises(UsageError, match="none of the objectives memory, latency, cost"):
        recommend(frame, queries, objective="speed")
