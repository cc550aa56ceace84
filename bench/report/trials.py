"""Trials as a table: for the terminal, as CSV, Markdown, LaTeX and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.analysis.selection import FRONT, LABEL, check_column, named
from bench.analysis.summary import LEAVE_OUT
from bench.analysis.text_table import Table, interval, share
from bench.console import Console
from bench.report.console import stdout_console
from bench.report.fitting import print_table
from bench.report.paper_tables import markdown_rows, tabular
from bench.report.terminal import say_left_out
from bench.results.columns import Column
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import Quality, quality_of

ROWS = 40
"""Most rows in a terminal, unless another number is asked for."""
MARK = "*"
"""Marks trials on the Pareto front."""
_FORMULA = ("=", "+", "-", "@")
"""How a text begins that a spreadsheet runs."""
_AFTER_QUALITY = (
    "ann_recall_at_10",
    "latency_ms_p50",
    "latency_ms_p95",
    "qps",
    "speedup_vs_exact",
    "bytes_per_vector",
    "build_seconds",
)


def usual_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns to show where none are asked for.

    Quality, share kept, times and size; the dataset, the encoder and the status where they differ.
    """
    quality = quality_of(frame)
    differing = [c for c in ("dataset", "encoder", "status") if frame[c].nunique() > 1]
    return [*differing, *dict.fromkeys([quality.column, quality.retained]), *_AFTER_QUALITY]


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return rows as JSON-ready records; what is unknown is None."""
    plain = frame.astype(object).where(frame.notna(), None)
    values = zip(*(plain[column].tolist() for column in plain), strict=True)
    return [dict(zip(plain, row, strict=True)) for row in values]


def as_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the trials as JSON-ready records, each with `label` and `pareto`; unknown is None."""
    return records(named(frame))


def as_csv(frame: pd.DataFrame) -> str:
    """Return rows as CSV, every figure in full, lists as JSON.

    A text that begins like a formula gets a quote, so that a spreadsheet does not run it.
    """
    lists = [c for c in frame if c in ALL_COLUMNS and ALL_COLUMNS[c].type == "floats"]
    plain = frame.assign(**{c: frame[c].map(_json, na_action="ignore") for c in lists})
    plain = plain.map(lambda value: _no_formula(value) if isinstance(value, str) else value)
    return str(plain.to_csv(index=False))


def as_markdown(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return `columns` of `named` trials as a Markdown table, figures with their intervals."""
    return markdown_rows(_table(frame, columns, ""))


def as_latex(frame: pd.DataFrame, columns: Sequence[str]) -> str:
    """Return `columns` of `named` trials as a LaTeX table, figures with their intervals.

    It needs the package booktabs.
    """
    return tabular(_table(frame, columns, ""))


def show_trials(
    frame: pd.DataFrame,
    columns: Sequence[str] | None = None,
    *,
    of: int,
    most: int = ROWS,
    order: Sequence[str] = (),
    console: Console | None = None,
) -> None:
    """Print `columns` of `named` trials, those of the front marked, fitted to the console.

    Without `columns` they are the `usual_columns`, of which a narrow console shows fewer. `most`
    rows at most, 0 for all; `of` is how many trials the folder has, `order` how they are sorted.
    """
    console = console or stdout_console()
    shown = frame if not most else frame.head(most)
    title = f"{len(frame):,} of {of:,} trials" if len(frame) < of else f"{of:,} trials"
    title += f", by {', '.join(order)}" if order else ""
    title += f"; {MARK} is on the Pareto front of all" if shown[FRONT].any() else ""
    if shown.empty:
        console.print(title, highlight=False)
        return
    usual = columns is None
    table = _table(shown, columns or usual_columns(frame), title, before=True, usual=usual)
    left_out = print_table(table, console)
    if len(shown) < len(frame):
        console.print(
            f"[dim]{len(frame) - len(shown):,} more: --rows 0 shows all[/dim]", highlight=False
        )
    say_left_out(left_out, console)


def _table(
    frame: pd.DataFrame,
    columns: Sequence[str],
    title: str,
    before: bool = False,
    usual: bool = False,
) -> Table:
    quality = quality_of(frame)
    for name in columns:
        check_column(frame, name)
    names = [frame[LABEL].astype(str).tolist(), frame[FRONT].tolist()]
    if before:
        first = [f"{MARK if best else ' '} {label}" for label, best in zip(*names, strict=True)]
    else:
        first = [f"{label} {MARK}" if best else label for label, best in zip(*names, strict=True)]
    shown = [name for name in columns if name not in (LABEL, FRONT)]
    cells = [_cells(frame, name, quality) for name in shown]
    rows = [*zip(first, *cells, strict=True)]
    headings = [_heading(name, quality) for name in shown]
    mark = "  " if before else ""
    if usual:
        spare = ("build seconds", *LEAVE_OUT[:6], quality.label, *LEAVE_OUT[6:])
    else:
        # What was asked for stays, if without its intervals.
        pairs = zip(headings, cells, strict=True)
        spare = tuple(heading for heading, column in pairs if any("[" in cell for cell in column))
    return Table(title, (f"{mark}configuration", *headings), rows, spare)


def _heading(name: str, quality: Quality) -> str:
    if name == quality.column:
        return quality.label if name != quality.retained else f"{quality.label} %"
    if name == quality.retained:
        return "keeps % [95 %]"
    column = ALL_COLUMNS[name]
    return column.heading or name.replace("_", " ")


def _cells(frame: pd.DataFrame, name: str, quality: Quality) -> list[str]:
    column = ALL_COLUMNS[name]
    if not column.interval or column.type not in ("int", "float"):
        return [_cell(value, column) for value in frame[name]]
    bounds = zip(*(frame[each] for each in (name, f"{name}_low", f"{name}_high")), strict=True)
    if name == quality.retained:
        return ["–" if pd.isna(x) else share(x, low, high) for x, low, high in bounds]
    return ["–" if pd.isna(x) else interval(x, low, high, column.form) for x, low, high in bounds]


def _cell(value: Any, column: Column) -> str:
    if isinstance(value, tuple):
        return " ".join(format(each, ".4g") for each in value)
    if pd.isna(value):
        return "–"
    if column.type == "flag":
        return "yes" if value else "no"
    if column.type == "int":
        return format(value, ".0f" if column.group == "configuration" else ",.0f")
    if column.type == "float":
        usual = column.heading or column.group in ("quality", "time")
        return format(value, column.form if usual else ",.4g")
    return str(value)


def _no_formula(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text


def _json(value: Any) -> str:
    return json.dumps(list(value))
