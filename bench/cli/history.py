"""The verbs of a history: history add, history show."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.completing import complete_figure
from bench.cli.options import FOLDER, json_option, print_json, results_argument

_DEFAULT = Path("results/history.parquet")
history_option = click.option(
    "--history",
    "path",
    type=FOLDER,
    default=_DEFAULT,
    show_default=True,
    help="The file that holds the history.",
)


@click.group("history")
def history_command() -> None:
    """Follow figures from commit to commit: when did what change?"""


@history_command.command("add")
@results_argument
@history_option
@click.option("--commit", metavar="NAME", help="The commit measured.  [default: HEAD of git here]")
@click.option(
    "--date", metavar="ISO", help="When it was committed.  [default: git's date, else now]"
)
def add_command(results: Path, path: Path, commit: str | None, date: str | None) -> None:
    """Add the trials of a results folder to a history, as measured at a commit.

    Adding the same results again changes nothing. A commit that is measured anew has another
    sample of each figure.
    """
    from bench.commits import commit_of, short
    from bench.results.history import add

    done = add(results, commit_of(commit, date), path)
    name = short(done.commit.name)
    for machine in done.other_machines:
        click.echo(f"left out: trials measured on another machine ({machine})", err=True)
    known = sum(done.known.values())
    if done.trials:
        sample = f", sample {done.sample} of it" if done.sample > 1 else ""
        rest = f"; {known} were in it already" if known else ""
        print(f"{path}: {done.trials} trials added for commit {name}{sample}{rest}")
    else:
        of = ", ".join(short(each) for each in done.known)
        print(f"{path}: nothing added, all {known} trials are in it already (commit {of})")


@history_command.command("show")
@history_option
@click.option(
    "--figure",
    "figures",
    metavar="NAME",
    multiple=True,
    shell_complete=complete_figure,
    help="Only this figure; may be repeated.",
)
@click.option(
    "--where",
    "condition",
    metavar="EXPRESSION",
    help="Only rows of which it holds, as in 'backend == \"faiss-hnsw\" and dim <= 128'.",
)
@click.option(
    "--rows",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Most changes of each machine and data; 0 for all.",
)
@json_option
@click.option("--out", type=FOLDER, help="Draw each figure over the commits into this folder.")
def show_command(
    path: Path,
    figures: tuple[str, ...],
    condition: str | None,
    rows: int,
    as_json: bool,
    out: Path | None,
) -> None:
    """Tell which figures changed, and at which commit; no verdict, exit status 0.

    Series of two machines, or of two sets of data, are never joined. Quality and sizes that repeat
    exactly are compared exactly. Of times, steps and drifts of 5 % or more are found, with about a
    1 % probability of a false alarm in all of them; a step needs four measurements before it and
    four from it on. Columns are those of bench/results/README.md.
    """
    from bench.analysis.history import find_changes
    from bench.errors import NothingToShow
    from bench.results.history import load_history

    frame = load_history(path)
    if condition is not None:
        from bench.analysis.selection import where

        frame = where(frame, condition)
        if frame.empty:
            raise NothingToShow(f"no row of {path} has {condition}")
    found = find_changes(frame, list(figures) or None)
    if as_json:
        print_json(found.record())
    else:
        from bench.report.history import show_history

        show_history(found, rows)
    if out is not None:
        from bench.report.history_figure import save_history

        for written in save_history(found, out):
            click.echo(written, err=as_json)
