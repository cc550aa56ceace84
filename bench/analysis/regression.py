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
SPEED = "speedup_vs_exact"
SAME_MACHINE_TOLERANCE = 1e-6
"""Quality is deterministic; this is for the order of float summation."""
OTHER_MACHINE_TOLERANCE = 0.01
"""Another processor sums in another order, which can change an edge of a graph and so a rank."""
SPEED_MARGIN = 3.0
"""A regression is a speed-up below 1/this of the baseline's, with intervals that do not overlap."""


@dataclass(frozen=True)
class Change:
    """One figure of one configuration that differs from the baseline."""

    configuration: str
    column: str
    before: float
    after: float
    """NaN if the new run has no such figure."""

    @property
    def text(self) -> str:
        """The change as one line."""
        if self.column == SPEED:
            return (
                f"{self.configuration}: {self.before:.2f}× → {self.after:.2f}× the speed of exact "
                "search"
            )
        return f"{self.configuration}: {self.column} {self.before:.6f} → {self.after:.6f}"


@dataclass(frozen=True)
class Missing:
    """A configuration of the baseline that the new run lacks."""

    configuration: str
    reason: str

    @property
    def text(self) -> str:
        """The gap as one line."""
        return f"{self.configuration}: {self.reason}"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    compared: int
    """Configurations in both runs."""
    regressions: list[Change] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    improvements: list[Change] = field(default_factory=list)
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

    Quality is compared exactly; `quality_tolerance` defaults to what float summation can change.
    Speed is compared by the paired ratio to exact search, which outlives the noise of a machine:
    worse means below 1/`speed_margin` of the baseline's *and* intervals that do not overlap. A
    trial that `head` lacks, or that no longer ends ok, is missing. Raises UsageError if the two
    have no configuration in common, or if the data behind a name differ.
    """
    before, after = by_configuration(base), by_configuration(head)
    common = before.keys() & after.keys()
    if not common:
        raise UsageError(
            "the two results have no configuration in common: compare runs of the same study"
        )
    for key in common:
        prints = before[key]["dataset_fingerprint"], after[key]["dataset_fingerprint"]
        if prints[0] != prints[1]:
            raise UsageError(
                f"dataset '{before[key]['dataset']}' is not the same in both ({prints[0]} and "
                f"{prints[1]}): other texts cannot be compared; measure the baseline again "
                "with the versions used now"
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
        if was["status"] != "ok":
            continue
        now, name = after.get(key), configuration_name(was)
        if now is None:
            found.missing.append(Missing(name, "not measured"))
        elif now["status"] != "ok":
            found.missing.append(Missing(name, f"{now['status']}: {now['error']}"))
        else:
            _compare_trial(name, was, now, found, tolerance, speed_margin)
    return found


def by_configuration(frame: pd.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Return the trials as records by the columns of their configuration, missing texts empty."""
    plain = frame[list(CONFIGURATION)].astype(object)
    keys = plain.where(plain.notna(), "").itertuples(index=False, name=None)
    return dict(zip(keys, frame.to_dict("records"), strict=True))


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
        change = Change(name, column, was[column], now[column])
        difference = now[column] - was[column]
        if pd.isna(now[column]) or difference < -tolerance:
            found.regressions.append(change)
        elif difference > tolerance:
            found.improvements.append(change)
    before, after = was[SPEED], now[SPEED]
    if pd.isna(before):
        return
    change = Change(name, SPEED, before, after)
    slower = after * margin < before and now[f"{SPEED}_high"] < was[f"{SPEED}_low"]
    if pd.isna(after) or slower:
        found.regressions.append(change)
    elif after > before * margin and now[f"{SPEED}_low"] > was[f"{SPEED}_high"]:
        found.improvements.append(change)


def configuration_name(configuration: dict[str, Any]) -> str:
    """Return the dataset, the encoder and what is not the usual choice of a configuration."""
    parts = [
        configuration["dataset"],
        configuration["encoder"],
        configuration["backend"],
        f"{configuration['dim']} d",
    ]
    shown = ["reducer", "reducer_params", "precision", "build_params", "search_params", "stages"]
    usual = {"reducer": PLAIN, "precision": UNCOMPRESSED}
    parts += [configuration[c] for c in shown if configuration[c] != usual.get(c, "")]
    return " ".join(str(part) for part in parts if part and not pd.isna(part))
