"""What changed from commit to commit, in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import pandas as pd
from rich.markup import escape

from bench.analysis.change_points import MIN_POINTS
from bench.analysis.history import DRIFT, Change, Found, Place, Series
from bench.analysis.text_table import Table
from bench.commits import short
from bench.console import Console
from bench.report.console import stdout_console
from bench.report.fitting import print_table
from bench.report.terminal import say_left_out, spark
from bench.report.words import word

ROWS = 20
"""Most changes of a machine that are listed, unless another number is asked for."""
_WIDEST = 18
"""Most letters of a spark line; of more commits some share one."""
_HEADINGS = ("what", "commits", "change [95 %]", "", "series", "versions")
_LEAVE_OUT = ("series", "change [95 %]", "versions")
_MOST_VERSIONS = 3


def show_history(found: Found, most: int = ROWS, console: Console | None = None) -> None:
    """Print the changes of each machine and data: `most` of each at most, 0 for all.

    The latest come first, and of one commit the largest. Nothing is wider than the console.
    """
    console = console or stdout_console()
    left_out: list[str] = []
    for place, series in _by_place(found.series):
        own = [change for change in found.changes if change.series[0].place == place]
        _say_where(place, series, found, console)
        if not own:
            console.print("no change found", highlight=False)
            continue
        shown = own[:most] if most else own
        left_out += print_table(changes_table(shown, found), console)
        if more := len(own) - len(shown):
            console.print(f"[dim]{more} more: --rows 0 shows all[/dim]", highlight=False)
    if found.short:
        console.print(f"\n{escape(_too_short(found))}", highlight=False)
    say_left_out(left_out, console)


def changes_table(changes: Sequence[Change], found: Found) -> Table:
    """Return the changes as a table of text, one line each."""
    rows: list[tuple[str, ...]] = [
        (
            _what(change),
            _commits(change, found),
            change_text(change),
            "worse" if change.is_worse else "better",
            _line(change),
            _versions(change),
        )
        for change in changes
    ]
    if not any(change.versions for change in changes):
        return Table("", _HEADINGS[:-1], [row[:-1] for row in rows], _LEAVE_OUT)
    return Table("", _HEADINGS, rows, _LEAVE_OUT)


def change_text(change: Change) -> str:
    """Return the size of a change with its interval: ``+21.3% [18.0, 24.6]``."""
    bounds = (change.low, change.high)
    if change.series[0].is_relative:
        if abs(change.size) >= 2:
            text = f"{1 + change.size:.2f}×"
            ends = ", ".join(f"{1 + x:.2f}" for x in bounds)
        else:
            text = f"{change.size:+.1%}"
            ends = ", ".join(f"{100 * x:.1f}" for x in bounds)
    else:
        text = f"{change.size:+.4f}"
        ends = ", ".join(f"{x:.4f}" for x in bounds)
    return text if math.isnan(change.low) else f"{text} [{ends}]"


def _by_place(series: Sequence[Series]) -> list[tuple[Place, list[Series]]]:
    ordered = sorted(series, key=lambda each: str(each.place))
    return [(place, list(own)) for place, own in groupby(ordered, key=lambda each: each.place)]


def _say_where(place: Place, series: Sequence[Series], found: Found, console: Console) -> None:
    encoder = f" with [bold]{escape(place.encoder)}[/bold]" if place.encoder else ""
    commits = sorted({int(at) for each in series for at in each.commits})
    (first, begin), (last, end) = found.commits[commits[0]], found.commits[commits[-1]]
    console.print(
        f"\n[bold]{escape(place.dataset)}[/bold]{encoder}: {len(series)} series, "
        f"{len(commits)} commits, {short(first)} ({begin[:10]}) to {short(last)} ({end[:10]})",
        highlight=False,
    )
    console.print(f"[dim]{escape(place.machine)}[/dim]", highlight=False)


def _what(change: Change) -> str:
    own = change.series[0]
    drift = " drifts" if change.kind == DRIFT else ""
    if change.of == 1 or len(change.series) == 1:
        of = f" (1 of {change.of})" if change.of > 1 else ""
        return f"{word(change.figure)}{drift}, {own.configuration}{of}"
    return f"{word(change.figure)}{drift}, {own.backend}: {_count(change)}"


def _count(change: Change) -> str:
    return f"{len(change.series)} of {change.of} configurations"


def _commits(change: Change, found: Found) -> str:
    before, at = (short(found.commits[place][0]) for place in (change.before, change.at))
    return f"{before} {'…' if change.kind == DRIFT else '→'} {at}"


def _versions(change: Change) -> str:
    pairs = [f"{n} {a or 'none'} → {b or 'none'}" for n, (a, b) in change.versions.items()]
    more = len(pairs) - _MOST_VERSIONS
    return "; ".join(pairs[:_MOST_VERSIONS] + ([f"{more} more"] if more > 0 else [])) or "same"


def _line(change: Change) -> str:
    """Return the series of a change as blocks, lowest to highest; several as their median."""
    first = min(int(each.commits[0]) for each in change.series)
    last = max(int(each.commits[-1]) for each in change.series)
    letters = min(_WIDEST, last - first + 1)
    edges = np.linspace(first, last + 1, letters + 1)
    lines = []
    for each in change.series:
        bins = np.searchsorted(edges, each.commits, side="right") - 1
        scale = float(np.median(np.abs(each.values))) or 1.0
        own = [each.values[bins == i] / scale for i in range(letters)]
        lines.append([float(np.median(x)) if len(x) else math.nan for x in own])
    middle = pd.DataFrame(lines).median()
    if not math.isnan(change.low):
        # An outlier would leave no room for the levels.
        middle = middle.rolling(3, center=True, min_periods=1).median()
    return spark(middle - middle.min(), float(middle.max() - middle.min()))


def _too_short(found: Found) -> str:
    return (
        f"{found.short} noisy series cannot be judged yet: a step needs {MIN_POINTS} measurements "
        "before it and as many from it on. More commits tell more, and so does measuring a commit "
        "again."
    )
