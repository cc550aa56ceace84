"""Views of the trials."""

import numpy as np
import pandas as pd
import pytest

from bench.analysis.tables import (
    MOST_PRECISIONS,
    competitive,
    curves,
    dimension_table,
    equal_quality,
    savings,
    stored,
    subset_band,
    truncation,
)
from bench.results.rows import (
    exact_rows,
    timed,
)


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
    assert plain["retained"]["float32"] == pytest.approx(
        truncation(dimension_table(frame)).loc[8, "retained"]
    )


def test_savings_compare_the_fastest_of_each_kind_at_equal_quality(frame):
    two = frame["stages"] != ""
    flat = frame[frame["backend"] == "faiss-flat"]
    frame.loc[flat.index, "retained_ndcg_at_10_low"] = 0.97
    frame.loc[flat.index, "latency_ms_p50"] = 0.8
    frame.loc[flat.index[~two[flat.index]][0], "latency_ms_p50"] = 0.4
    frame.loc[frame.index[two], "latency_ms_p50"] = 0.1
    table = savings(frame)
    assert list(table["level"]) == [0.9, 0.95]
    assert (table["single_ms"] == 0.4).all()
    assert table["saving"].tolist() == pytest.approx([0.75, 0.75])


def test_equal_quality_has_the_fastest_and_the_smallest_of_each_index(frame):
    rows = timed(frame)
    kept = pd.DataFrame({"low": 0.0}, index=rows.index)
    shown = rows.query("backend == 'faiss-hnsw' and dim == 16").index
    kept.loc[shown, "low"] = [0.96, 0.99]
    frame.loc[shown, "latency_ms_p50"] = [0.1, 0.2]
    frame.loc[shown, "bytes_per_vector"] = [90.0, 80.0]
    table = equal_quality(frame, kept)
    assert table[["backend", "dim"]].drop_duplicates().to_numpy().tolist() == [["faiss-hnsw", 16]]
    found = table.set_index("level")
    assert list(found["fastest"]) == [shown[0], shown[0], shown[1], shown[1]]
    assert list(found["smallest"]) == [shown[1]] * 4


def test_random_subsets_are_drawn_at_their_ratio_to_truncation(frame):
    rows = (frame["backend"] == "exact") & (frame["reducer"] == "truncate") & (frame["dim"] == 8)
    names = ["subsets", "subsets_quality", "subsets_median", "subsets_low", "subsets_high"]
    frame.loc[rows, names] = [199, 0.5, 0.4, 0.3, 0.6]
    frame.loc[(frame["backend"] == "exact") & (frame["dim"] != 8), "subsets"] = None
    own = frame.loc[rows, "ndcg_at_10"].iloc[0]
    band = subset_band(frame)
    assert list(band.index) == [8]
    assert band.loc[8].tolist() == pytest.approx([own * 0.8, own * 0.6, own * 1.2])


def test_a_chart_of_many_precisions_keeps_those_nearest_to_the_best_of_as_many_bytes():
    names = ["float32", *(f"code{i:02}" for i in range(20))]
    table = pd.DataFrame(
        {
            "precision": np.repeat(names, 2),
            "bytes": np.tile([8.0, 64.0], 21),
            # float32 is the worst of all, and each further code a little worse than the one before.
            "quality": [0.0, 0.0, *np.repeat(0.9 - 0.01 * np.arange(20), 2)],
        }
    )
    kept = competitive(table)
    assert list(dict.fromkeys(kept["precision"])) == names[:MOST_PRECISIONS]
    few = table[table["precision"].isin(names[:3])]
    assert competitive(few) is few


def test_a_small_good_code_is_not_blamed_for_what_more_bytes_find():
    names = ["float32", "small", *(f"code{i}" for i in range(15))]
    table = pd.DataFrame(
        {
            "precision": names,
            "bytes": [1024.0, 4.0, *[64.0] * 15],
            "quality": [1.0, 0.2, *np.linspace(0.5, 0.9, 15)],
        }
    )
    assert "small" in set(competitive(table)["precision"]), "the best of four bytes"
