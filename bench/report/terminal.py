"""The terminal's answer: what a dimension costs, the configurations worth using, the findings."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable

import pandas as pd
from rich.markup import escape

from bench.analysis.labels import dims_text
from bench.analysis.summary import Section, Summary
from bench.analysis.tables import curves, dimension_table, subset_band, truncation
from bench.analysis.text_table import Table, number
from bench.console import Console
from bench.report.console import stdout_console
from bench.report.fitting import print_table
from bench.results.rows import exact_rows, quality_of

ROWS = 16
"""Most rows of the Pareto front."""
ROOMY = 120
"""Columns needed for settings and intervals in the table of equal quality."""
_BLOCKS = "▁▂▃▄▅▆▇█"
_NUMBER_AND_UNIT = re.compile(r"(\d[%.)]*) (d|ms|MB|%|bytes)\b")
"""What stays on one line."""
_TIED = "\u00a0"


def show(found: Summary, console: Console | None = None) -> None:
    """Print a summary as tables and sentences, one block per dataset and encoder.

    Nothing is wider than the console; what that leaves out is said at the end.
    """
    console = console or stdout_console()
    left_out: list[str] = []
    for section in found.sections:
        encoder = f" with [bold]{escape(section.encoder)}[/bold]" if section.encoder else ""
        console.print(
            f"\n[bold]{escape(section.dataset)}[/bold]{encoder}: {section.size}", highlight=False
        )
        console.print(f"[dim]{escape(section.machine)}[/dim]", highlight=False)
        for table in (*spark_lines(section), *section.tables(console.width >= ROOMY, ROWS)):
            left_out += print_table(table, console)
        if section.sentences:
            console.print()
            _print_sentences(section.sentences, console)
    for table in found.side_by_side():
        left_out += print_table(table, console)
    for machine in found.other_machines:
        text = f"left out: trials measured on another machine ({escape(machine)})"
        console.print(f"[yellow]{text}[/yellow]", highlight=False)
    say_left_out(left_out, console)


def spark(values: Iterable[float], top: float) -> str:
    """Return values from 0 to `top` as blocks, one character each; a gap where one is unknown."""
    steps = len(_BLOCKS) - 1
    return "".join(
        " "
        if math.isnan(value)
        else _BLOCKS[min(steps, max(0, round(value / top * steps)) if top > 0 else 0)]
        for value in values
    )


def spark_lines(section: Section) -> list[Table]:
    """Return the quality of exact search over the dimensions as one line per reducer.

    Empty if fewer than two dimensions were searched.
    """
    frame = section.frame
    if exact_rows(frame).empty:
        return []
    table = dimension_table(frame)
    found = {"truncation": truncation(table)["quality"]}
    if len(band := subset_band(frame)):
        found["random subsets"] = band["median"]
    found |= {name.replace("_", " "): part["quality"] for name, part in curves(table).items()}
    dims = sorted({dim for values in found.values() for dim in values.index})
    top = max(values.max() for values in found.values())
    if len(dims) < 2:
        return []
    rows: list[tuple[str, ...]] = [
        (name, spark(values.reindex(dims), top), _ends(values.dropna()))
        for name, values in found.items()
    ]
    return [
        Table(
            f"{quality_of(frame).label} at {dims_text(dims)}, from 0 to {top:.3f}",
            ("", "", ""),
            rows,
        )
    ]


def say_left_out(left_out: Iterable[str], console: Console) -> None:
    """Say what tables lack for want of width, if anything."""
    names = dict.fromkeys(left_out)
    if names:
        text = f"Left out at {console.width} columns: {', '.join(names)}. "
        text += f"COLUMNS={max(160, console.width + 40)} shows more."
        console.print(f"\n[dim]{escape(text)}[/dim]", highlight=False)


def _ends(values: pd.Series) -> str:
    if values.empty:
        return ""
    return f"{number(values.iloc[0])} → {number(values.iloc[-1])}"


def _print_sentences(sentences: Iterable[str], console: Console) -> None:
    for sentence in sentences:
        text = _NUMBER_AND_UNIT.sub(rf"\1{_TIED}\2", f"• {sentence}")
        lines = textwrap.fill(
            text, console.width, subsequent_indent="  ", break_on_hyphens=False
        ).replace(_TIED, " ")
        console.print(escape(lines), highlight=False, soft_wrap=True)
