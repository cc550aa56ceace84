"""Views of a table of trials."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.findings import findings
from bench.analysis.labels import label, variant
from bench.analysis.summary import summary_of
from bench.analysis.tables import (
    curves,
    dimension_table,
    front,
    savings,
    stored,
    truncation,
)
from bench.figures import draw_all
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
from bench.results.store import load_queries
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


def test_dimension_table_has_truncation_first_and_the_range_over_seeds(frame):
    table = dimension_table(frame)
    assert list(table["kind"].unique()) == ["prefix", "baseline", "rotation"]
    own = truncation(table)
    assert list(own.index) == [4, 8, 16, 32]
    subsets = exact_rows(frame).query("reducer == 'random_subset' and dim == 8")["ndcg_at_10"]
    (controls,) = curves(table, "baseline").values()
    assert controls.loc[8, "seeds"] == len(subsets) == 5
    assert controls.loc[8, "low"] == subsets.min()
    assert controls.loc[8, "high"] == subsets.max()
    assert controls.loc[8, "quality"] == pytest.approx(subsets.mean())
    assert table[table["dim"] == 32]["quality"].nunique() == 1
    assert own.loc[32, "retained"] == pytest.approx(1)


@pytest.mark.parametrize(
    "name", ["truncated_svd", "subset_best", "retained_energy", "bytes", "dim"]
)
def test_a_reducer_of_any_name_is_in_every_table_figure_and_finding(frame, name):
    other = exact_rows(frame).query("reducer == 'pca'")
    other = other.assign(reducer=name, reducer_params="", reducer_kind="rotation", ndcg_at_10=0.5)
    both = pd.concat([frame, other], ignore_index=True)
    assert set(curves(dimension_table(both))) == {"random_subset", "pca", name}
    assert name in {f.values["variant"] for f in of_kind(both, "against_rotation")}
    words = name.replace("_", " ")
    assert any(words in table.headings for table in section(both).tables())
    axes = draw_all(both)["quality_vs_dimension"].axes[0]
    assert words in axes.get_legend_handles_labels()[1]
    own = truncation(dimension_table(both))
    assert own["bytes"].tolist() == [16, 32, 64, 128]


def of_kind(frame, kind):
    return [finding for finding in findings(frame) if finding.kind == kind]


def section(frame):
    (found,) = summary_of(frame, load_queries("nowhere")).sections
    return found


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
    frame.loc[frame.index[-1], ["status", "error", "latency_ms_p50"]] = [
        "crashed",
        "ended by [SIGABRT]",
        None,
    ]
    text = io.StringIO()
    found = summary_of(frame, load_queries("nowhere"), other_machines=["another machine"])
    show(found, Console(file=text, width=120))
    printed = text.getvalue()
    for dim, row in truncation(dimension_table(frame)).iterrows():
        assert f"{dim}" in printed
        assert f"{row['quality']:.3f}" in printed
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
    # An exhaustive index misses nothing: the loss is only of dimension and precision.
    assert measured["loss_search"] == pytest.approx(0, abs=1e-12)
    assert measured["loss_precision"] == pytest.approx(
        plain.loc["float32", "quality"] - plain.loc["int8", "quality"], abs=1e-12
    )
    assert plain["retained"]["float32"] == pytest.approx(
        truncation(dimension_table(frame)).loc[8, "retained"]
    )


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
