"""The console that answers are printed on."""

from __future__ import annotations

import os
import sys

from rich.console import RenderableType

from bench.console import Console

PIPE = 120
"""Columns where neither COLUMNS nor a terminal says how wide to be: room for the intervals."""


def stdout_console() -> Console:
    """Return the console of standard output: as wide as COLUMNS, its terminal, or `PIPE`."""
    console = Console()
    streams = (sys.stdin, sys.stdout, sys.stderr)
    if "COLUMNS" not in os.environ and not any(s and s.isatty() for s in streams):
        console.width = PIPE
    return console


def put(console: Console, shown: RenderableType) -> None:
    """Print something without the blanks that fill its lines, unless in a terminal."""
    if console.is_terminal:
        console.print(shown)
        return
    with console.capture() as held:
        console.print(shown)
    console.file.write("".join(f"{line.rstrip()}\n" for line in held.get().splitlines()))
