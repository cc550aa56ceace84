"""The regression gate over two results folders."""

import pytest

from bench import compare
from bench.errors import UsageError

SPEEDUP = ("speedup_vs_exact", "speedup_vs_exact_low", "speedup_vs_exact_high")


def test_the_same_results_are_no_regression(frame):
    found = compare(frame, frame)
    assert found.ok
    assert found.verdict in ("same", "cannot tell")
    assert found.of("regressed") == found.of("improved") == []
    assert found.compared == len(frame)
    assert found.pairs == 0


def test_lost_quality_is_a_regression_of_its_configuration(frame):
    head = frame.copy()
    i = head.index[head["backend"] == "faiss-hnsw"][0]
    head.loc[i, "ndcg_at_10"] -= 1e-4
    (finding,) = compare(frame, head).of("regressed")
    assert (finding.figure, finding.backend) == ("ndcg_at_10", "faiss-hnsw")
    assert finding.subject.startswith("faiss-hnsw ")
    assert finding.change == pytest.approx(-1e-4)
    assert len(compare(head, frame).of("improved")) == 1
    assert compare(frame, head.assign(machine="another")).ok, (
        "another processor may round a graph's edge otherwise"
    )


def test_lost_speed_is_a_regression_by_the_ratio_to_exact_search(frame):
    head, own = frame.copy(), frame["backend"] == "faiss-hnsw"
    for column in SPEEDUP:
        head.loc[own, column] /= 20
    worse = compare(frame, head).of("regressed")
    assert {finding.figure for finding in worse} == {"speedup_vs_exact"}
    (backend,) = (finding for finding in worse if not finding.backend)
    assert backend.subject == "faiss-hnsw"
    assert backend.change == pytest.approx(1 / 20 - 1)
    assert {finding.backend for finding in worse} == {"", "faiss-hnsw"}
    better = compare(head, frame).of("improved")
    assert "faiss-hnsw" in {finding.subject for finding in better}


def test_a_lost_trial_is_a_regression_and_a_new_one_is_none(frame):
    i = frame.index[frame["backend"] == "faiss-hnsw"][0]
    gone = compare(frame, frame.drop(index=i))
    assert [(each.base, each.head) for each in gone.ended] == [("ok", "absent")]
    assert gone.verdict == "regressed"
    new = compare(frame.drop(index=i), frame)
    assert [(each.base, each.head) for each in new.ended] == [("absent", "ok")]
    assert new.ok
    failed = frame.copy()
    failed.loc[i, ["status", "error"]] = ["crashed", "ended"]
    (ended,) = compare(frame, failed).ended
    assert ended.text.endswith("ok → crashed: ended")
    assert not compare(frame, failed).ok


def test_a_figure_that_the_head_lacks_is_a_regression(frame):
    head = frame.copy()
    i = head.index[head["ndcg_at_10"].notna()][0]
    head.loc[i, "ndcg_at_10"] = None
    found = compare(frame, head)
    (finding,) = found.of("regressed")
    assert "no such figure" in finding.detail
    assert found.largest[0] == finding
    assert found.record()["findings"][found.findings.index(finding)]["change"] is None


def test_other_texts_are_not_compared(frame):
    with pytest.raises(UsageError, match="not the same in both"):
        compare(frame, frame.assign(dataset_fingerprint="other"))
    with pytest.raises(UsageError, match="no configuration in common"):
        compare(frame, frame.assign(dataset="other"))
