"""What is said of caches and of datasets side by side."""

import pandas as pd
import pytest

from bench.analysis.sizes import caches, scans, side_by_side
from bench.analysis.summary import summary_of
from bench.results.rows import timed
from bench.results.store import load_queries
from tests.pages import page_of

FLAT = "backend == 'faiss-flat' and precision == 'float32' and stages == ''"


def with_cold(frame, times_by_dim):
    """Return the frame with exact search so many times slower from cold caches."""
    for index, row in frame.query(FLAT).iterrows():
        frame.loc[index, "latency_cold_ms_p50"] = row["latency_ms_p50"] * times_by_dim[row["dim"]]
    return frame


@pytest.fixture
def both(frame):
    """The trials of `measured`, and of a dataset ten times as large that keeps half at 8 d."""
    large = frame.assign(
        dataset="large", n_corpus=frame["n_corpus"] * 10, trial_id=frame["trial_id"] + "-large"
    )
    at = (large["backend"] == "exact") & (large["reducer"] == "truncate") & (large["dim"] == 8)
    large.loc[at, ["retained_ndcg_at_10", "retained_ndcg_at_10_low"]] = [0.5, 0.25]
    index = large.query("backend == 'faiss-hnsw' and dim == 32").index
    large.loc[index, "ann_recall_at_10"] = [0.625, 0.75]
    large.loc[index, "speedup_vs_exact"] = [12.0, 6.0]
    return pd.concat([large, frame], ignore_index=True)


@pytest.mark.parametrize(
    ("colder", "held", "said"),
    [
        ({4: 3.0, 8: 3.0, 16: 2.0, 32: 1.5}, 32, "Vectors of 32 d (0.1 MB) stay in"),
        ({4: 3.0, 8: 2.0, 16: 1.1, 32: 0.9}, 8, "Up to 8 d (0.0 MB, 2×) they do"),
        ({4: 1.0, 8: 1.1, 16: 1.1, 32: 1.0}, 0, "Vectors of 32 d (0.1 MB) do not stay in"),
    ],
)
def test_vectors_that_cold_caches_do_not_slow_do_not_lie_in_them(frame, colder, held, said):
    (found,) = caches(with_cold(frame, colder))
    assert found.values == {"held": held, "colder": pytest.approx(colder)}
    assert said in found.text


def test_without_exact_search_nothing_is_said_of_caches(frame):
    assert not list(caches(frame.query("backend != 'faiss-flat'")))


def test_scans_are_of_float32_in_one_stage(frame):
    table = scans(frame)
    rows = timed(frame).query(FLAT).set_index("dim")
    assert table["ms"].to_dict() == rows["latency_ms_p50"].to_dict()
    assert table.loc[32, "megabytes"] == pytest.approx(600 * 32 * 4 / 1e6)


def test_datasets_stand_side_by_side_the_smallest_first(both):
    (table,) = side_by_side(both).values()
    name = both["dataset"].iloc[-1]
    assert list(table.columns) == [f"{name}, 600 documents", "large, 6,000 documents"]
    small, large = table.loc["truncation to 8 d keeps [95 %]"]
    own = both.query(
        "dataset == @name and backend == 'exact' and reducer == 'truncate' and dim == 8"
    )
    assert small.startswith(f"{own['retained_ndcg_at_10'].iloc[0]:.1%} [")
    assert large.startswith("50.0% [25.0%, ")
    cells = table.filter(like="faiss-hnsw", axis="index").iloc[:, 1]
    assert sorted(cells) == ["62.5%, 12.0×", "75.0%, 6.0×"]
    assert len(table.filter(like="faiss-flat 32 d, int8", axis="index")) == 1


def test_what_one_dataset_lacks_is_a_dash(both):
    part = both[(both["dataset"] != "large") | (both["backend"] != "faiss-hnsw")]
    (table,) = side_by_side(part).values()
    assert set(table.filter(like="faiss-hnsw", axis="index").iloc[:, 1]) == {"–"}


def test_one_dataset_stands_alone(frame):
    assert side_by_side(frame) == {}


def test_the_page_shows_datasets_side_by_side_and_names_each_in_its_recommendation(
    both, frame, tmp_path
):
    page = page_of(tmp_path, summary_of(both, load_queries("nowhere")))
    assert page.count("<h3>The datasets side by side</h3>") == 1
    assert "<td>62.5%, 12.0×</td>" in page
    assert "<p>large</p>" in page
    alone = page_of(tmp_path, summary_of(frame, load_queries("nowhere")))
    assert "datasets side by side" not in alone
    assert f"<p>{frame['dataset'].iloc[0]}</p>" not in alone
