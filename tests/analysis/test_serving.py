"""The recommendation where a configuration will serve: its size, limits, money, and what is kept."""

import json
import math

import numpy as np
import pytest

from bench import recommend
from bench.analysis.at_size import AtSize, Change
from bench.analysis.certainty import Certainty, certainties
from bench.analysis.money import Prices, cost, load_prices
from bench.errors import UsageError
from bench.results.rows import timed
from bench.results.store import load_queries
from tests.parts import with_parts

PRICES = Prices(
    name="mine",
    date="2026-01-02",
    currency="€",
    memory_gib_month=2.0,
    disk_gib_month=0.25,
    vcpu_hour=0.1,
    utilisation=0.25,
)


@pytest.fixture
def queries(measured):
    return load_queries(measured)


@pytest.fixture
def as_is(monkeypatch):
    """Take the share kept to be the same at every size."""
    monkeypatch.setattr(AtSize, "change", lambda self, row: Change(1.0, 1.0, 1.0))


def test_money_is_memory_disk_and_busy_processors():
    found = cost(PRICES, 2**20, 2048, 4096, ms=5.0, queries_per_second=20)
    assert found.memory == pytest.approx(2 * 2.0)
    assert found.disk == pytest.approx(4 * 0.25)
    # 20 queries of 5 ms keep a tenth of a processor busy, of which a quarter is planned for.
    assert found.processors == pytest.approx(0.1 / 0.25 * 0.1 * 730)
    assert found.monthly == pytest.approx(4 + 1 + found.processors)
    assert found.per_million_queries == pytest.approx(5e-3 * 1e6 / 0.25 * 0.1 / 3600)


def test_without_a_word_on_serving_nothing_changes(frame, queries):
    (found,) = recommend(frame, queries, 0.7)
    assert found.sizing is None
    assert "sizing" not in found.record()
    (served,) = recommend(frame, queries, 0.7, queries_per_second=3)
    assert served.trial_id == found.trial_id
    assert served.why == found.why
    assert served.trial == found.trial
    assert served.sizing.documents == served.sizing.measured == 600
    assert not any("carried over" in line for line in served.lines())


def test_figures_and_limits_are_those_at_the_size_asked_for(frame, queries, as_is):
    made = with_parts(frame, latency={"faiss-hnsw": 0.4, "faiss-flat": 1.0}, build=1.2)
    rows = timed(frame)
    kept = Certainty(frame, queries).kept(rows)
    power = rows["backend"].map({"faiss-hnsw": 0.4, "faiss-flat": 1.0})
    rescored = rows["rescore_ms_p50"].fillna(0)
    p95 = (rows["latency_ms_p95"] - rescored) * 1000**power + rescored
    good = rows[kept["low"] >= 0.5]
    limit = 1.0001 * float(p95[good.index].median())
    (found,) = recommend(made, queries, 0.5, documents=600_000, max_p95_ms=limit, prices=PRICES)
    fit = good[p95[good.index] <= limit]
    assert 0 < len(fit) < len(good)
    near = fit[fit["bytes_per_vector"] <= 1.1 * fit["bytes_per_vector"].min()]
    p50 = (rows["latency_ms_p50"] - rescored) * 1000**power + rescored
    expected = near.loc[p50[near.index].idxmin()]
    assert found.trial_id == expected["trial_id"]
    own = found.sizing
    assert own.latency_ms_p50 == pytest.approx(p50[expected.name])
    assert own.latency_ms_p95 == pytest.approx(p95[expected.name])
    assert own.memory_bytes == pytest.approx(600_000 * expected["bytes_per_vector"])
    assert own.build_seconds == pytest.approx(expected["build_seconds"] * 1000**1.2)
    assert own.times_beyond == 1000
    money = cost(PRICES, 600_000, expected["bytes_per_vector"], 0, own.latency_ms_p50, 10)
    assert own.per_month == pytest.approx(money.monthly)
    text = " ".join(found.lines())
    assert "600,000 documents, 1,000 times the 600 measured," in text
    assert f"€{own.per_month:,.2f} per month" in text
    assert "fitted from 100 to 600 documents" in text
    # The row is the one that was measured.
    assert found.trial["n_corpus"] == 600


def test_an_index_that_does_not_fit_is_never_chosen(frame, queries, as_is):
    sizes = timed(frame)["bytes_per_vector"]
    for per_vector in sorted(set(sizes)):
        limit = 10_000 * per_vector
        (found,) = recommend(frame, queries, 0.3, documents=10_000, max_memory=limit)
        if found.trial_id:
            assert found.sizing.memory_bytes <= limit
        else:
            assert "The smallest that keeps enough is" in found.why
            assert found.sizing.memory_bytes > limit
    (nothing,) = recommend(frame, queries, 0.3, documents=10_000, max_memory=10)
    assert nothing.trial_id is None
    assert "among 10,000 documents with at most 10 bytes of memory" in nothing.why
    rows = timed(frame)
    silent = frame[(frame["backend"] == "exact") | frame["trial_id"].isin(rows["trial_id"])]
    silent = silent.assign(bytes_per_vector=np.nan)
    (unknown,) = recommend(silent, queries, 0.3, max_memory=1e12)
    assert unknown.trial_id is None


def test_only_the_full_dimension_is_chosen_where_nothing_can_be_said_of_others(frame, queries):
    (found,) = recommend(frame, queries, 0.3, documents=60_000)  # 40 queries are too few
    assert found.trial["dim"] == 32
    assert "nothing can be said of it among 60,000 documents: 40 queries are too few" in (
        found.why_not_cheaper
    )
    assert recommend(frame, queries, 0.3)[0].trial["dim"] < 32
    short = frame[(frame["backend"] == "exact") | (frame["dim"] < 32)]
    (none,) = recommend(short, queries, 0.3, documents=60_000)
    assert none.trial_id is None
    assert math.isinf(none.sizing.need)
    assert "Nothing is said of what it keeps there: 40 queries" in " ".join(none.lines())


def test_so_much_more_must_be_kept_as_the_larger_corpus_takes(frame, queries, monkeypatch):
    (here,) = recommend(frame, queries, 0.4)
    assert here.trial["dim"] < 32
    rows = timed(frame)
    kept = Certainty(frame, queries).kept(rows).set_index(rows["trial_id"])
    low = kept.loc[here.trial_id, "low"]
    factor = 0.4 / low * 0.999  # just too little
    monkeypatch.setattr(
        AtSize,
        "change",
        lambda self, row: Change(1.0 if row["dim"] == 32 else factor, factor * 0.9, factor * 1.1),
    )
    (there,) = recommend(frame, queries, 0.4, documents=1200)
    assert there.trial_id != here.trial_id
    need = 0.4 if there.trial["dim"] == 32 else 0.4 / factor
    assert there.sizing.need == pytest.approx(need)
    assert kept.loc[there.trial_id, "low"] >= need
    assert "to keep 40.0% among 1,200 documents" in there.why_not_cheaper


def test_a_smaller_corpus_takes_no_less_and_is_expected_as_its_ranks_say(frame, queries):
    from bench.projection import project

    (found,) = recommend(frame, queries, 0.7, documents=300)
    row = found.trial
    assert found.sizing.need >= 0.7
    table = project(frame, queries, [300, 600])
    own = table[(table["reducer"] == row["reducer"]) & (table["dim"] == row["dim"])]
    if not row.get("stages"):
        small, whole = (own[own["documents"] == n]["kept"].iloc[-1] for n in (300, 600))
        kept = Certainty(frame, queries).kept(timed(frame)).set_index(timed(frame)["trial_id"])
        share = kept.loc[found.trial_id, "share"]
        assert found.sizing.kept == pytest.approx(share * small / whole)
    assert "fewer than the 600 measured" in " ".join(found.lines())


def test_parts_of_a_corpus_are_not_chosen_for_themselves_but_stand_in_for_a_whole(frame, queries):
    made = with_parts(frame)
    (found,) = recommend(made, queries, 0.7)
    assert found == recommend(frame, queries, 0.7)[0]
    ranks = made[made["dataset"].str.contains("@")]
    assert {each.dataset for each in recommend(ranks, queries, 0.7)} == {
        ranks.loc[ranks["n_corpus"] == 200, "dataset"].iloc[0]
    }


def test_a_decision_is_json_with_all_that_it_rests_on(frame, queries):
    for options in ({"documents": 6000}, {"max_memory": 1.0}, {"prices": PRICES}):
        (found,) = recommend(frame, queries, 0.7, **options)
        record = found.record()["sizing"]
        assert record["sentences"] == found.sizing.lines()
        assert record["latency_growth"]["sizes"] == ()
        json.dumps(found.record(), default=str)
    assert load_prices().name in recommend(frame, queries, 0.7, documents=6000)[0].sizing.prices


@pytest.mark.parametrize("option", ["documents", "max_memory", "queries_per_second"])
@pytest.mark.parametrize("value", [0, -1, math.inf])
def test_numbers_out_of_range_are_named(frame, queries, option, value):
    with pytest.raises(UsageError, match=option):
        recommend(frame, queries, **{option: value})


def test_another_size_needs_the_queries_themselves(frame, queries):
    held = certainties(frame, queries)
    assert recommend(frame, held, 0.7, max_memory=1e12)[0].trial_id
    with pytest.raises(UsageError, match="load_queries"):
        recommend(frame, held, 0.7, documents=6000)


def test_errors_of_the_share_and_of_the_projection_add_up_in_squares():
    change = Change(0.5, 0.4, 0.6)
    share, low, high = change.applied(0.8, 0.7, 0.9)
    assert share == pytest.approx(0.4)
    assert low == pytest.approx(0.4 * (1 - math.hypot(0.1 / 0.8, 0.2)))
    assert high == pytest.approx(0.4 * (1 + math.hypot(0.1 / 0.8, 0.2)))
    assert Change(1.0, 1.0, 1.0).applied(1.0, 1.0, 1.0) == (1.0, 1.0, 1.0)
    assert all(map(math.isnan, Change(math.nan, 0, 0, "no").applied(0.8, 0.7, 0.9)))
    assert all(map(math.isnan, Change(math.nan, 0, 0, "no").applied(0.0, 0.0, 0.0)))
