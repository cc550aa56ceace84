"""Projections to corpora of other sizes: from made-up ranks of known law, and from a real folder."""

import math

import numpy as np
import pandas as pd
import pytest

from bench.errors import UsageError
from bench.projection import COLUMNS, dimension_needed, project, project_folder
from bench.projection.folders import shown, sizes
from bench.projection.reading import judged
from bench.projection.score_model import grown
from bench.results.rows import exact_rows
from bench.results.store import load, load_queries
from tests.experiments.projection import means, tables, world

N, DIMS = 10_000, [32, 128, 256]


def made_up(law="normal scores", queries=400, n=N, seed=0):
    rng = np.random.default_rng(seed)
    chances = np.exp(world(law, rng, queries))
    return 1 + rng.binomial(n - 1, chances), chances


def of(found, dim, documents):
    rows = found[(found["dim"] == dim) & (found["documents"] == documents)]
    assert len(rows) == 1
    return rows.iloc[0]


@pytest.fixture(scope="module")
def projected():
    ranks, _ = made_up()
    return project(*tables(ranks, N, DIMS), [100, 1_000, N, 100_000, 1_000_000, 1_000_001])


def test_a_row_per_dimension_and_size_with_the_columns_that_are_promised(projected):
    assert tuple(projected.columns) == COLUMNS
    assert len(projected) == 3 * 6
    assert (projected["times_beyond"] == projected["documents"] / N).all()


def test_at_the_size_measured_and_below_nothing_is_modelled(projected):
    ranks, _ = made_up()
    expected = means(ranks, N, [100, 1_000, N])
    for row, dim in zip(expected, DIMS, strict=True):
        for value, n in zip(row, (100, 1_000, N), strict=True):
            found = of(projected, dim, n)
            assert found["quality"] == pytest.approx(value)
            assert found["quality_low"] <= value <= found["quality_high"]
            assert (found["refused"], found["caution"]) == ("", "")
    assert expected[0, 2] == pytest.approx(
        np.where(ranks[0] <= 10, 1 / np.log2(ranks[0] + 1), 0).mean()
    )


def test_the_full_dimension_keeps_all_and_bounds_widen_beyond_the_corpus(projected):
    full = projected[projected["dim"] == 256].dropna(subset="kept")
    assert (full[["kept", "kept_low", "kept_high"]] == 1).all(axis=None)
    widths = [
        of(projected, 32, n)["kept_high"] - of(projected, 32, n)["kept_low"]
        for n in (N, 100_000, 1_000_000)
    ]
    assert widths == sorted(widths)
    assert "100 times the 10,000 documents" in of(projected, 32, 1_000_000)["caution"]


def test_more_than_two_decades_beyond_is_refused(projected):
    row = of(projected, 32, 1_000_001)
    assert "beyond 100 times" in row["refused"]
    assert math.isnan(row["quality"])
    assert math.isnan(row["kept"])


def test_few_queries_and_small_corpora_are_refused_beyond_but_not_below():
    for queries, n, why in ((40, N, "40 queries are too few"), (400, 900, "900 documents")):
        ranks, _ = made_up(queries=queries, n=n)
        found = project(*tables(ranks, n, DIMS), [100, 3 * n])
        assert (found.loc[found["documents"] == 100, "refused"] == "").all()
        assert found.loc[found["documents"] > n, "refused"].str.contains(why).all()


@pytest.mark.parametrize("times", [10, 100])
def test_a_law_that_the_model_nearly_knows_is_found(times):
    ranks, chances = made_up(queries=4_000)
    rng = np.random.default_rng(9)
    above = ranks - 1 + rng.binomial(N * (times - 1), chances)
    truth = np.where(above < 10, 1 / np.log2(np.minimum(above, 9) + 2), 0).mean(axis=1)
    found = project(*tables(ranks, N, DIMS), [times * N])
    for dim, value in zip(DIMS, truth, strict=True):
        row = of(found, dim, times * N)
        assert row["quality"] == pytest.approx(value, abs=0.015)
        assert row["quality_low"] < value < row["quality_high"]
        assert row["kept_low"] < value / truth[-1] < row["kept_high"] or dim == 256


def test_resampling_the_values_of_the_model_resamples_its_fit():
    """The spread over new samples of queries is that of the values over the root of their number."""
    law = world("normal scores", np.random.default_rng(4), 20_000)
    rng, found, said = np.random.default_rng(5), [], []
    for _ in range(40):
        chosen = rng.choice(law.shape[1], 400, replace=False)
        ranks = 1 + rng.binomial(N - 1, np.exp(law[:, chosen]))
        frame, queries = tables(ranks, N, DIMS)
        values = grown(judged(frame, queries).ranks, "ndcg_at_10", [10 * N]).values[:, 0]
        found.append(values.mean(axis=1))
        said.append(values.std(axis=1) / math.sqrt(400))
    ratio = np.std(found, axis=0, ddof=1) / np.mean(said, axis=0)
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_what_a_tenth_of_the_corpus_says_is_what_a_tenth_that_is_drawn_says():
    ranks, _ = made_up(queries=3_000)
    frame, queries = tables(ranks, N, DIMS)
    whole = grown(judged(frame, queries).ranks, "ndcg_at_10", [2 * N])
    rng = np.random.default_rng(3)
    drawn = 1 + rng.hypergeometric(ranks - 1, N - ranks, N // 10 - 1)
    frame, queries = tables(drawn, N // 10, DIMS)
    part = grown(judged(frame, queries).ranks, "ndcg_at_10", [N])
    np.testing.assert_allclose(whole.left_out, part.values[:, 0].mean(axis=1), atol=0.02)


def test_without_judgements_or_ranks_the_answer_says_why():
    ranks, _ = made_up(queries=60)
    frame, queries = tables(ranks, N, DIMS)
    found = project(frame.assign(ndcg_at_10=np.nan), queries.iloc[:0], [N])
    assert found["refused"].str.contains("fidelity is not projected").all()
    found = project(frame, queries.drop(columns=["relevant_ranks"]), [N])
    assert found["refused"].str.contains("measure again").all()
    assert project(frame.iloc[:0], queries, [N]).empty


@pytest.mark.parametrize("bad", [[], [0], [100, -1]])
def test_no_size_or_one_below_a_document_is_refused_in_one_line(bad):
    with pytest.raises(UsageError, match="one document or more"):
        project(*tables(made_up(queries=60)[0], N, DIMS), bad)
    with pytest.raises(UsageError, match="none of the measures"):
        project(*tables(made_up(queries=60)[0], N, DIMS), [10], measure="map")


def test_the_dimension_needed_lies_where_the_share_is_reached_for_good():
    rows = [
        {
            "dataset": "x", "encoder": "y", "reducer": "truncate", "reducer_params": "{}",
            "precision": "float32", "dim": dim, "documents": 100, "kept": kept, "kept_low": kept - 0.05,
            "kept_high": kept + 0.05, "times_beyond": 0.1, "refused": "",
        }
        for dim, kept in ((16, 0.99), (32, 0.9), (128, 1.0), (256, 1.0))
    ]  # fmt: skip
    (row,) = dimension_needed(pd.DataFrame(rows), 0.95).to_dict("records")
    assert row["dim"] == pytest.approx(64)  # halfway from 32 to 128; 16 d was luck
    assert row["dim_low"] == 16  # the upper bound reaches it everywhere
    assert row["dim_high"] == pytest.approx(128)
    (row,) = dimension_needed(pd.DataFrame(rows), 0.97).to_dict("records")
    assert math.isnan(row["dim_high"])
    refused = pd.DataFrame(rows).assign(refused="no")
    assert dimension_needed(refused).empty


def test_a_folder_suffices_and_its_own_size_gives_its_own_figures(measured):
    frame = load(measured)
    found = project_folder(measured, frame)
    whole = found[found["documents"] == 600].set_index("trial_id")
    rows = exact_rows(frame).set_index("trial_id").loc[whole.index]
    for ours, theirs in (
        ("quality", "ndcg_at_10"),
        ("quality_low", "ndcg_at_10_low"),
        ("quality_high", "ndcg_at_10_high"),
        ("kept", "retained_ndcg_at_10"),
        ("kept_low", "retained_ndcg_at_10_low"),
        ("kept_high", "retained_ndcg_at_10_high"),
    ):
        np.testing.assert_allclose(whole[ours], rows[theirs], atol=1e-6)
    assert found.loc[found["documents"] > 600, "refused"].str.contains("too few").all()
    again = project(shown(frame), load_queries(measured), sizes(600))
    pd.testing.assert_frame_equal(found, again)


def test_curves_have_two_sizes_per_decade_and_end_two_decades_beyond():
    assert sizes(5_000)[:5] == [100, 300, 1_000, 3_000, 5_000]
    assert sizes(5_000)[-2:] == [100_000, 300_000]


def test_smaller_parts_of_a_corpus_are_not_projected(frame):
    exact = exact_rows(frame)
    part = exact.assign(dataset=exact["dataset"] + "@300", n_corpus=300, trial_id="part")
    both = pd.concat([frame, part], ignore_index=True)
    assert list(shown(both)["trial_id"]) == list(shown(frame)["trial_id"])
