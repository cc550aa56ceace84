"""Names that a study can use, with their facts, for the terminal and as JSON."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from rich.table import Table
from rich.text import Text

from bench import registry
from bench.codes.table import in_brief
from bench.console import Console
from bench.report.console import put, stdout_console

KINDS = ("datasets", "encoders", "reducers", "backends", "figures", "studies")
_FEW = ("name", "kind", "precisions", "runs here")
"""Columns of the table of backends, which have too many facts for it."""
_ROOMY = 140
"""Columns needed to say what each backend is, too."""
_WHOLE = ("name", "kind", "runs here", "timed")
"""Columns that are never folded."""
_LONGEST_NAME = 24
"""Longer names leave no room for other columns in a terminal of 80 columns."""


def listing(kind: str) -> list[dict[str, Any]]:
    """Return every fact of each member of a kind, one row per member, by column."""
    if kind == "datasets":
        from bench.datasets import sources

        return [{"name": s.usage, "is": s.summary} for s in sources().values()]
    if kind == "encoders":
        from bench.encoders import encoder_classes

        return [{"name": e.usage, "is": e.summary} for e in encoder_classes().values()]
    if kind == "reducers":
        from bench.reducers import reducers

        return [
            {"name": r.name, "is": r.summary, "parameters": r.grid or ""}
            for r in reducers().values()
        ]
    if kind == "backends":
        from bench.backends import backends

        return [
            {
                "name": b.name,
                "is": b.summary,
                "kind": b.kind,
                "version": b.version(),
                "licence": b.licence,
                "precisions": ", ".join(b.precision_names()),
                "stages": "own" if b.native_stages else "",
                "threads": "starts its own" if b.own_threads else "as requested",
                "runs here": "yes" if b.available() else f"no: {b.install}",
                "build": b.build_grid or "",
                "search": b.search_grid or "",
            }
            for b in backends().values()
        ]
    if kind == "figures":
        from bench.figures import figures as found

        return [{"name": name, "is": module.TITLE} for name, module in found().items()]
    from bench.study.plan import EXACT, plan
    from bench.study.reader import load_study, shipped

    rows = []
    for name in shipped():
        study = load_study(name)
        trials = [trial for trial in plan(study) if trial.backend != EXACT]
        several = len({trial.backend for trial in trials})
        rows.append(
            {
                "name": name,
                "timed": f"{len(trials)} configurations of {several} backends",
                "dimensions": ", ".join(map(str, study.all_dimensions)),
                "dataset": ", ".join(study.dataset),
            }
        )
    return rows


def names(kind: str) -> list[str]:
    """Return the name of each member of a kind, without an argument, for a shell to complete."""
    if kind == "studies":
        from bench.study.reader import shipped

        return shipped()
    if kind == "figures":
        return registry.file_names(kind)
    return [row["name"].partition(":")[0] for row in listing(kind)]


def print_rows(rows: list[dict[str, Any]], kind: str, as_blocks: bool = False) -> None:
    """Print `rows` of a kind as a table; as one block per row on request or for long names."""
    console = stdout_console()
    if as_blocks or max(len(row["name"]) for row in rows) > _LONGEST_NAME:
        between = "\n\n" if max(map(len, rows)) > 2 else "\n"
        print(between.join(_block(row, console.width) for row in rows))
    else:
        columns = tuple(rows[0])
        if kind == "backends":
            columns = _FEW if console.width < _ROOMY else ("name", "is", *_FEW[1:])
        _print_table(rows, columns, console)


def _print_table(rows: list[dict[str, Any]], columns: tuple[str, ...], console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in _WHOLE, overflow="fold")
    for row in rows:
        # As Text, because rich reads square brackets in a string as markup.
        cells = {column: _plain(row[column]) for column in columns}
        if "precisions" in cells:
            cells["precisions"] = in_brief(cells["precisions"].split(", "))
        if "runs here" in cells:
            cells["runs here"] = cells["runs here"].partition(":")[0]
        table.add_row(*(Text(cell) for cell in cells.values()))
    put(console, table)


def _block(row: dict[str, Any], columns: int) -> str:
    """Return the name of a row and, indented below it, its other facts."""
    lines, facts = [row["name"]], {k: _plain(v) for k, v in row.items() if k != "name"}
    width = max(map(len, facts)) + 2 if len(facts) > 1 else 0
    for key, text in facts.items():
        if text:
            first = f"  {key if width else '':<{width}}"
            lines.append(
                textwrap.fill(
                    text,
                    columns,
                    initial_indent=first,
                    subsequent_indent=" " * len(first),
                    break_on_hyphens=False,
                )
            )
    return "\n".join(lines)


def _plain(value: Any) -> str:
    """Return a fact as text, parameters as in a study: ``M = [16, 32], seed = [100]``."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} = {json.dumps(values)}" for key, values in value.items())
