"""Ranks, budgets, equal bytes and corpora measured in parts, against numbers computed by hand."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.tables import stored
from bench.errors import NothingToShow
from bench.figures import draw_all, figures, ranks
from bench.figures.front_per_budget import best_within, budgets
from bench.figures.precision_heatmap import best_within_bytes
from bench.figures.rank_shift import CLASSES
from bench.projection import project_folder
from bench.results.rows import exact_rows, plain, quality_of, timed

RANKS = {
    32: [1, 1, 2, 12, 200],
    16: [1, 2, 2, 9, 300],
    8: [1, 5, 40, 12, 90],
    4: [2, 50, 500, 12, 200],
}
"""The best rank of five queries at each dimension."""


def queries_of(frame):
    rows = plain(exact_rows(frame)).drop_duplicates("dim", keep="last").set_index("dim")
    found = [
        {"trial_id": rows.loc[dim, "trial_id"], "query_id": f"q{i}", "first_relevant_rank": rank}
        for dim, own in RANKS.items()
        for i, rank in enumerate(own)
    ]
    return pd.DataFrame(found)


def heights(axes):
    """Return the heights of each labelled set of bars, from left to right."""
    return {each.get_label(): [bar.get_height() for bar in each] for each in axes.containers}


def test_the_shares_of_ranks_and_of_moves_are_those_counted_by_hand(frame):
    figure = figures()["rank_shift"].draw(frame, queries_of(frame))
    classes, moves = figure.axes
    assert [text.get_text() for text in classes.get_xticklabels()] == ["4", "8", "16", "32"]
    by_class = heights(classes)
    assert by_class["rank 1"] == pytest.approx([0, 0.2, 0.2, 0.4])
    assert by_class["2–3"] == pytest.approx([0.2, 0, 0.4, 0.2])
    assert by_class["4–10"] == pytest.approx([0, 0.2, 0.2, 0])
    assert by_class["11–100"] == pytest.approx([0.4, 0.6, 0, 0.2])
    assert by_class["beyond 100"] == pytest.approx([0.4, 0, 0.2, 0.2])
    np.testing.assert_allclose(sum(np.array(by_class[name]) for name in CLASSES), 1)
    moved = heights(moves)
    assert moved["moved up"] == pytest.approx([0, 0.2, 0.2, 0])
    assert moved["into the first ten"] == pytest.approx([0, 0, 0.2, 0])
    assert moved["moved down"] == pytest.approx([-0.6, -0.4, -0.4, 0])
    assert moved["out of the first ten"] == pytest.approx([-0.4, -0.2, 0, 0])


def test_the_ranks_measured_are_those_of_the_queries_table(frame, measured):
    queries = ranks(measured, frame)
    figure = figures()["rank_shift"].draw(frame, queries)
    rows = plain(exact_rows(frame)).set_index("dim")["trial_id"]
    first = queries[queries["trial_id"] == rows[4]]["first_relevant_rank"]
    assert heights(figure.axes[0])["rank 1"][0] == pytest.approx((first == 1).mean())
    assert "rank_shift" in draw_all(frame, queries=queries)
    assert "rank_shift" not in draw_all(frame)


def test_without_ranks_or_a_second_dimension_no_shift_is_shown(frame):
    queries = queries_of(frame)
    for case in (
        queries.assign(first_relevant_rank=np.nan),
        queries.iloc[:0],
        queries[queries["trial_id"] == queries["trial_id"].iloc[0]],
    ):
        with pytest.raises(NothingToShow):
            figures()["rank_shift"].draw(frame, case)


def test_the_best_quality_within_a_budget_is_that_of_a_search_of_all_rows(frame):
    rows = timed(frame)
    column = quality_of(frame).column
    limits = budgets(rows)
    assert limits == sorted(limits)
    (axes,) = figures()["front_per_budget"].draw(frame).axes
    lines = {line.get_label(): line for line in axes.lines}
    for limit in limits:
        steps = best_within(rows, limit)
        line = lines[f"p95 ≤ {limit:g} ms"]
        np.testing.assert_array_equal(line.get_ydata()[:-1], steps[column])
        for size in rows["bytes_per_vector"].unique():
            allowed = rows[(rows["bytes_per_vector"] <= size) & (rows["latency_ms_p95"] <= limit)]
            reached = steps[steps["bytes_per_vector"] <= size][column]
            assert reached.max() == pytest.approx(allowed[column].max(), nan_ok=True)
    assert rows["latency_ms_p95"].min() <= limits[0]
    best = best_within(rows, limits[-1])[column].max()
    assert best >= rows[column].max() * 0.98
    with pytest.raises(NothingToShow):
        figures()["front_per_budget"].draw(frame.assign(bytes_per_vector=np.nan))


def test_a_frame_marks_the_best_cell_of_a_budget_and_lines_join_equal_bytes(frame):
    table = stored(frame).query("variant == 'truncate'").reset_index(drop=True)
    best = set(best_within_bytes(table))
    for i, cell in table.iterrows():
        rivals = table[(table["bytes"] <= cell["bytes"]) & (table.index != i)]
        beaten = (rivals["retained"] > cell["retained"]) | (
            (rivals["retained"] == cell["retained"])
            & ((rivals["bytes"] < cell["bytes"]) | (rivals.index < i))
        )
        assert (i in best) == (not beaten.any())
    axes = figures()["precision_heatmap"].draw(frame).axes[0]
    assert len(axes.patches) == len(best)
    joined = sorted(len(line.get_xdata()) for line in axes.lines)
    assert joined == sorted(table.groupby("bytes").size())


def test_parts_of_a_corpus_are_rings_at_what_was_measured(frame, measured):
    exact = exact_rows(frame)
    part = exact.assign(
        dataset=exact["dataset"] + "@200",
        n_corpus=200,
        trial_id=exact["trial_id"] + "-200",
        ndcg_at_10=0.5,
        retained_ndcg_at_10=np.where(exact["dim"] >= 16, 0.99, 0.5),
    )
    grown = pd.concat([frame, part], ignore_index=True)
    drawn = draw_all(grown, projected=project_folder(measured, grown))
    rings = [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in drawn["quality_vs_documents"].axes[0].lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    ]
    assert rings == [([200], [0.5])] * 4
    (axes,) = drawn["dimension_vs_documents"].axes
    needed = 8 * 2 ** (0.48 / 0.49)
    rings = [
        float(line.get_ydata()[0])
        for line in axes.lines
        if line.get_linestyle() == "None" and len(line.get_xdata())
    ]
    assert rings
    assert rings == pytest.approx([needed] * len(rings))
