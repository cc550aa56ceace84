"""What differs between two results folders."""

import io
import json

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.analysis.difference import QUALITY, difference
from bench.errors import UsageError
from bench.report.differing import show_difference


def printed(found, width=100, most=8):
    text = io.StringIO()
    show_difference(found, "a", "b", most, Console(file=text, width=width))
    return text.getvalue()


def of(found, column):
    return next(each for each in found.changes if each.column == column)


def test_a_folder_does_not_differ_from_itself(frame):
    found = difference(frame, frame.sample(frac=1, random_state=0).assign(trial_id="new"))
    assert found.nothing
    assert found.shared == len(frame)
    assert "nothing differs" in printed(found)


def test_trials_of_one_folder_alone_are_named_by_their_configuration(frame):
    i = frame.index[frame["backend"] == "faiss-hnsw"][0]
    found = difference(frame, frame.drop(index=i))
    (name,) = found.only_a
    assert name.startswith("faiss-hnsw ")
    assert found.only_b == ()
    assert not found.nothing
    assert name in printed(found)
    assert difference(frame.drop(index=i), frame).only_b == (name,)


def test_a_change_of_quality_counts_whatever_its_interval_and_the_largest_comes_first(frame):
    other, rows = frame.copy(), frame.index[frame["ndcg_at_10"] > 0.1][:3]
    for i, factor in zip(rows, (1.01, 0.5, 1.1), strict=True):
        other.loc[i, "ndcg_at_10"] *= factor
    found = of(difference(frame, other), "ndcg_at_10")
    assert [c.b.value / c.a.value for c in found.changed] == pytest.approx([0.5, 1.1, 1.01])
    assert found.changed[0].a.low == frame.loc[rows[1], "ndcg_at_10_low"]
    assert found.same == found.both - 3
    text = printed(difference(frame, other), most=2)
    assert text.index("-50.0%") < text.index("+10.0%")
    assert "+1.0%" not in text
    assert "… 1 more" in text


def test_a_time_differs_only_beyond_its_interval(frame):
    other, i = frame.copy(), frame.index[frame["latency_ms_p50"].notna()][0]
    names = ("latency_ms_p50", "latency_ms_p50_low", "latency_ms_p50_high")
    low, high = (frame.loc[i, f"latency_ms_p50_{side}"] for side in ("low", "high"))
    other.loc[i, "latency_ms_p50"] = (low + high) / 2 * 1.0001
    assert of(difference(frame, other), "latency_ms_p50").changed == ()
    for name in names:
        other.loc[i, name] = frame.loc[i, name] * 50
    (change,) = of(difference(frame, other), "latency_ms_p50").changed
    assert change.b.value == pytest.approx(50 * change.a.value)
    assert "50.0×" in printed(difference(frame, other))


def test_the_build_of_an_index_counts_once_however_many_trials_share_it(frame):
    other = frame.assign(build_seconds=frame["build_seconds"] * 3)
    found = of(difference(frame, other), "build_seconds")
    assert found.both == len(found.changed) == frame["build_seconds"].nunique()
    assert found.both < frame["build_seconds"].notna().sum()
    assert "noise included" in printed(difference(frame, other))


def test_of_two_machines_only_quality_is_compared_unless_asked(frame):
    other = frame.assign(
        machine="another", **{c: frame[c] * 9 for c in frame if c.startswith("latency_ms_p50")}
    )
    found = difference(frame, other)
    assert {each.column for each in found.changes} <= {"ndcg_at_10", "fidelity_at_10"}
    assert found.machines == (frame["machine"].iloc[-1], "another")
    assert "two machines" in printed(found)
    assert of(difference(frame, other, times=True), "latency_ms_p50").changed


def test_versions_statuses_and_other_data_are_said(frame):
    versions = json.loads(frame["library_versions"].iloc[0])
    name = next(iter(versions))
    other = frame.copy()
    other["library_versions"] = [
        json.dumps(json.loads(text) | {name: "0.0.1"}) for text in other["library_versions"]
    ]
    i = frame.index[frame["backend"] == "faiss-hnsw"][0]
    other.loc[i, ["status", "error"]] = ["crashed", "ended"]
    found = difference(frame, other)
    assert found.versions[name][1] == "0.0.1"
    assert f"{name} {versions[name]} → 0.0.1" in " ".join(printed(found).split())
    assert len(found.ended) == 1
    assert found.ended[0].endswith("ok → crashed")

    texts = difference(frame, other.assign(dataset_fingerprint="x", ndcg_at_10=0.0))
    assert "other texts" in texts.other_data[frame["dataset"].iloc[0]]
    assert texts.changes == ()
    fewer = difference(frame, other.assign(n_queries=7, ndcg_at_10=0.0))
    assert "and 7 in B, so quality is not compared" in " ".join(printed(fewer).split())
    assert fewer.changes
    assert {each.column for each in fewer.changes}.isdisjoint(QUALITY)
    with pytest.raises(UsageError, match="no dataset in common"):
        difference(frame, frame.assign(dataset="x"))


@pytest.mark.parametrize("width", [80, 140])
def test_no_line_is_wider_than_the_terminal(frame, width):
    rng = np.random.default_rng(0)
    noise = {
        c: frame[c] * rng.uniform(2, 9, len(frame))
        for c in ("ndcg_at_10", "build_seconds", "bytes_per_vector", "latency_ms_p95")
    }
    text = printed(difference(frame, frame.assign(**noise).iloc[3:]), width)
    assert max(map(cell_len, text.splitlines())) <= width
    assert "build seconds" in text
    # The intervals of A and of B go together.
    assert ("A [95 %]" in text) == ("B [95 %]" in text)
