"""What is read off a table of trials."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.findings import findings
from bench.analysis.labels import label, variant
from bench.analysis.tables import dimension_table, front, savings, stored
from bench.report.terminal import as_records, show
from bench.results.rows import (
    FIDELITY,
    NDCG,
    exact_rows,
    loads,
    pareto,
    quality_of,
    timed,
    two_stage,
)
from bench.study.plan import canonical, parameters


def test_pareto_is_its_definition():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 6, (60, 3)).astype(float), columns=["good", "slow", "big"])
    frame.loc[5, "good"] = np.nan
    found = pareto(frame, ["good"], ["slow", "big"])
    for i, row in frame.iterrows():
        others = frame.drop(index=i).dropna()
        no_worse = (
            (others["good"] >= row["good"])
            & (others["slow"] <= row["slow"])
            & (others["big"] <= row["big"])
        )
        copies = (others == row).all(axis=1)
        earlier_copy = (others.index[copies] < i).any()
        assert found[i] == (
            not row.isna().any() and not (no_worse & ~copies).any() and not earlier_copy
        )


def test_quality_is_fidelity_where_nothing_is_judged(frame):
    assert quality_of(frame) == NDCG
    assert quality_of(frame.assign(ndcg_at_10=np.nan)) == FIDELITY


def test_dimension_table_has_band_and_baselines(frame):
    table = dimension_table(frame)
    assert list(table.index) == [4, 8, 16, 32]
    subsets = exact_rows(frame).query("reducer == 'random_subset' and dim == 8")["ndcg_at_10"]
    assert len(subsets) == 5
    assert table.loc[8, "subset_low"] == subsets.min()
    assert table.loc[8, "subset_high"] == subsets.max()
    assert table.loc[32, ["truncate", "subset", "pca"]].nunique() == 1
    assert table.loc[32, "retained"] == pytest.approx(1)


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
    assert any("beats every random subset" in line for line in findings(trained))
    untrained = exact_with(frame.copy(), "truncate", below)
    assert any("do not look Matryoshka-trained" in line for line in findings(untrained))
    bent = exact_with(frame.copy(), "truncate", {4: 0.1, 8: 0.4, 16: 0.2})
    assert any("not monotonic" in line and "8 → 16 d" in line for line in findings(bent))
    assert not any("not monotonic" in line for line in findings(trained))
    better = frame.copy()
    better.loc[
        (better["backend"] == "exact") & (better["dim"] == 16), "retained_ndcg_at_10_low"
    ] = 1.01
    assert any("*improves*" in line for line in findings(better))
    assert any("Only 40 queries" in line for line in findings(frame))
    assert any(
        "for speed and scale only" in line for line in findings(frame.assign(synthetic=True))
    )


def test_front_and_labels(frame):
    best = front(frame)
    assert best["latency_ms_p50"].is_monotonic_increasing
    assert label(frame[frame["stages"] != ""].iloc[0]) == "faiss-flat 8 d, rescore 30"
    assert {
        label(row) for _, row in frame.query("backend == 'faiss-hnsw' and dim == 8").iterrows()
    } == {
        "faiss-hnsw 8 d, M=8, ef=10",
        "faiss-hnsw 8 d, M=8, ef=40",
    }


def test_show_prints_the_numbers_and_what_was_left_out(frame):
    frame.attrs["other_machines"] = ["another machine"]
    frame.loc[frame.index[-1], ["status", "error", "latency_ms_p50"]] = [
        "crashed",
        "ended by [SIGABRT]",
        None,
    ]
    text = io.StringIO()
    show(frame, Console(file=text, width=120))
    printed = text.getvalue()
    for dim, row in dimension_table(frame).iterrows():
        assert f"{dim}" in printed
        assert f"{row['truncate']:.3f}" in printed
    assert "ended by [SIGABRT]" in printed
    assert "another machine" in printed
    assert len(as_records(frame)) == len(frame)


def test_what_is_stored_at_lower_precision_is_told_apart_from_what_the_index_misses(frame):
    table = stored(frame)
    plain = table.query("variant == 'truncate' and dim == 8").set_index("precision")
    assert plain.loc["int8", "bytes"] == 8
    assert plain.loc["binary", "bytes"] == 1
    measured = frame.query("backend == 'faiss-flat' and dim == 8 and precision == 'int8'").iloc[0]
    assert plain.loc["int8", "quality"] == pytest.approx(
        measured["ndcg_at_10"] + measured["loss_search"]
    )
    # An exhaustive index of that precision misses nothing: all that is lost is the dimension's and the precision's.
    assert measured["loss_search"] == pytest.approx(0, abs=1e-12)
    assert measured["loss_precision"] == pytest.approx(
        plain.loc["float32", "quality"] - plain.loc["int8", "quality"], abs=1e-12
    )
    assert plain["retained"]["float32"] == pytest.approx(dimension_table(frame).loc[8, "retained"])


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
    assert any(
        "2 clients 2,000 a second, p99 2 ms; 4 clients 4,000 a second" in line
        for line in findings(both)
    )
    assert loads(frame).empty


def test_a_databases_own_rescore_is_compared_with_ours(frame):
    ours = frame[two_stage(frame)]
    own = ours.assign(
        trial_id=ours["trial_id"] + "-own",
        stages=[canonical({**parameters(s), "native": True}) for s in ours["stages"]],
        latency_ms_p50=ours["latency_ms_p50"] / 2,
    )
    told = findings(pd.concat([frame, own], ignore_index=True))
    assert any("its own rescore is 2× faster than one beside it" in line for line in told)
    assert not any("its own rescore" in line for line in findings(frame))


def test_savings_compare_the_fastest_of_each_kind_at_equal_quality(frame):
    two = frame["stages"] != ""
    flat = frame[frame["backend"] == "faiss-flat"]
    frame.loc[flat.index, "retained_ndcg_at_10"] = 0.97
    frame.loc[flat.index, "latency_ms_p50"] = 0.8
    frame.loc[flat.index[~two[flat.index]][0], "latency_ms_p50"] = 0.4
    frame.loc[frame.index[two], "latency_ms_p50"] = 0.1
    table = savings(frame)
    assert list(table["level"]) == [0.9, 0.95]
    assert (table["single_ms"] == 0.4).all()
    assert table["saving"].tolist() == pytest.approx([0.75, 0.75])


def test_choices_of_a_reducer_are_lines_of_their_own():
    assert variant("pca", '{"center": false, "whiten": false}') == "pca"
    assert variant("pca", '{"center": false, "whiten": true}') == "pca whiten"
    assert variant("random_subset", '{"seed": 3}') == "random_subset"
    assert variant("adaptor", '{"path": "some/where/mine"}') == "adaptor mine"
