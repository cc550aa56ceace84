"""The verbs that compare two results folders: compare, diff."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from bench.cli.options import FOLDER, json_option, print_json


@click.command("compare")
@click.argument("baseline", type=FOLDER)
@click.argument("head", type=FOLDER)
@json_option
def compare_command(baseline: Path, head: Path, as_json: bool) -> None:
    """List regressions from a baseline; exit status 1 if there is one or a trial is missing."""
    from bench.analysis.regression import compare
    from bench.results.store import load

    found = compare(load(baseline), load(head))
    if as_json:
        print_json({"ok": found.ok, **asdict(found)})
    else:
        for title, entries in (
            ("regressions", found.regressions),
            ("missing", found.missing),
            ("improvements", found.improvements),
        ):
            if entries:
                lines = (entry.text for entry in entries)
                print(f"{title} ({len(entries)}):", *lines, sep="\n  ")
        print(*found.notes, sep="\n", end="\n" if found.notes else "")
        verdict = "no regression" if found.ok else "REGRESSION"
        print(f"{found.compared} trials compared: {verdict}")
    if not found.ok:
        raise click.exceptions.Exit(1)


@click.command("diff")
@click.argument("a", type=FOLDER)
@click.argument("b", type=FOLDER)
@click.option("--times", is_flag=True, help="Compare times and sizes of different machines too.")
@click.option(
    "--rows",
    type=click.IntRange(0),
    default=8,
    show_default=True,
    help="Most lines of each figure; 0 for all.",
)
@json_option
def diff_command(a: Path, b: Path, times: bool, rows: int, as_json: bool) -> None:
    """Tell what differs between two results folders, A first; no verdict, exit status 0.

    Trials are matched by their configuration. Quality is compared exactly. Of times, those count as
    different whose 95 % intervals do not overlap. Of two machines only quality is compared.
    """
    from bench.analysis.difference import difference
    from bench.report.differing import show_difference
    from bench.results.store import load

    found = difference(load(a), load(b), times=True if times else None)
    if as_json:
        print_json(found.record())
    else:
        show_difference(found, str(a), str(b), rows)
