"""The verbs that measure both sides of a change: compare --run, regress."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import BUDGET, answer_alone

if TYPE_CHECKING:
    from bench.analysis.regression import Comparison
    from bench.gate import Progress

_RUN_OPTIONS = (
    click.option(
        "--with",
        "packages",
        multiple=True,
        metavar="REQUIREMENT",
        help="Package of the head alone, as faiss-cpu==1.15.1.",
    ),
    click.option(
        "--against",
        multiple=True,
        metavar="REQUIREMENT",
        help="Package of the base alone, as faiss-cpu==1.14.3.",
    ),
    click.option(
        "--requirements",
        metavar="FILE",
        help="Requirements file within each revision that pip installs for it.",
    ),
    click.option("--pairs", type=click.IntRange(1), help="Process pairs.  [default: 5; quick: 3]"),
    click.option("--budget", type=BUDGET, help="Begin no pair that would end later, as in 10m."),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a comparison that measures."""
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


def measured(
    study: str,
    base: str | None,
    head: str | None,
    out: Path,
    *,
    packages: tuple[str, ...],
    against: tuple[str, ...],
    requirements: str | None,
    pairs: int | None,
    budget: float | None,
    changed: tuple[str, ...],
    condition: str | None,
    quick: bool = False,
) -> Comparison:
    """Measure two sides and compare them; without `base`, what the branch left or the working tree.

    The working tree is the base if the sides differ by packages alone. Raises as
    `bench.gate.measure_and_compare` does.
    """
    from bench.analysis.regression.limits import limits
    from bench.gate import PAIRS, QUICK_PAIRS, Wanted, measure_and_compare
    from bench.gate.sides import WORKING_TREE, merge_base
    from bench.study.reader import load_study

    chosen = limits(changed)
    if base is None:
        base = WORKING_TREE if packages or against else merge_base()
    with _progress() as told, answer_alone():
        return measure_and_compare(
            load_study(study),
            Wanted(base, against),
            Wanted(head or WORKING_TREE, packages),
            out,
            pairs=pairs or (QUICK_PAIRS if quick else PAIRS),
            seconds=budget or math.inf,
            limits=chosen,
            condition=condition,
            requirements_file=requirements,
            quick=quick,
            told=told,
        )


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Yield what shows how far a comparison is, on standard error."""
    from rich.console import Console

    console = Console(stderr=True)
    shown = 0
    with console.status("preparing both sides") if console.is_terminal else nullcontext() as status:

        def told(progress: Progress) -> None:
            nonlocal shown
            line = f"pair {progress.pair} of {progress.pairs}"
            if not math.isnan(progress.seconds_left):
                line += f", {progress.seconds_left / 60:.1f} min left"
            if status is not None:
                status.update(f"{line}: {progress.slice}")
            elif progress.pair != shown:
                shown = progress.pair
                print(line, file=sys.stderr, flush=True)

        yield told
