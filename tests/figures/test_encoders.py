"""Encoders at equal bytes and at equal time: the figure and the table, against brute force."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.encoders import budgets, in_figures
from bench.analysis.summary import summarise
from bench.errors import NothingToShow
from bench.figures import draw_all, figures
from tests.figures.test_figures import shown

ONE, TWO = "st:a/one", "st:a/one+query=st:b/two+layers=3"


@pytest.fixture
def two(frame):
    """The measured trials as those of two encoders; the second finds less, and is faster."""
    worse = frame.assign(
        trial_id=frame["trial_id"] + "w",
        encoder=TWO,
        encode_ms_p50=0.5,
        encode_documents_per_second=np.where(frame["backend"] == "exact", np.nan, 200.0),
        **{name: 0.9 * frame[name] for name in ("ndcg_at_10", "ndcg_at_10_low", "ndcg_at_10_high")},
        loss_search=0.9 * frame["loss_search"],
    )
    better = frame.assign(encoder=ONE, encode_ms_p50=4.0, encode_documents_per_second=50.0)
    return pd.concat([better, worse], ignore_index=True)


def best(frame, encoder, most):
    """Return the best quality within a number of bytes, of exact rows and of exhaustive indexes."""
    rows = frame[(frame["encoder"] == encoder) & (frame["backend"] != "faiss-hnsw")]
    rows = rows[(rows["stages"] == "") & rows["component_bits"].notna()]
    rows = rows[(rows["backend"] == "exact") | (rows["component_bits"] < 32)]
    within = rows[rows["dim"] * rows["component_bits"] / 8 <= most]
    return (within["ndcg_at_10"] + within["loss_search"].fillna(0)).max()


def test_the_steps_are_the_best_within_their_bytes(two):
    axes = figures()["encoders"].draw(two).axes[0]
    handles, names = axes.get_legend_handles_labels()
    assert names == ["one", "one; queries: two, 3 layers"]
    colours = {
        handle.get_color(): encoder for handle, encoder in zip(handles, (ONE, TWO), strict=True)
    }
    points = [
        line for line in axes.lines if len(line.get_xdata()) and line.get_linestyle() == "None"
    ]
    assert len(points) == 2
    for line in points:
        encoder, sizes = colours[line.get_color()], line.get_xdata()
        assert list(sizes) == sorted(sizes)
        for size, quality in zip(sizes, line.get_ydata(), strict=True):
            assert quality == pytest.approx(best(two, encoder, size))
        assert line.get_ydata()[-1] == pytest.approx(best(two, encoder, np.inf))


def test_the_points_of_time_are_those_at_the_two_budgets(two):
    _, queries, documents = shown(figures()["encoders"].draw(two))
    assert (queries.get_title(), documents.get_title()) == tuple(
        axes.get_title() for axes in (documents, queries)
    )
    assert "within 128 B and 8 B" in queries.get_title()
    for axes, times in ((queries, (4.0, 0.5)), (documents, (50.0, 200.0))):
        drawn = [
            (line.get_fillstyle(), line.get_xdata()[0], line.get_ydata()[0])
            for line in axes.lines
            if len(line.get_xdata()) == 1
        ]
        expected = [
            (fill, at, best(two, encoder, most))
            for encoder, at in zip((ONE, TWO), times, strict=True)
            for fill, most in (("full", 128), ("none", 8))
        ]
        assert [each[:2] for each in drawn] == [each[:2] for each in expected]
        assert [each[2] for each in drawn] == pytest.approx([each[2] for each in expected])


def test_the_table_has_the_same_figures(two, measured):
    (table,) = in_figures(two).values()
    assert list(table.index) == ["one", "one; queries: two, 3 layers"]
    assert list(table.columns[-2:]) == ["ms a query", "documents/s"]
    assert list(table["ms a query"]) == ["4", "0.5"]
    assert list(table["documents/s"]) == ["50", "200"]
    assert table.columns[-3] == "128 B"
    for column in table.columns[:-2]:
        most = int(column.removesuffix(" B"))
        assert list(table[column]) == [f"{best(two, each, most):.3f}" for each in (ONE, TWO)]
    assert not summarise(measured).side_by_side(), "one encoder has none beside it"


def test_no_budget_is_too_small_for_an_encoder_or_without_effect(two):
    found = budgets(two)
    assert found[-1] == 128, "the bytes of 32 components of float32"
    wide = two.copy()
    wide.loc[wide["encoder"] == TWO, ["dim", "code_bytes"]] *= 8
    assert (found[0], budgets(wide)[0]) == (2, 8), "a byte is the least of one, eight of the other"
    assert budgets(wide)[-1] == 128


def test_encoders_are_compared_on_judged_datasets_of_several(frame, two):
    unjudged = two.assign(ndcg_at_10=np.nan)
    untimed = two[two["backend"] == "exact"]
    for case in (frame, two[two["encoder"] == ONE], unjudged):
        with pytest.raises(NothingToShow):
            figures()["encoders"].draw(case)
    assert len(figures()["encoders"].draw(untimed).axes) == 1
    assert "encoders" in draw_all(two)


@pytest.mark.parametrize(("name", "which"), [("encoders", 3), ("quality_vs_bytes", 2)])
def test_an_encoder_has_one_look_in_every_dataset(two, name, which):
    other = two[::-1].assign(dataset="other", trial_id=two["trial_id"] + "o")
    axes = figures()[name].draw(pd.concat([two, other])).axes
    first, second = (
        {
            label: (handle.get_color(), handle.get_linestyle())
            for handle, label in zip(*axes[at].get_legend_handles_labels(), strict=True)
        }
        for at in (0, which)
    )
    assert list(first) != list(second)
    assert first == second
