"""What the verbs of the gate share: which sides to measure, what is decided, how far it is."""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bench.cli.options import BUDGET, answer_alone

if TYPE_CHECKING:  # a key press that completes a word waits for what is imported
    import pandas as pd

    from bench.analysis.regression import Comparison
    from bench.analysis.regression.limits import Limit
    from bench.gate import Progress

COMPARED, REGRESS = Path("results/compare"), Path("results/regress")
"""Folders of pairs by default. What they hold of other sides is measured again."""
_SIDE_OPTIONS = (
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
        help="Requirements file within each revision, which pip installs for it.",
    ),
    click.option(
        "--pairs", type=click.IntRange(1), help="Process pairs.  [default: 5, or 3 with --quick]"
    ),
    click.option("--budget", type=BUDGET, help="Begin no pair that would end later, as in 10m."),
)
_DECISION_OPTIONS = (
    click.option(
        "--limit",
        "limits",
        multiple=True,
        metavar="FIGURE=VALUE",
        help="Largest change that is no regression, as latency_ms_p95=15% or ndcg_at_10=0.005; "
        "FIGURE=off to leave it out.",
    ),
    click.option(
        "--where",
        "condition",
        metavar="EXPRESSION",
        help="Compare the trials of which it holds, as in 'dim == 128'.",
    ),
)


@dataclass(frozen=True)
class Chosen:
    """How the two sides are made and measured, as the options say."""

    packages: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    requirements: str | None = None
    pairs: int | None = None
    budget: float | None = None


@dataclass(frozen=True)
class Decision:
    """What is compared and how strictly, as the options say."""

    changed: tuple[str, ...]
    condition: str | None

    def limits(self, quick: bool = False) -> dict[str, Limit]:
        """Return the limits; raises UsageError for one that makes no sense."""
        from bench.analysis.regression.limits import limits

        return limits(self.changed, quick)

    def rows(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the trials that are compared."""
        from bench.analysis.selection import where

        return frame if self.condition is None else where(frame, self.condition)


def side_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `Chosen` to a command, which gets them as its argument `chosen`."""
    names = Chosen.__dataclass_fields__

    @functools.wraps(command)
    def told(*given: Any, **named: Any) -> None:
        chosen = Chosen(**{name: named.pop(name) for name in names})
        command(*given, chosen=chosen, **named)

    for option in reversed(_SIDE_OPTIONS):
        option(told)
    return told


def decision_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `Decision` to a command, which gets them as its argument `decision`."""

    @functools.wraps(command)
    def told(*given: Any, limits: tuple[str, ...], condition: str | None, **named: Any) -> None:
        command(*given, decision=Decision(limits, condition), **named)

    for option in reversed(_DECISION_OPTIONS):
        option(told)
    return told


def measured(
    study: str,
    base: str | None,
    head: str | None,
    out: Path,
    chosen: Chosen,
    decision: Decision,
    quick: bool = False,
) -> Comparison:
    """Measure two sides and compare them.

    Without `base` it is the commit that the branch left, or the working tree where the sides differ
    by packages. Raises as `bench.gate.measure_and_compare` does.
    """
    from bench.gate import PAIRS, QUICK_PAIRS, Wanted, measure_and_compare
    from bench.gate.sides import WORKING_TREE, merge_base
    from bench.study.reader import load_study

    if base is None:
        base = WORKING_TREE if chosen.packages or chosen.against else merge_base()
    with _progress() as told, answer_alone():
        return measure_and_compare(
            load_study(study),
            Wanted(base, chosen.against),
            Wanted(head or WORKING_TREE, chosen.packages),
            out,
            pairs=chosen.pairs or (QUICK_PAIRS if quick else PAIRS),
            seconds=chosen.budget or math.inf,
            limits=decision.limits(quick),
            condition=decision.condition,
            requirements_file=chosen.requirements,
            quick=quick,
            anew=out in (COMPARED, REGRESS),
            told=told,
        )


@contextmanager
def _progress() -> Iterator[Callable[[Progress], None]]:
    """Yield what shows how far a comparison is, on standard error."""
    from bench.console import Console

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
