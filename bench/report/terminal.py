"""The terminal's answer: what a dimension costs, which configurations are worth taking, what to know before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.analysis.findings import findings
from bench.analysis.labels import labels
from bench.analysis.tables import dimension_table, evenly, front, other_reducers, worth_showing
from bench.results.rows import exact_rows, groups, quality_of

ROWS = 16
WIDTH = 124
"""Columns where there is no terminal to ask."""
BESIDE = 3
"""Methods shown beside truncation and random subsets."""
ROOMY = 120
"""Columns that the recall and the interval of the speed-up need beside the rest."""


def show(
    frame: pd.DataFrame,
    console: Console | None = None,
    verdicts: Mapping[tuple[str, str], str] | None = None,
) -> None:
    """Print a frame of trials as tables, one pair for each dataset and encoder; `verdicts` has a sentence for each."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    for (dataset, encoder), part in groups(frame):
        first = part.iloc[-1]
        with_encoder = f" with [bold]{escape(encoder)}[/bold]" if encoder else ""
        console.print(
            f"\n[bold]{escape(dataset)}[/bold]{with_encoder}: {first['n_corpus']:,} documents, {first['n_queries']:,} queries, "
            f"{first['full_dim']} dimensions",
            highlight=False,
        )
        console.print(f"[dim]{escape(first['machine'] or '')}[/dim]", highlight=False)
        if len(exact_rows(part)):
            for table in _dimensions(part):
                console.print(table)
        best = front(part)
        if len(best):
            console.print(_front(best, part, console.width >= ROOMY))
        for sentence in [
            *filter(None, [(verdicts or {}).get((dataset, encoder))]),
            *findings(part),
        ]:
            console.print(f"• {escape(sentence)}", highlight=False)
    for machine in frame.attrs.get("other_machines", []):
        console.print(
            f"[yellow]left out: trials measured on another machine ({escape(machine)})[/yellow]",
            highlight=False,
        )


def as_records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the trials as JSON-ready records, each with `label` and `pareto`; what is not known is None."""
    best = {i for _, part in groups(frame) for i in front(part).index}
    told = (
        pd.concat([labels(part) for _, part in groups(frame)])
        if len(frame)
        else pd.Series(dtype=object)
    )
    records = []
    for i, row in frame.iterrows():
        values = {
            name: None if pd.isna(value) else getattr(value, "item", lambda v=value: v)()
            for name, value in row.items()
        }
        records.append({"label": told[i], "pareto": i in best, **values})
    return records


def _dimensions(part: pd.DataFrame) -> list[Table]:
    quality, rows = quality_of(part), dimension_table(part)
    table = _table(f"What a dimension costs: {quality.label} of exact search [95 % interval]")
    for column in ("dim", "truncate", "keeps %"):
        table.add_column(column, justify="right", no_wrap=True)
    if "subset" in rows:
        table.add_column("random subset, least–most", justify="right", no_wrap=True)
    others = other_reducers(rows)
    # More methods than fit beside truncation have a table of their own.
    beside = others if len(others) <= BESIDE else []
    for reducer in [*beside, "bytes"]:
        table.add_column(reducer, justify="right", no_wrap=True)
    for dim, row in rows.iterrows():
        cells = [
            str(dim),
            f"{_number(row['truncate'])} [{_number(row['truncate_low'])}, {_number(row['truncate_high'])}]",
            _share(row["retained"], row["retained_low"], row["retained_high"]),
        ]
        if "subset" in rows:
            cells.append(
                f"{_number(row['subset'])}, {_number(row['subset_low'])}–{_number(row['subset_high'])}"
            )
        table.add_row(
            *(
                escape(c)
                for c in [*cells, *(_number(row[r]) for r in beside), f"{row['bytes']:,.0f}"]
            )
        )
    if beside == others:
        return [table]
    second = _table(f"Other ways to shorten a vector: {quality.label} of exact search")
    for column in ("dim", "truncate", *others):
        second.add_column(column.replace("_", " "), justify="right")
    for dim, row in rows.iterrows():
        second.add_row(str(dim), _number(row["truncate"]), *(_number(row[r]) for r in others))
    return [table, second]


def _front(best: pd.DataFrame, part: pd.DataFrame, roomy: bool) -> Table:
    quality, told = quality_of(part), labels(part)
    # Evenly along the front, its two ends included: the fastest alone would say nothing of what quality costs.
    shown = evenly(worth_showing(best), ROWS)
    some = f" ({len(shown)} of {len(best)} shown)" if len(best) > len(shown) else ""
    table = _table(f"Pareto-optimal in {quality.label}, latency and bytes a vector{some}", roomy)
    table.add_column("configuration", overflow="fold", min_width=20)
    columns = (quality.label, "keeps % [95 %]", "p50 ms", "p95 ms", "QPS", "× exact", "bytes")
    for column in (*columns[:-1], "recall", columns[-1]) if roomy else columns:
        table.add_column(column, justify="right", no_wrap=True)
    for i, row in shown.iterrows():
        speed, bounds = (
            row["speedup_vs_exact"],
            (row["speedup_vs_exact_low"], row["speedup_vs_exact_high"]),
        )
        cells = [
            told[i],
            _number(row[quality.column]),
            _share(row[quality.retained], row[quality.retained_low], row[quality.retained_high]),
            _number(row["latency_ms_p50"]),
            _number(row["latency_ms_p95"]),
            _number(row["qps"], ",.0f"),
        ]
        if roomy:
            cells += [
                f"{_number(speed, '.1f')} [{_number(bounds[0], '.1f')}, {_number(bounds[1], '.1f')}]",
                _number(row["ann_recall_at_10"]),
            ]
        else:
            cells.append(_number(speed, ".1f"))
        table.add_row(
            *(escape(cell) for cell in [*cells, _number(row["bytes_per_vector"], ",.0f")])
        )
    return table


def _share(value: float, low: float, high: float) -> str:
    return (
        f"{_number(100 * value, '.1f')} [{_number(100 * low, '.1f')}, {_number(100 * high, '.1f')}]"
    )


def _number(value: float, form: str = ".3f") -> str:
    return "–" if pd.isna(value) else format(value, form)


def _table(title: str, roomy: bool = True) -> Table:
    return Table(
        title=escape(title),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 1) if roomy else (0, 1, 0, 0),
        header_style="bold",
        title_style="italic",
    )
