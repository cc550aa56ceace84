"""Figures draw what the table says; the page needs nothing from outside."""

import re

import numpy as np
import pandas as pd
import pytest

from bench.analysis.summary import summary_of
from bench.analysis.tables import dimension_table, stored, truncation
from bench.errors import UsageError
from bench.figures import draw_all, figures, save_all
from bench.report.page import render
from bench.results.rows import loads, timed
from bench.results.store import load_queries


@pytest.fixture
def frame(frame):
    """The measured trials, one of them as if it were a server's under load: so that there is data for every figure."""
    one = timed(frame).iloc[0]
    loads = [
        {**one, "clients": n, "qps": 900.0 * n, "latency_ms_p99": 0.5 * n, "trial_id": f"load-{n}"}
        for n in (2, 4)
    ]
    return pd.concat([frame, pd.DataFrame(loads)], ignore_index=True)


def test_every_figure_has_units_on_its_axes_and_shows_the_values(frame):
    drawn = draw_all(frame)
    assert list(drawn) == [
        "quality_vs_dimension",
        "quality_vs_latency",
        "recall_vs_qps",
        "memory_vs_dimension",
        "quality_vs_bytes",
        "build_vs_dimension",
        "precision_heatmap",
        "stages",
        "load",
        "loss",
    ]
    for figure in drawn.values():
        for axes in figure.axes:
            if axes.axison and axes.get_label() != "<colorbar>":
                assert axes.get_xlabel()
                assert axes.get_ylabel() or axes.get_yticklabels()
    kept = drawn["precision_heatmap"].axes[0].images[0].get_array()
    table = stored(frame).query("variant == 'truncate'")
    assert kept.shape == (table["precision"].nunique(), table["dim"].nunique())
    np.testing.assert_allclose(kept[0], table.query("precision == 'float32'")["retained"])
    line = drawn["quality_vs_dimension"].axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), truncation(dimension_table(frame))["quality"])
    load = drawn["load"].axes[0].lines[0]
    np.testing.assert_allclose(
        load.get_ydata(), loads(frame).sort_values("clients")["latency_ms_p99"]
    )
    points = drawn["quality_vs_latency"].axes[0].lines
    shown = sorted(x for line in points if line.get_linestyle() == "None" for x in line.get_xdata())
    np.testing.assert_allclose(shown, sorted(timed(frame)["latency_ms_p50"]))


def test_the_stacked_losses_add_up_to_the_total(frame):
    axes = draw_all(frame)["loss"].axes[0]
    widths: dict[float, float] = {}
    for bar in axes.patches:
        place = round(bar.get_y() + bar.get_height() / 2)
        widths[place] = widths.get(place, 0) + bar.get_width()
    totals = dict(zip(axes.lines[0].get_ydata(), axes.lines[0].get_xdata(), strict=True))
    assert widths == pytest.approx(totals)
    rows = timed(frame)
    full = frame.query("backend == 'exact' and reducer == 'truncate' and dim == full_dim")[
        "ndcg_at_10"
    ].item()
    total = rows["loss_dimension"] + rows["loss_precision"] + rows["loss_search"]
    np.testing.assert_allclose(total, full - rows["ndcg_at_10"], atol=1e-12)


def test_files_are_the_same_for_the_same_table(frame, tmp_path):
    one, two = save_all(frame, tmp_path / "a"), save_all(frame, tmp_path / "b")
    assert len(one) == 2 * len(figures())
    assert all(
        a.read_bytes() == b.read_bytes()
        for a, b in zip(one, two, strict=True)
        if a.suffix == ".svg"
    )


def test_several_datasets_are_panels_and_synthetic_says_so(frame):
    both = pd.concat(
        [frame, frame.assign(dataset="synthetic:n=5", synthetic=True, ndcg_at_10=np.nan)],
        ignore_index=True,
    )
    axes = draw_all(both)["quality_vs_dimension"].axes
    assert len([a for a in axes if a.axison]) == 2
    assert "speed and scale only" in axes[1].get_title()
    assert "fidelity" in axes[1].get_ylabel()


def test_nothing_measured_is_said(frame):
    with pytest.raises(UsageError, match="nothing to draw"):
        draw_all(frame.assign(status="failed"))


def test_the_page_is_whole_and_safe(frame):
    hostile = frame.assign(dataset="<script>alert(1)</script>")
    page = render(summary_of(hostile, load_queries("nowhere")))
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page
    assert not re.search(r'(src|href)\s*=\s*"(https?:)?//', page)
    assert not re.search(r"<(link|img|iframe)\b|<script[^>]+src|@import", page)
    assert page.count("<figure>") == len(figures())
    assert all(trial_id in page for trial_id in frame["trial_id"])
