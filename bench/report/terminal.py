"""The terminal's answer: what a dimension costs, the configurations worth using, the findings."""

from __future__ import annotations

from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis import summary
from bench.analysis.labels import labels
from bench.analysis.summary import Summary
from bench.analysis.tables import front
from bench.results.rows import groups

ROWS = 16
"""Most rows of the Pareto front."""
WIDTH = 124
"""Columns if the output is not a terminal."""
ROOMY = 120
"""Columns needed for recall and intervals beside the rest."""


def show(found: Summary, console: Console | None = None) -> None:
    """Print a summary as tables and sentences, one block per dataset and encoder."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    wide = console.width >= ROOMY
    for section in found.sections:
        encoder = f" with [bold]{escape(section.encoder)}[/bold]" if section.encoder else ""
        console.print(
            f"\n[bold]{escape(section.dataset)}[/bold]{encoder}: {section.size}", highlight=False
        )
        console.print(f"[dim]{escape(section.machine)}[/dim]", highlight=False)
        for table in section.tables(wide, ROWS):
            console.print(_table(table, wide))
        for sentence in section.sentences:
            console.print(f"• {escape(sentence)}", highlight=False)
    for table in found.side_by_side():
        console.print(_table(table, wide))
    for machine in found.other_machines:
        text = f"left out: trials measured on another machine ({escape(machine)})"
        console.print(f"[yellow]{text}[/yellow]", highlight=False)


def as_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the trials as JSON-ready records, each with `label` and `pareto`; unknown is None."""
    best = {i for _, part in groups(frame) for i in front(part).index}
    named = pd.concat([labels(part) for _, part in groups(frame)])
    plain = frame.astype(object).where(frame.notna(), None)
    values = zip(*(plain[column].tolist() for column in plain), strict=True)
    return [
        {"label": named[i], "pareto": i in best, **dict(zip(plain, row, strict=True))}
        for i, row in zip(frame.index, values, strict=True)
    ]


def _table(table: summary.Table, wide: bool) -> Table:
    drawn = Table(
        title=escape(table.title),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1) if wide else (0, 1, 0, 0),
        header_style="bold",
        title_style="italic",
    )
    first, *others = table.headings
    drawn.add_column(first, overflow="fold", min_width=3 if first == "dim" else 20)
    for heading in others:
        drawn.add_column(heading, justify="right", overflow="fold")
    for row in table.rows:
        drawn.add_row(*map(escape, row))
    return drawn
