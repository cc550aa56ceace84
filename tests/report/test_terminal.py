"""What the terminal prints: all of it within its width, what was left out said."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.analysis.summary import summary_of
from bench.analysis.tables import dimension_table, evenly, front, truncation, worth_showing
from bench.analysis.text_table import Table
from bench.report.console import PIPE, stdout_console
from bench.report.fitting import fitted
from bench.report.terminal import ROWS, show, spark
from bench.report.trials import as_records
from bench.results.store import load_queries


def printed(frame, width, **given):
    text = io.StringIO()
    show(summary_of(frame, load_queries("nowhere"), **given), Console(file=text, width=width))
    return text.getvalue()


def test_show_prints_the_numbers_and_what_was_left_out(frame):
    frame.loc[frame.index[-1], ["status", "error", "latency_ms_p50"]] = [
        "crashed",
        "ended by [SIGABRT]",
        None,
    ]
    text = printed(frame, 120, other_machines=["another machine"])
    for dim, row in truncation(dimension_table(frame)).iterrows():
        assert f"{dim}" in text
        assert f"{row['quality']:.3f}" in text
    assert "ended by [SIGABRT]" in text
    assert "another machine" in text
    assert len(as_records(frame)) == len(frame)


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_broken(frame, width):
    lines = printed(frame, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    best = evenly(worth_showing(front(frame)), ROWS)
    start = next(i for i, line in enumerate(lines) if line.startswith("Pareto-optimal"))
    table = "\n".join(lines[start:])
    for p50 in best["latency_ms_p50"]:
        assert re.search(rf"(?<![\d.]){p50:.3f}(?![\d.])", table)


def test_a_narrow_terminal_drops_columns_and_says_so_and_a_wide_one_shows_intervals(frame):
    narrow, wide = printed(frame, 80), printed(frame, 140)
    row = worth_showing(front(frame)).iloc[0]
    bounds = f"[{row['speedup_vs_exact_low']:.1f}, {row['speedup_vs_exact_high']:.1f}]"
    assert bounds in wide
    assert bounds not in narrow
    said = " ".join(narrow.partition("Left out at 80 columns:")[2].split())
    assert "worst tenth" in said
    assert "worst tenth" not in narrow.partition("Left out at 80 columns:")[0]
    assert "Left out" not in printed(frame, 400)


def test_a_table_loses_intervals_then_columns_in_the_order_it_declares():
    heads = ("name", "first [95 %]", "second [95 %]")
    row = ("a name of several words", "0.111 [0.100, 0.122]", "0.222 [0.200, 0.244]")
    table = Table("", heads, [row], ("second [95 %]", "second [95 %]"))
    assert fitted(table, 80).table.rows == [row]
    once = fitted(table, 60)
    assert once.table.rows == [(*row[:2], "0.222")]
    assert once.table.headings[2] == "second"
    assert once.left_out == ("intervals of second",)
    twice = fitted(table, 44)
    assert twice.table.headings == ("name", "first [95 %]")
    assert twice.left_out == ("second",)
    assert twice.table.rows == [("a name of several\n  words", row[1])]


def test_a_spark_line_rises_from_nothing_to_the_top():
    assert spark([0, 0.5, 1.0], 1.0) == "▁▅█"
    assert spark(np.linspace(0, 1, 8), 1.0) == "▁▂▃▄▅▆▇█"
    assert spark([float("nan"), 2.0], 2.0) == " █"
    assert spark([0.0], 0.0) == "▁"


def test_every_reducer_has_a_spark_line_that_ends_in_its_figures(frame):
    text = printed(frame, 80)
    table = dimension_table(frame)
    for name, part in table.groupby("variant"):
        word = "truncation" if name == "truncate" else name.replace("_", " ")
        ends = f"{part['quality'].iloc[0]:.3f} → {part['quality'].iloc[-1]:.3f}"
        assert re.search(rf"^{word} +[ ▁-█]+ +{ends}$", text, re.MULTILINE), word


def test_an_unknown_figure_is_a_dash_and_no_row_of_dashes_is_left(frame):
    rows = [("a", "1", "–"), ("b", "–", "2")]
    table = Table("", ("name", "wide " * 9, "other"), rows, ("wide " * 9,))
    assert fitted(table, 15).table.rows == [("b", "2")]
    assert pd.isna(frame["encode_ms_p50"]).all()


def test_a_pipe_is_as_wide_as_columns_say_or_wide_enough_for_the_intervals(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdout", io.StringIO())
    monkeypatch.setattr("sys.stderr", io.StringIO())
    monkeypatch.setenv("COLUMNS", "91")
    assert stdout_console().width == 91
    monkeypatch.delenv("COLUMNS")
    assert stdout_console().width == PIPE
