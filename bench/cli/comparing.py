"""The verbs that compare two sides: compare, regress, diff."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from bench.cli.completing import complete_study
from bench.cli.gating import (
    COMPARED,
    REGRESS,
    Chosen,
    Decision,
    decision_options,
    measured,
    side_options,
)
from bench.cli.options import FOLDER, json_option, print_json
from bench.cli.telling import Telling, tell, telling_options
from bench.errors import UsageError


@click.command("compare")
@click.argument("base", required=False)
@click.argument("head", required=False)
@click.option("--run", is_flag=True, help="Measure both sides now, in turns; they are revisions.")
@click.option(
    "--study",
    default="regress",
    show_default=True,
    shell_complete=complete_study,
    help="What --run measures.",
)
@click.option("--out", type=FOLDER, help="Folder of the pairs.  [default: results/compare]")
@side_options
@decision_options
@telling_options
def compare_command(
    base: str | None,
    head: str | None,
    run: bool,
    study: str,
    out: Path | None,
    chosen: Chosen,
    decision: Decision,
    telling: Telling,
) -> None:
    """Tell what got worse from BASE to HEAD, what got better, and what cannot be told.

    Two results folders are compared by their tables. With --run, BASE and HEAD are git revisions of
    this repository, or . for the working tree; both are measured in turns, in fresh processes. BASE
    is then by default where the branch left main, and HEAD the working tree. With --with or
    --against both are the working tree, and differ by these packages.

    Exit status 1 if a figure regressed or a trial is missing, 3 with --strict if something cannot
    be told.
    """
    if run:
        tell(measured(study, base, head, out or COMPARED, chosen, decision), telling)
        return
    if chosen != Chosen() or out:
        raise UsageError(
            "--with, --against, --requirements, --pairs, --budget and --out need --run"
        )
    if base is None or head is None:
        raise UsageError("compare takes two results folders, or --run and two revisions")
    from bench.analysis.regression import compare
    from bench.analysis.regression.queries import with_queries
    from bench.results.store import load

    one, other = (decision.rows(load(folder)) for folder in (base, head))
    found = compare(one, other, decision.limits())
    found = with_queries(found, (one, other), (Path(base), Path(head)))
    tell(replace(found, base=base, head=head), telling)


@click.command("regress")
@click.argument("base", required=False)
@click.option("--quick", is_flag=True, help="Measure one index per backend, in about a minute.")
@click.option(
    "--study", default="regress", show_default=True, shell_complete=complete_study, help="Study."
)
@click.option("--out", type=FOLDER, help="Folder of the pairs.  [default: results/regress]")
@side_options
@decision_options
@telling_options
def regress_command(
    base: str | None,
    quick: bool,
    study: str,
    out: Path | None,
    chosen: Chosen,
    decision: Decision,
    telling: Telling,
) -> None:
    """Measure the working tree against BASE, and fail if it lost anything.

    BASE is a git revision, by default where the branch left main; on main itself the commit before.
    --quick shares the usual cache of vectors and exact results, so a change of these is not seen.
    Exit statuses are those of compare.
    """
    tell(measured(study, base, None, out or REGRESS, chosen, decision, quick=quick), telling)


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
