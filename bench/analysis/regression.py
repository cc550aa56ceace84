"""The regression gate: what a later run lost against a baseline."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from bench.errors import UsageError
from bench.reducers import PLAIN
from bench.results.rows import UNCOMPRESSED
from bench.results.schema import COLUMNS, CONFIGURATION

QUALITY = tuple(column.name for column in COLUMNS.values() if column.gate)
"""Figures that must not change at all: they are deterministic."""
SAME_MACHINE_TOLERANCE = 1e-6
"""Quality is deterministic: this is for the order of float summation alone."""
OTHER_MACHINE_TOLERANCE = 0.01
"""Another processor sums in another order, which can turn an edge of a graph or the side of a split, and a rank with it."""
SPEED_MARGIN = 3.0
"""A speed-up must fall below 1/this of the baseline's, its interval beyond the baseline's too, to be a regression."""


@dataclass(frozen=True)
class Comparison:
    """What `compare` found; `regressions` and `missing` are sentences, one a trial and figure."""

    compared: int
    regressions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    improvements: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """True when nothing got worse and nothing is missing."""
        return not self.regressions and not self.missing


def compare(
    base: pd.DataFrame,
    head: pd.DataFrame,
    *,
    quality_tolerance: float | None = None,
    speed_margin: float = SPEED_MARGIN,
) -> Comparison:
    """Compare the trials of `head` with those of `base` that have the same configuration.

    Quality is compared exactly (`quality_tolerance` defaults to what float summation can change). Speed is compared by the
    paired ratio to exact search, which outlives the noise of a machine: worse means below 1/`speed_margin` of the
    baseline's *and* intervals that do not touch. A trial of the baseline that `head` lacks, or that no longer ends ok, is
    listed as missing. Raises UsageError when the two have no configuration in common, or the data behind a name differ.
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
                f"dataset '{before[key]['dataset']}' is not the same in both ({prints[0]} and {prints[1]}): other texts "
                "cannot be compared; measure the baseline again with the versions used now"
            )
    found = Comparison(compared=len(common))
    same_machine = set(base["machine"]) == set(head["machine"])
    usual = SAME_MACHINE_TOLERANCE if same_machine else OTHER_MACHINE_TOLERANCE
    tolerance = usual if quality_tolerance is None else quality_tolerance
    if not same_machine:
        found.notes.append(
            f"measured on unlike machines: quality is compared to within {tolerance:g}"
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
