"""Tables made to fit a terminal, by what they leave out.

Names are folded between their words first. Then bounds of intervals and columns go, in the order
that the table declares. A number is never broken.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.markup import escape
from rich.table import Table as Drawn
from rich.text import Text

from bench.analysis.text_table import Table
from bench.console import Console
from bench.report.console import put

_GAP = 2
_NAME_SHARE = 0.4
"""Most of the width that names take before they are folded."""
_LEAST_NAME = 18
_NUMBER = ("", *"–+−-0123456789")
"""Beginnings of cells that stand to the right."""
_UNKNOWN = "–"
_WORD = re.compile(r"^ *[^ ]+|[^ ]+")
_BOUNDS = re.compile(r" \[[^\]]*\]|, [^ ,]+–[^ ,]+$")
_IN_HEADING = re.compile(r",? \[95 %\]|, 95 % of them|, least–most")
"""What a heading says of the bounds."""


@dataclass(frozen=True)
class Fitted:
    """A table for a width, its cells in lines."""

    table: Table
    left_out: tuple[str, ...]
    """What is left out, in words: columns and intervals."""


def fitted(table: Table, width: int) -> Fitted:
    """Return as much of `table` as fits `width` characters, by its `leave_out`.

    If all of that is not enough, columns go from the right, down to two.
    """
    first, *others = ([h, *(row[i] for row in table.rows)] for i, h in enumerate(table.headings))
    names, columns = list(table.headings), [first, *([_lines(x) for x in c] for c in others)]
    left_out: list[str] = []
    if _width(columns) > width:
        most = max(_LEAST_NAME, int(_NAME_SHARE * width))
        columns = [_folded(first, most), *map(_with_folded_heading, columns[1:])]
    for heading in table.leave_out:
        if _width(columns) <= width:
            break
        if heading not in names:
            continue
        at = names.index(heading)
        shorter = _with_folded_heading(_without_bounds(columns[at]))
        if shorter[1:] != columns[at][1:]:
            columns[at] = shorter
            left_out.append(f"intervals of {_IN_HEADING.sub('', heading)}")
        else:
            del columns[at], names[at]
            name = _IN_HEADING.sub("", heading)
            left_out = [*(x for x in left_out if x != f"intervals of {name}"), name]
    if (beyond := _width(columns) - width) > 0:
        columns[0] = _folded(first, max(_LEAST_NAME, _wide(columns[0]) - beyond))
    while len(columns) > 2 and sum(_narrowest(columns)) + _GAP * (len(columns) - 1) > width:
        columns.pop()
        left_out.append(names.pop())
    headings, *rows = zip(*columns, strict=True)
    if left_out:
        rows = [row for row in rows if set(row[1:]) != {_UNKNOWN}]
    return Fitted(Table(table.title, headings, rows), tuple(left_out))


def print_table(table: Table, console: Console) -> tuple[str, ...]:
    """Print a table with its title, fitted to the console; return what is left out, in words."""
    found = fitted(table, console.width)
    drawn = Drawn(
        box=None,
        pad_edge=False,
        padding=(0, _GAP, 0, 0),
        header_style="bold",
        show_header=any(found.table.headings),
    )
    columns = [*zip(found.table.headings, *found.table.rows, strict=True)]
    for column, width in zip(columns, _widths(columns, console.width), strict=True):
        numbers = column is not columns[0] and all(x[:1] in _NUMBER for x in column[1:])
        drawn.add_column(
            escape(column[0]),
            justify="right" if numbers else "left",
            overflow="fold",
            width=width,
        )
    for row in found.table.rows:
        drawn.add_row(*map(Text, row))
    if table.title:
        console.print(f"\n[italic]{escape(table.title)}[/italic]", highlight=False)
    put(console, drawn)
    return found.left_out


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(map(_wide, columns)) + _GAP * (len(columns) - 1)


def _wide(column: Sequence[str]) -> int:
    """Return the width of the longest line."""
    return max(map(cell_len, "\n".join(column).split("\n")))


def _least(column: Sequence[str]) -> int:
    """Return the width of the longest word, with the blanks before it where it begins a line."""
    lines = "\n".join(column).split("\n")
    return max(cell_len(word) for line in lines for word in _WORD.findall(line) or [""])


def _narrowest(columns: Sequence[Sequence[str]]) -> list[int]:
    # Names are folded already.
    return [_wide(columns[0]), *map(_least, columns[1:])]


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return a width for each column, so that all fit: the widest are narrowed, to a word."""
    found, least = [*map(_wide, columns)], _narrowest(columns)
    room = width - _GAP * (len(columns) - 1)
    while sum(found) > room:
        spare = [(have, i) for i, have in enumerate(found) if have > least[i]]
        if not spare:
            break
        found[max(spare)[1]] -= 1
    return found


def _lines(cell: str) -> str:
    """Return a cell with a line for each of its parts: one of several, settings in brackets."""
    return cell.replace("; ", "\n").replace(" (", "\n(")


def _folded(column: Sequence[str], most: int) -> list[str]:
    """Return names of at most `most` characters a line, later lines indented."""
    return [
        textwrap.fill(
            cell, most, subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )
        for cell in column
    ]


def _with_folded_heading(column: Sequence[str]) -> list[str]:
    heading, *cells = column
    wide = max(map(cell_len, "\n".join(cells).split("\n")), default=1)
    wide = max(wide, *map(cell_len, heading.split()), 1)
    lines = textwrap.wrap(heading.replace("\n", " "), wide, break_on_hyphens=False)
    return ["\n".join(lines), *cells]


def _without_bounds(column: Sequence[str]) -> list[str]:
    heading, *cells = column
    heading = _IN_HEADING.sub("", heading.replace("\n", " "))
    return [heading, *(_BOUNDS.sub("", cell) for cell in cells)]
