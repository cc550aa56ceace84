"""The regression gate."""

import pytest

from bench import compare
from bench.errors import UsageError


def test_the_same_results_are_no_regression(frame):
    found = compare(frame, frame)
    assert found.ok
    assert found.compared == len(frame)


def test_lost_quality_speed_and_trials_are_regressions(frame):
    head = frame.copy()
    i = head.index[head["backend"] == "faiss-hnsw"][0]
    head.loc[i, "ndcg_at_10"] -= 1e-4
    assert len(compare(frame, head).regressions) == 1
    assert compare(frame, head.assign(machine="another")).ok, (
        "another processor may round a graph's edge otherwise"
    )
    head = frame.copy()
    for column in ("speedup_vs_exact", "speedup_vs_exact_low", "speedup_vs_exact_high"):
        head.loc[i, column] /= 20
    (change,) = compare(frame, head).regressions
    assert change.column == "speedup_vs_exact"
    assert change.before == pytest.approx(20 * change.after)
    assert len(compare(head, frame).improvements) == 1
    gone = compare(frame, frame.drop(index=i))
    assert len(gone.missing) == 1
    assert not gone.ok
    failed = frame.copy()
    failed.loc[i, "status"] = "crashed"
    assert not compare(frame, failed).ok


def test_other_texts_are_not_compared(frame):
    with pytest.raises(UsageError, match="not the same in both"):
        compare(frame, frame.assign(dataset_fingerprint="other"))
    with pytest.raises(UsageError, match="no configuration in common"):
        compare(frame, frame.assign(dataset="other"))
