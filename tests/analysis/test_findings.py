"""What the numbers say, as data."""

import pandas as pd
import pytest

from bench.analysis.findings import findings
from bench.analysis.tables import (
    front,
)
from bench.results.rows import (
    loads,
    timed,
    two_stage,
)
from bench.study.plan import canonical, parameters


def of_kind(frame, kind):
    return [finding for finding in findings(frame) if finding.kind == kind]


def exact_with(frame, reducer, values):
    rows = (frame["backend"] == "exact") & (frame["reducer"] == reducer)
    for dim, value in values.items():
        frame.loc[
            rows & (frame["dim"] == dim), ["ndcg_at_10", "ndcg_at_10_low", "ndcg_at_10_high"]
        ] = (
            value,
            value - 0.01,
            value + 0.01,
        )
    return frame


def test_findings_follow_the_numbers(frame):
    below = {4: 0.1, 8: 0.2, 16: 0.3}
    exact_with(frame, "random_subset", below)
    trained = exact_with(frame.copy(), "truncate", {d: v + 0.1 for d, v in below.items()})
    (found,) = of_kind(trained, "against_baseline")
    assert found.values["not_better"] == []
    assert found.values["gain"] == pytest.approx({4: 1.0, 8: 0.5, 16: 1 / 3})
    untrained = exact_with(frame.copy(), "truncate", below)
    assert of_kind(untrained, "against_baseline")[0].values["not_better"] == [4, 8, 16]
    bent = exact_with(frame.copy(), "truncate", {4: 0.1, 8: 0.4, 16: 0.2})
    assert of_kind(bent, "not_monotonic")[0].values["falls"] == [(8, 16)]
    assert not of_kind(trained, "not_monotonic")
    better = frame.copy()
    rows = (better["backend"] == "exact") & (better["dim"] == 16)
    better.loc[rows, "retained_ndcg_at_10_low"] = 1.01
    assert of_kind(better, "truncation_improves")[0].values["dimensions"] == [16]
    assert of_kind(frame, "few_queries")[0].values["queries"] == 40
    assert of_kind(frame.assign(synthetic=True), "synthetic")
    learned = exact_with(frame.copy(), "pca", {4: 1.5, 8: 1.5, 16: 1.5})
    learned.loc[learned["reducer"] == "pca", "reducer_kind"] = "learned"
    assert of_kind(learned, "learned")[0].values["as_good_as_full"] == 4


def test_every_finding_is_a_sentence_of_people(frame):
    for finding in findings(frame):
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


def test_load_is_a_question_of_its_own(frame):
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
    (load,) = of_kind(both, "load")
    assert load.values["qps"] == {1: pytest.approx(one["qps"].max(), rel=1), 2: 2000, 4: 4000}
    assert loads(frame).empty


def test_a_databases_own_rescore_is_compared_with_ours(frame):
    ours = frame[two_stage(frame)]
    own = ours.assign(
        trial_id=ours["trial_id"] + "-own",
        stages=[canonical({**parameters(s), "native": True}) for s in ours["stages"]],
        latency_ms_p50=ours["latency_ms_p50"] / 2,
    )
    (found,) = of_kind(pd.concat([frame, own], ignore_index=True), "native_rescore")
    assert found.values == {"backend": "faiss-flat", "ratio": pytest.approx(2)}
    assert not of_kind(frame, "native_rescore")
