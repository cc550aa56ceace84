"""What differs between two results folders, in the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.markup import escape

from bench.analysis.difference import BUILD, QUALITY, Changed, Changes, Difference, Figure
from bench.analysis.regression.limits import OTHER_VERSIONS_TOLERANCE
from bench.analysis.text_table import Table, interval, number
from bench.console import Console
from bench.report.console import stdout_console
from bench.report.fitting import fitted, print_table
from bench.report.terminal import say_left_out
from bench.report.words import word
from bench.results.derived import ALL_COLUMNS


def show_difference(
    found: Difference, a: str, b: str, most: int = 8, console: Console | None = None
) -> None:
    """Print what differs between folders `a` and `b`: `most` lines of each kind, 0 for all."""
    console = console or stdout_console()

    def say(text: str) -> None:
        console.print(escape(text), highlight=False)

    say(f"A {a}\nB {b}")
    only = f"{len(found.only_a)} only in A, {len(found.only_b)} only in B"
    say(f"{found.shared} trials in both, {only}")
    _say_where(found, say)
    if found.nothing:
        say("nothing differs")
        return
    for title, names in (
        ("only in A", found.only_a),
        ("only in B", found.only_b),
        ("ended otherwise", found.ended),
    ):
        say_list(title, names, most, say)
    left_out: list[str] = []
    for changes in found.changes:
        left_out += _print_changes(changes, most, console)
    same = [word(each.column) for each in found.changes if not each.changed]
    if same:
        say(f"\nno difference shown in {', '.join(same)}")
    say_left_out(left_out, console)


def _say_where(found: Difference, say: Callable[[str], None]) -> None:
    one, other = found.machines
    if one != other:
        say(
            f"two machines, A {one} and B {other}: "
            + (
                "times are compared as asked"
                if any(each.column not in QUALITY for each in found.changes)
                else "only quality is compared (--times for the rest)"
            )
            + f"; another processor may move a rank, and quality by {OTHER_VERSIONS_TOLERANCE:g}"
        )
    for dataset, text in found.other_data.items():
        say(f"{dataset}: {text}")
    if found.versions:
        pairs = found.versions.items()
        say("versions: " + ", ".join(f"{n} {x or 'none'} → {y or 'none'}" for n, (x, y) in pairs))


def say_list(title: str, names: Sequence[str], most: int, say: Callable[[str], None]) -> None:
    """Say a list below its title, `most` of it, 0 for all; nothing if it is empty."""
    if names:
        shown = names[:most] if most else names
        say(f"\n{title} ({len(names)}):")
        for name in shown:
            say(f"  {name}")
        if len(shown) < len(names):
            say(f"  … {len(names) - len(shown)} more")


def _print_changes(changes: Changes, most: int, console: Console) -> tuple[str, ...]:
    """Print the changes in one column; return what was left out, in words."""
    if not changes.changed:
        return ()
    column = ALL_COLUMNS[changes.column]
    by_interval = column.interval and changes.column not in QUALITY
    shown = changes.changed[:most] if most else changes.changed
    noise = ", noise included" if changes.column == BUILD else ""
    title = (
        f"{word(changes.column)}: {len(changes.changed)} of {changes.both} differ"
        f"{' by more than their intervals' if by_interval else noise}; "
        f"median B/A of all {number(changes.median_ratio)}"
    )
    table = _table(title, changes, shown, column.interval)
    left_out: tuple[str, ...] = ()
    if column.interval and fitted(table, console.width).table.headings != table.headings:
        # Bounds of one side alone would be worse than none.
        table = _table(title, changes, shown, False)
        left_out = (f"intervals of {word(changes.column)}",)
    left_out += print_table(table, console)
    if more := len(changes.changed) - len(shown):
        console.print(f"… {more} more", highlight=False)
    return left_out


def _table(title: str, changes: Changes, shown: Sequence[Changed], bounds: bool) -> Table:
    form = ".3g" if changes.column == BUILD else ALL_COLUMNS[changes.column].form
    heads = ("A [95 %]", "B [95 %]") if bounds else ("A", "B")
    rows: list[tuple[str, ...]] = [
        (each.configuration, *(_text(x, form, bounds) for x in (each.a, each.b)), _change(each))
        for each in shown
    ]
    return Table(title, ("configuration", *heads, "change"), rows, heads if bounds else ())


def _text(figure: Figure, form: str, bounds: bool) -> str:
    if not bounds or math.isnan(figure.low):
        return number(figure.value, form)
    return interval(figure.value, figure.low, figure.high, form)


def _change(each: Changed) -> str:
    if each.a.value > 0:
        ratio = each.b.value / each.a.value
        return f"{ratio - 1:+.1%}" if ratio < 2 else f"{ratio:.1f}×"
    return f"{each.b.value - each.a.value:+.3f}"
