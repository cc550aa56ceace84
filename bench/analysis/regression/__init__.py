"""The regression gate: what the head of a change lost against its base, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from bench.analysis.regression.findings import Comparison, Ended, Finding
from bench.analysis.regression.folders import anchored
from bench.analysis.regression.limits import Limit, limits
from bench.analysis.regression.pairs import decide
from bench.analysis.regression.trials import Matched, Row, matched, other_versions
from bench.errors import UsageError

__all__ = ["Comparison", "Ended", "Finding", "compare", "compare_pairs"]

OTHER_MACHINE_TOLERANCE = 0.01
"""Another processor sums in another order, which can change an edge of a graph and so a rank."""


def compare_pairs(
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
    chosen: Mapping[str, Limit] | None = None,
    labels: tuple[str, str] = ("base", "head"),
    suite: Sequence[tuple[Row, Row]] = (),
) -> Comparison:
    """Compare the trials of process pairs, (base, head) each, that were measured in turns.

    `chosen` are the limits, those of `bench.analysis.regression.limits` by default; `labels` say
    what the sides are; `suite` has the figures of `limits.SUITE` in each pair. Raises UsageError
    without a pair, without a configuration in common, or if the data behind a name differ.
    """
    if not pairs:
        raise UsageError("there is no whole process pair to compare: measure at least one")
    trials, ended = matched(pairs)
    compared = len(trials)
    if suite:
        trials.append(Matched("the suite", "the suite", False, False, (), tuple(suite)))
    bases, heads = (pd.concat(side) for side in zip(*pairs, strict=True))
    return Comparison(
        *labels,
        compared=compared,
        pairs=len(pairs),
        findings=decide(trials, limits() if chosen is None else chosen),
        ended=ended,
        machine=str(heads["machine"].iloc[-1] or ""),
        versions=other_versions(bases, heads),
    )


def compare(
    base: pd.DataFrame, head: pd.DataFrame, chosen: Mapping[str, Limit] | None = None
) -> Comparison:
    """Compare the trials of two results that were measured at different times.

    Quality is compared exactly. Of two machines it is compared to within what rounding changes, and
    speed is not compared. On one machine speed is compared by the ratio to exact search that each
    run measured beside every configuration. The notes say what that cannot see. Raises as
    `compare_pairs` does.
    """
    chosen = limits() if chosen is None else chosen
    trials, ended = matched([(base, head)])
    machines = [str(frame["machine"].iloc[-1] or "") for frame in (base, head)]
    one_machine = set(base["machine"]) == set(head["machine"])
    steady = {name: limit for name, limit in chosen.items() if limit.kind != "noisy"}
    findings = decide(trials, steady, 0.0 if one_machine else OTHER_MACHINE_TOLERANCE)
    notes: list[str] = []
    if one_machine:
        found, notes = anchored(trials, chosen)
        findings += found
    else:
        notes.append(
            f"two machines, {machines[0]} and {machines[1]}: quality is compared to within "
            f"{OTHER_MACHINE_TOLERANCE:g}, and speed is not compared"
        )
    return Comparison(
        "base",
        "head",
        compared=len(trials),
        pairs=0,
        findings=findings,
        ended=ended,
        notes=notes,
        machine=machines[1],
        versions=other_versions(base, head),
    )
