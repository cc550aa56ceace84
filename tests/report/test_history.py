"""A history in the terminal and drawn."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.analysis.history import find_changes
from bench.errors import UsageError
from bench.report.history import show_history
from bench.report.history_figure import draw_history, save_history
from tests.histories import history, noisy


@pytest.fixture(scope="module")
def found():
    versions = [{"faiss": "1.9" if i < 20 else "1.10"} for i in range(30)]
    parts = [
        history(noisy(30, dim, step=0.3, at=20), versions=versions, dim=dim) for dim in (16, 32)
    ]
    drift = history(noisy(30, 4, sd=0.005) * np.linspace(1, 1.5, 30), backend="annoy")
    quality = history([0.8] * 10 + [0.7] * 20, figure="ndcg_at_10")
    flat = history(noisy(30, 9), backend="faiss-flat")
    return find_changes(pd.concat([*parts, drift, quality, flat]))


def printed(found, width=160, most=20):
    text = io.StringIO()
    show_history(found, most, Console(file=text, width=width))
    return text.getvalue()


def test_a_line_says_what_changed_where_by_how_much_and_with_which_library(found):
    text = printed(found)
    line = next(line for line in text.splitlines() if "2 of 2 configurations" in line)
    assert "p50 ms, faiss-hnsw" in line
    assert "0000013 → 0000014" in line
    assert "worse" in line
    assert "faiss 1.9 → 1.10" in line
    assert "▁" in line
    assert "nDCG" in text or "ndcg at 10" in text
    assert "-0.1000" in text
    assert "p50 ms drifts, annoy" in text
    # The latest come first.
    assert text.index("drifts") < text.index("2 of 2") < text.index("-0.1000")


def test_more_rows_than_asked_for_are_said_to_be_there(found):
    text = printed(found, most=1)
    assert "2 more: --rows 0 shows all" in text
    assert "2 of 2" not in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(found, width):
    assert max(map(cell_len, printed(found, width).splitlines())) <= width


def test_no_change_and_too_few_commits_are_said():
    text = printed(find_changes(history(noisy(6, 0))))
    assert "no change found" in text
    assert "1 noisy series cannot be judged yet: a step needs 4 measurements" in text


def test_each_figure_is_drawn_with_its_change_points_marked(found, tmp_path):
    paths = save_history(found, tmp_path / "f")
    assert {path.name for path in paths} == {
        f"history_{name}.{kind}"
        for name in ("latency_ms_p50", "ndcg_at_10")
        for kind in ("png", "svg")
    }
    assert all(path.stat().st_size > 1000 for path in paths)
    figure = draw_history(found, "latency_ms_p50")
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == [
        "annoy, 1 configuration",
        "faiss-hnsw, 2 configurations",
        "faiss-flat, 1 configuration",
    ]
    texts = " ".join(text.get_text() for axis in figure.axes for text in axis.texts)
    assert "0000014" in texts
    assert "drift to" in texts


def test_a_folder_that_cannot_be_written_is_said(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        save_history(found, tmp_path / "file" / "f")
