"""The verbs that compare two results folders: compare, diff."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from bench.cli.options import FOLDER, json_option, print_json
from bench.cli.telling import Telling, tell, telling_options


@click.command("compare")
@click.argument("baseline", type=FOLDER)
@click.argument("head", type=FOLDER)
@telling_options
def compare_command(baseline: Path, head: Path, telling: Telling) -> None:
    """Tell what got worse than a baseline, what got better, and what cannot be told.

    Exit status 1 if a figure regressed or a trial is missing, 3 with --strict if something cannot
    be told.
    """
    from bench.analysis.regression import compare
    from bench.results.store import load

    found = compare(load(baseline), load(head))
    tell(replace(found, base=str(baseline), head=str(head)), telling)


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
