"""The verb that prints results: show."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from bench.cli.completing import complete_columns
from bench.cli.options import margin_option, print_json, results_argument


class _Columns(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.5
    """Comma-separated names of columns."""

    name = "COLUMN,…"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        names = [part.strip() for part in value.split(",")]
        if not all(names):
            self.fail(f"'{value}' is not a list of comma-separated columns", param, ctx)
        return names


@click.command("show")
@results_argument
@margin_option
@click.option(
    "--where",
    "condition",
    metavar="EXPRESSION",
    help="List the trials of which it holds, as in 'dim <= 128 and backend == \"faiss-hnsw\"'.",
)
@click.option(
    "--sort",
    "order",
    type=_Columns(),
    shell_complete=complete_columns,
    help="List the trials by these columns; -COLUMN for descending.",
)
@click.option(
    "--columns",
    type=_Columns(),
    shell_complete=complete_columns,
    help="List these columns of the trials.",
)
@click.option(
    "--rows", type=click.IntRange(0), help="Most trials listed; 0 for all.  [default: 40, or all]"
)
@click.option("--json", "form", flag_value="json", help="Print the trials as JSON.")
@click.option("--csv", "form", flag_value="csv", help="Print the trials as CSV, every column.")
@click.option("--markdown", "form", flag_value="markdown", help="Print them as a Markdown table.")
@click.option(
    "--latex", "form", flag_value="latex", help="Print them as a LaTeX table (package booktabs)."
)
def show_command(
    results: Path,
    margin: float,
    condition: str | None,
    order: list[str] | None,
    columns: list[str] | None,
    rows: int | None,
    form: str | None,
) -> None:
    """Print the quality at each dimension and the Pareto-optimal configurations.

    With --where, --sort, --columns or --rows: a table of trials, those on the Pareto front marked.
    Columns are those of bench/results/README.md, `label` (the configuration) and `pareto` (whether
    it is on the front of all trials). An expression has columns, numbers, texts, + - * /,
    comparisons, `in` a list, `is None`, and, or, not.

    Tables fit the terminal, or COLUMNS, by what they leave out; in a pipe they are 120 wide.
    """
    if form is None and condition is None and not order and not columns and rows is None:
        from bench.analysis.summary import summarise
        from bench.report.terminal import show

        show(summarise(results, margin=margin))
        return

    from bench.analysis.selection import FRONT, LABEL, check_column, named, ordered, where
    from bench.report.trials import (
        ROWS,
        as_csv,
        as_latex,
        as_markdown,
        records,
        show_trials,
        usual_columns,
    )
    from bench.results.rows import quality_of
    from bench.results.store import load_of_last_machine

    frame, others = load_of_last_machine(results)
    raw, asked = list(frame), f"{condition} {order} {columns}"
    if form != "csv" or LABEL in asked or FRONT in asked:
        frame = named(frame)
    for name in columns or []:
        check_column(frame, name)
    for machine in others:
        print(f"left out: trials measured on another machine ({machine})", file=sys.stderr)
    found = frame if condition is None else where(frame, condition)
    if order is None and form not in ("json", "csv"):
        # People read from the best on; programs get the order of measurement.
        order = [f"-{FRONT}", f"-{quality_of(frame).column}"]
    found = ordered(found, order) if order else found
    if form is None:
        most = ROWS if rows is None else rows
        show_trials(found, columns, of=len(frame), most=most, order=order or ())
        return
    found = found.head(rows) if rows else found
    if form == "json":
        print_json(records(found[columns] if columns else found))
    elif form == "csv":
        print(as_csv(found[columns or raw]), end="")
    else:
        table = as_markdown if form == "markdown" else as_latex
        print(table(found, columns or usual_columns(found)), end="")
