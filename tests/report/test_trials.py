"""Trials as a table: widths, marks, CSV, Markdown, LaTeX."""

import csv
import io
import json

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from bench.analysis.selection import named, where
from bench.analysis.tables import front
from bench.report.trials import (
    as_csv,
    as_latex,
    as_markdown,
    show_trials,
    usual_columns,
)
from bench.results.derived import ALL_COLUMNS


def shown(frame, columns=None, width=100, **given):
    text = io.StringIO()
    rows = named(frame)
    console = Console(file=text, width=width)
    show_trials(rows, columns or usual_columns(rows), of=len(rows), console=console, **given)
    return text.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140])
@pytest.mark.parametrize(
    "columns", [None, ["build_params", "machine", "library_versions", "process_speedup", "dim"]]
)
def test_no_line_is_wider_than_the_terminal(frame, width, columns):
    lines = shown(frame, columns, width, most=0).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert len(lines) >= len(frame)


def test_the_trials_of_the_front_are_marked_and_no_other(frame):
    lines = shown(frame, ["trial_id"], 200, most=0).splitlines()
    rows = [line for line in lines if line.split() and line.split()[-1] in set(frame["trial_id"])]
    assert len(rows) == len(frame)
    marked = {line.split()[-1] for line in rows if line.startswith("* ")}
    assert marked == set(front(frame)["trial_id"]) != set()


def test_a_long_table_is_cut_and_says_how_many_more(frame):
    text = shown(frame, most=5)
    assert f"{len(frame) - 5} more: --rows 0 shows all" in text
    assert "more:" not in shown(frame, most=0)


def test_csv_read_again_is_what_load_returns(frame):
    frame.loc[0, "error"] = 'a "quoted", long\nerror'
    first, *rows = csv.reader(io.StringIO(as_csv(frame)))
    assert first == list(frame)
    assert len(rows) == len(frame)
    for column, texts in zip(first, zip(*rows, strict=True), strict=True):
        kind = ALL_COLUMNS[column].type
        for value, text in zip(frame[column], texts, strict=True):
            if isinstance(value, tuple):
                assert tuple(json.loads(text)) == value
            elif pd.isna(value):
                assert text == ""
            elif kind in ("int", "float"):
                assert float(text) == value, column
            else:
                assert text == str(value)


def test_markdown_has_a_cell_for_each_column_and_quality_with_its_interval(frame):
    frame["machine"] = "a | b"
    rows = named(frame)
    lines = as_markdown(rows, ["ndcg_at_10", "machine"]).splitlines()
    assert lines[0] == "| configuration | nDCG@10 | machine |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert len(lines) == len(frame) + 2
    first = rows.iloc[0]
    low, high = first["ndcg_at_10_low"], first["ndcg_at_10_high"]
    assert f"| {first['ndcg_at_10']:.3f} [{low:.3f}, {high:.3f}] | a \\| b |" in lines[2]
    marked = [line for line in lines if line.split(" | ")[0].endswith(r"\*")]
    assert len(marked) == len(front(frame))


def test_latex_is_escaped_and_has_the_rules_of_booktabs(frame):
    frame.loc[0, "error"] = r"50% of $x_1 & {y} #3 ~ ^ \ < >"
    rows = named(frame)
    columns = ["error", "build_params", "speedup_vs_exact"]
    text = as_latex(rows, columns)
    lines = text.splitlines()
    assert lines[0] == r"\begin{tabular}{lrrr}"
    assert lines[-1] == r"\end{tabular}"
    assert [line for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]
    assert r"50\% of \$x\_1 \& \{y\} \#3" in text
    assert r"\textless{} \textgreater{}" in text
    body = [line for line in lines if line.endswith(r"\\")]
    assert len(body) == len(frame) + 1
    for line in body:
        plain = line.removesuffix(r"\\").replace(r"\&", "")
        assert plain.count("&") == len(columns)
        assert not line.startswith(("[", "*"))
    assert r"$\times$ exact" in lines[2]


def test_an_empty_selection_is_no_error(frame):
    none = where(named(frame), "dim > 9999")
    text = io.StringIO()
    show_trials(none, usual_columns(named(frame)), of=len(frame), console=Console(file=text))
    assert text.getvalue().strip() == f"0 of {len(frame)} trials"
    assert as_csv(none).count("\n") == 1
    assert as_markdown(none, ["dim"]).splitlines() == ["| configuration | dim |", "| --- | ---: |"]
    assert r"\toprule" in as_latex(none, ["dim"])
