"""Names that a study can use, with their facts, for the terminal and as JSON."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

KINDS = ("datasets", "encoders", "reducers", "backends", "figures", "studies")
_COMPACT = {"backends": ("name", "kind", "precisions", "runs here")}
"""Columns of the terminal table, for kinds with too many facts for 80 columns."""
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
    from bench.study.reader import shipped

    return [{"name": name} for name in shipped()]


def print_rows(rows: list[dict[str, Any]], kind: str, as_blocks: bool = False) -> None:
    """Print `rows` of a kind as a table; as one block per row on request or for long names."""
    if as_blocks or max(len(row["name"]) for row in rows) > _LONGEST_NAME:
        print("\n\n".join(map(_block, rows)))
    else:
        _print_table(rows, _COMPACT.get(kind, tuple(rows[0])))


def _print_table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in ("name", "kind", "runs here"), overflow="fold")
    for row in rows:
        # As Text, because rich reads square brackets in a string as markup.
        cells = {column: _plain(row[column]) for column in columns}
        if "runs here" in cells:
            cells["runs here"] = cells["runs here"].partition(":")[0]
        table.add_row(*(Text(cell) for cell in cells.values()))
    Console().print(table)


def _block(row: dict[str, Any]) -> str:
    """Return the name of a row and, indented below it, its other facts."""
    width, lines = max(map(len, row)), [row["name"]]
    columns = shutil.get_terminal_size().columns
    for key, value in row.items():
        if key != "name" and (text := _plain(value)):
            first, rest = f"  {key:<{width}}  ", " " * (width + 4)
            lines.append(textwrap.fill(text, columns, initial_indent=first, subsequent_indent=rest))
    return "\n".join(lines)


def _plain(value: Any) -> str:
    """Return a fact as text, parameters as in a study: ``M = [16, 32], seed = [100]``."""
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{key} = {json.dumps(values)}" for key, values in value.items())
