"""The verb that compares two results folders: compare."""

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
