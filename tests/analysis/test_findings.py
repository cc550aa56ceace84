"""What the numbers say, as data."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from bench.analysis.certainty import Certainty, holm
from bench.analysis.comparisons import compared
from bench.analysis.findings import findings
from bench.analysis.spread import band
from bench.analysis.tables import (
    front,
)
from bench.results.rows import (
    loads,
    timed,
    two_stage,
)
from bench.results.store import load_queries
from bench.study.plan import canonical, parameters


def of_kind(frame, kind, queries):
    return [finding for finding in findings(frame, queries) if finding.kind == kind]


@pytest.fixture
def queries(measured):
    return load_queries(measured)


def exact_at(frame, reducer, dim):
    rows = frame.query("backend == 'exact' and reducer == @reducer and dim == @dim")
    return rows["trial_id"].iloc[0]


def shifted(queries, trial, by):
    """Return the queries with `by` added to the quality of every query of a trial, within 0…1."""
    rows = queries["trial_id"] == trial
    moved = queries["ndcg_at_10"].where(~rows, (queries["ndcg_at_10"] + by).clip(0, 1))
    return queries.assign(ndcg_at_10=moved)


def test_comparisons_are_better_worse_or_not_distinguished(frame, queries):
    def word(by):
        moved = shifted(queries, exact_at(frame, "pca", 8), by)
        (found,) = of_kind(frame, "against_rotation", moved)
        return next(
            w for w in ("better", "not distinguished", "worse") if 8 in found.values.get(w, [])
        )

    both = [exact_at(frame, reducer, 8) for reducer in ("truncate", "pca")]
    queries.loc[queries["trial_id"].isin(both), "ndcg_at_10"] = 0.5
    assert word(0.0) == "not distinguished"
    assert word(0.4) == "better"
    assert word(-0.4) == "worse"


def test_one_family_of_comparisons_has_wider_bounds_than_each_alone(frame, queries):
    certainty = Certainty(frame, queries)
    tested = compared(frame, certainty)
    assert len(tested) == 4 + 3  # pca against truncation, and truncation's neighbours
    for pair in tested:
        alone = certainty.differences([pair.trials])
        assert pair.low <= alone.low[0] + 1e-9
        assert pair.high >= alone.high[0] - 1e-9


def test_a_learned_map_is_compared_with_the_best_untrained_way(frame, queries):
    learned = frame.copy()
    learned.loc[learned["reducer"] == "pca", "reducer_kind"] = "learned"
    for dim in (4, 8, 16, 32):
        queries = shifted(queries, exact_at(frame, "pca", dim), 0.9)
    (found,) = of_kind(learned, "learned", queries)
    assert found.values["better"][0] == 4
    assert found.values["as_good_as_full"] == 4
    assert "the best untrained way" in found.text


def test_findings_follow_the_numbers(frame, queries):
    bent = shifted(
        shifted(queries, exact_at(frame, "truncate", 8), 0.9), exact_at(frame, "truncate", 16), -0.9
    )
    assert of_kind(frame, "not_monotonic", bent)[0].values["falls"] == [(8, 16)]
    assert not of_kind(frame, "not_monotonic", queries)
    better = shifted(queries, exact_at(frame, "truncate", 16), 0.9)
    full = queries["trial_id"] == exact_at(frame, "truncate", 32)
    better.loc[full, "ndcg_at_10"] *= 0.3
    assert 16 in of_kind(frame, "truncation_improves", better)[0].values["dimensions"]
    assert not of_kind(frame, "truncation_improves", queries)
    assert of_kind(frame, "few_queries", queries)[0].values["queries"] == 40
    assert of_kind(frame.assign(synthetic=True), "synthetic", queries)
    (points,) = of_kind(frame, "against_baseline", queries)
    assert "point estimates" in points.text


def test_random_subsets_are_judged_by_rank_with_a_correction(frame, queries):
    rows = (frame["backend"] == "exact") & (frame["reducer"] == "truncate") & (frame["dim"] < 32)
    frame.loc[rows, ["subsets", "subsets_quality", "subsets_median"]] = [199, 0.5, 0.4]
    p = {4: (0.005, 1.0), 8: (0.03, 0.9), 16: (1.0, 0.005)}
    for dim, values in p.items():
        frame.loc[rows & (frame["dim"] == dim), ["subsets_p_better", "subsets_p_worse"]] = values
    (found,) = of_kind(frame, "against_subsets", queries)
    # Holm: .03 is above .05 / 2.
    assert found.values["better"] == [4]
    assert found.values["not distinguished"] == [8]
    assert found.values["worse"] == [16]


def test_every_finding_is_a_sentence_of_people(frame, queries):
    for finding in findings(frame, queries):
        assert finding.kind.islower()
        assert finding.text.rstrip()[-1] in ".:)" or finding.kind == "failures"


def several(row, clients, qps, p99):
    return {
        **row,
        "clients": clients,
        "qps": qps,
        "latency_ms_p99": p99,
        "trial_id": f"{row['trial_id']}-{clients}",
    }


def test_load_is_a_question_of_its_own(frame, queries):
    one = timed(frame).query("backend == 'faiss-hnsw' and dim == 8").iloc[:2]
    rows = [several(row, n, 1000.0 * n, 1.0 * n) for _, row in one.iterrows() for n in (2, 4)]
    both = pd.concat([frame, pd.DataFrame(rows)], ignore_index=True)
    assert len(timed(both)) == len(timed(frame))
    assert front(both)["trial_id"].tolist() == front(frame)["trial_id"].tolist()
    found = loads(both)
    assert sorted(found["clients"]) == [
        1,
        2,
        4,
    ]  # of the two settings the one that is fast at full quality
    (load,) = of_kind(both, "load", queries)
    assert load.values["qps"] == {1: pytest.approx(one["qps"].max(), rel=1), 2: 2000, 4: 4000}
    assert loads(frame).empty


def test_a_databases_own_rescore_is_compared_with_ours(frame, queries):
    ours = frame[two_stage(frame)]
    own = ours.assign(
        trial_id=ours["trial_id"] + "-own",
        stages=[canonical({**parameters(s), "native": True}) for s in ours["stages"]],
        latency_ms_p50=ours["latency_ms_p50"] / 2,
    )
    (found,) = of_kind(pd.concat([frame, own], ignore_index=True), "native_rescore", queries)
    assert found.values == {"backend": "faiss-flat", "ratio": pytest.approx(2)}
    assert not of_kind(frame, "native_rescore", queries)


def test_two_processes_of_one_index_tell_how_far_times_are_apart(frame, queries):
    (found,) = of_kind(frame, "spread", queries)
    for figure, share in found.values.items():
        assert share == pytest.approx(band(frame, figure).share)
    single = frame.assign(
        process_latency_ms_p50=[None] * len(frame), process_speedup=[None] * len(frame)
    )
    assert not of_kind(single, "spread", queries)


def test_bm25_is_compared_with_the_whole_vectors(frame, queries):
    whole = exact_at(frame, "truncate", 32)
    words = frame[frame["trial_id"] == whole].assign(trial_id="words", backend="bm25", dim=0)
    own = queries[queries["trial_id"] == whole].assign(trial_id="words", ndcg_at_10=1.0)
    weak = queries.assign(ndcg_at_10=queries["ndcg_at_10"].where(queries["trial_id"] != whole, 0.2))
    both = pd.concat([frame, words.assign(ndcg_at_10=1.0)], ignore_index=True)
    (found,) = of_kind(both, "bm25", pd.concat([weak, own]))
    assert found.values["word"] == "better"
    assert "BM25 is better by +0.800" in found.text
    assert not of_kind(frame, "bm25", queries)


def test_holm_rejects_what_statsmodels_rejects():
    rng = np.random.default_rng(2)
    for count in (1, 2, 5, 40):
        for _ in range(10):
            p_values = rng.choice([*rng.random(20) ** 4, 0.005, 0.01, 0.05], count)
            expected = multipletests(p_values, alpha=0.05, method="holm")[0]
            assert holm(p_values, 0.05).tolist() == expected.tolist()
