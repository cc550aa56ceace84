"""The summary that terminal, page and notebook share."""

import pandas as pd
import pytest

from bench.analysis.summary import summary_of
from bench.analysis.tables import (
    curves,
    dimension_table,
    truncation,
)
from bench.figures import draw_all
from bench.results.rows import (
    exact_rows,
)
from bench.results.store import load_queries
from tests.analysis.test_findings import of_kind


def section(frame, queries):
    (found,) = summary_of(frame, queries).sections
    return found


@pytest.mark.parametrize(
    "name", ["truncated_svd", "subset_best", "retained_energy", "bytes", "dim"]
)
def test_a_reducer_of_any_name_is_in_every_table_figure_and_finding(frame, measured, name):
    queries = load_queries(measured)
    other = exact_rows(frame).query("reducer == 'pca'")
    other = other.assign(reducer=name, reducer_params="", reducer_kind="rotation", ndcg_at_10=0.5)
    both = pd.concat([frame, other], ignore_index=True)
    assert set(curves(dimension_table(both))) == {"random_subset", "pca", name}
    assert name in {f.values["variant"] for f in of_kind(both, "against_rotation", queries)}
    words = name.replace("_", " ")
    assert any(words in table.headings for table in section(both, queries).tables())
    axes = draw_all(both)["quality_vs_dimension"].axes[0]
    assert words in axes.get_legend_handles_labels()[1]
    own = truncation(dimension_table(both))
    assert own["bytes"].tolist() == [16, 32, 64, 128]
