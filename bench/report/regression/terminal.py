"""A comparison in the terminal, the verdict first."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text

from bench.analysis.regression import Comparison
from bench.analysis.regression.findings import CANNOT_TELL, IMPROVED, REGRESSED, SAME
from bench.analysis.text_table import Table
from bench.console import Console
from bench.report.console import put, stdout_console
from bench.report.differing import say_list
from bench.report.fitting import print_table
from bench.report.regression import phrases
from bench.report.regression.tables import answered, by_backend, largest, unchanged
from bench.report.terminal import say_left_out

_STYLES = {REGRESSED: "bold red", CANNOT_TELL: "bold yellow", SAME: "bold green"}


def show_comparison(found: Comparison, console: Console | None = None, most: int = 8) -> None:
    """Print a comparison: `most` lines of each kind, 0 for all.

    First come the verdict, what was compared and the three largest changes. Then come what
    regressed, what improved, what cannot be told, what ended otherwise, and the median of each
    backend. Nothing is wider than the console; what that leaves out is said at the end.
    """
    console = console or stdout_console()

    def say(text: str) -> None:
        put(console, Text(text))

    put(console, Text(phrases.headline(found), _STYLES[found.verdict]))
    for name, text in phrases.about(found).items():
        say(f"{name:8}  {text}")
    left_out = _print_table(largest(found), 0, console)
    for answer in (REGRESSED, IMPROVED, CANNOT_TELL):
        left_out += _print_table(answered(found, answer), most, console)
    for title, each in phrases.ways_to_end(found).items():
        say_list(title, [phrases.ended(one) for one in each], most, say)
    left_out += _print_table(by_backend(found), 0, console)
    if same := unchanged(found):
        say(f"\nno change that counts in any configuration: {', '.join(same)}")
    for note in found.notes:
        say(f"\nnote: {phrases.clean(note, len(note))}")
    say_left_out(left_out, console)


def _print_table(table: Table, most: int, console: Console) -> tuple[str, ...]:
    """Print the first rows of a table, if there are any; return what is left out of its width."""
    if not table.rows:
        return ()
    shown = table.rows[:most] if most else table.rows
    console.print()
    left_out = print_table(replace(table, rows=shown), console)
    if more := len(table.rows) - len(shown):
        console.print(f"… {more:,} more", highlight=False)
    return left_out
