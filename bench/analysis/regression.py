"""The regression gate: compare a run with a baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.errors import UsageError
from bench.reducers import PLAIN
from bench.results.rows import UNCOMPRESSED
from bench.results.schema import COLUMNS, CONFIGURATION

QUALITY = tuple(column.name for column in COLUMNS.values() if column.gate)
"""Columns that must not change: they are deterministic."""
SAME_MACHINE_TOLERANCE = 1e-6
"""Allows for another order of float summation; quality is otherwise deterministic."""
OTHER_MACHINE_TOLERANCE = 0.01
"""Another processor sums in another order, which can change a graph's edge and so a rank."""
SPEED_MARGIN = 3.0
"""A regression is a speed-up below 1/this of the baseline's, with intervals that do not overlap."""


@dataclass(frozen=True)
class Comparison:
    """Result of `compare`; `regressions` and `missing` hold one sentence per trial and figure."""

    compared: int
    regressions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    improvements: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True if nothing got worse and nothing is missing."""
        return not self.regressions and not self.missing


def compare(
    base: pd.DataFrame,
    head: pd.DataFrame,
    *,
    quality_tolerance: float | None = None,
    speed_margin: float = SPEED_MARGIN,
) -> Comparison:
    """Compare the trials of `head` with those of `base` that have the same configuration.

    Quality is compared to within `quality_tolerance`, by default the effect of float summation.
    Speed is compared by the paired speed-up over exact search, which cancels most noise of the
    machine. It is worse if it falls below 1/`speed_margin` of the baseline's *and* the intervals do
    not overlap. A trial of the baseline is missing if `head` lacks it or it no longer ends ok.
    Raises UsageError if the two have no configuration in common or a dataset differs.
    """
    before, after = _by_configuration(base), _by_configuration(head)
    common = before.keys() & after.keys()
    if not common:
        raise UsageError(
            "the two results have no configuration in common: compare runs of the same study"
        )
    for key in common:
        prints = before[key]["dataset_fingerprint"], after[key]["dataset_fingerprint"]
        if prints[0] != prints[1]:
            raise UsageError(
                f"dataset '{before[key]['dataset']}' is not the same in both "
                f"({prints[0]} and {prints[1]}): other texts cannot be compared; "
                "measure the baseline again with the versions used now"
            )
    found = Comparison(compared=len(common))
    same_machine = set(base["machine"]) == set(head["machine"])
    usual = SAME_MACHINE_TOLERANCE if same_machine else OTHER_MACHINE_TOLERANCE
    tolerance = usual if quality_tolerance is None else quality_tolerance
    if not same_machine:
        found.notes.append(
            f"measured on different machines: quality is compared to within {tolerance:g}"
        )
    for key, was in before.items():
        name = _name(was)
        if was["status"] != "ok":
            continue
        if key not in after:
            found.missing.append(f"{name}: not measured")
        elif after[key]["status"] != "ok":
            found.missing.append(f"{name}: {after[key]['status']}: {after[key]['error']}")
        else:
            _compare_trial(name, was, after[key], found, tolerance, speed_margin)
    return found


def _by_configuration(frame: pd.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[c] for c in CONFIGURATION): row for row in frame.to_dict("records")}


def _compare_trial(
    name: str,
    was: dict[str, Any],
    now: dict[str, Any],
    found: Comparison,
    tolerance: float,
    margin: float,
) -> None:
    for column in QUALITY:
        if pd.isna(was[column]):
            continue
        difference = now[column] - was[column]
        if pd.isna(now[column]) or difference < -tolerance:
            found.regressions.append(f"{name}: {column} {was[column]:.6f} → {now[column]:.6f}")
        elif difference > tolerance:
            found.improvements.append(f"{name}: {column} {was[column]:.6f} → {now[column]:.6f}")
    before, after = was["speedup_vs_exact"], now["speedup_vs_exact"]
    if pd.isna(before):
        return
    line = f"{name}: {before:.2f}× → {after:.2f}× the speed of exact search"
    if pd.isna(after) or (
        after * margin < before and now["speedup_vs_exact_high"] < was["speedup_vs_exact_low"]
    ):
        found.regressions.append(line)
    elif after > before * margin and now["speedup_vs_exact_low"] > was["speedup_vs_exact_high"]:
        found.improvements.append(line)


def _name(configuration: dict[str, Any]) -> str:
    parts = [
        configuration["dataset"],
        configuration["encoder"],
        configuration["backend"],
        f"{configuration['dim']} d",
    ]
    shown = ["reducer", "reducer_params", "precision", "build_params", "search_params", "stages"]
    usual = {"reducer": PLAIN, "precision": UNCOMPRESSED}
    parts += [configuration[c] for c in shown if configuration[c] != usual.get(c, "")]
    return " ".join(str(part) for part in parts if part)
