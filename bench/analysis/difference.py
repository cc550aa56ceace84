"""What differs between two results folders: trials, figures, machines, versions. No verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from bench.analysis.regression.limits import SAME_VERSIONS_TOLERANCE
from bench.analysis.regression.trials import by_configuration, namer, other_versions
from bench.errors import UsageError
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import FIDELITY, NDCG

QUALITY = (NDCG.column, FIDELITY.column)
_Row = dict[str, Any]
BUILD = "build_seconds"
TIMES = ("latency_ms_p50", "latency_ms_p95", "bytes_per_vector", BUILD)


@dataclass(frozen=True)
class Figure:
    """A value with the bounds of its 95 % interval; these are NaN if it has none."""

    value: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Changed:
    """One figure of one configuration in both folders."""

    configuration: str
    a: Figure
    b: Figure

    @property
    def apart(self) -> bool:
        """Whether the two differ: by their intervals if they have any."""
        return self.a.high < self.b.low or self.b.high < self.a.low

    @property
    def size(self) -> float:
        """Size of the change, by which changes are sorted: the ratio's logarithm, without sign."""
        if self.a.value > 0 and self.b.value > 0:
            return abs(math.log(self.b.value / self.a.value))
        return math.inf


@dataclass(frozen=True)
class Changes:
    """All that differs in one column, the largest change first."""

    column: str
    both: int
    """Configurations that have the figure in both folders; of the build time, indexes."""
    same: int
    """Of those, the ones that do not differ, by their intervals where the figure is a time."""
    median_ratio: float
    """Median of B over A, over all of `both`; NaN if none."""
    changed: tuple[Changed, ...]


@dataclass(frozen=True)
class Difference:
    """What differs between folder A and folder B."""

    shared: int
    """Configurations in both."""
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    ended: tuple[str, ...]
    """Configurations that ended otherwise, with both statuses."""
    changes: tuple[Changes, ...]
    other_data: dict[str, str]
    """Datasets of one name that are not the same, with what that means for the comparison."""
    machines: tuple[str, str]
    """The machine of A and of B."""
    versions: dict[str, tuple[str, str]]
    """Libraries whose versions differ, with those of A and of B; empty text where there is none."""

    @property
    def nothing(self) -> bool:
        """Whether no trial, figure, status, dataset, machine or version differs."""
        return not (
            self.only_a
            or self.only_b
            or self.ended
            or self.other_data
            or self.versions
            or any(each.changed for each in self.changes)
            or self.machines[0] != self.machines[1]
        )

    def record(self) -> dict[str, Any]:
        """Return all of it as JSON-ready values."""
        return {**asdict(self), "nothing": self.nothing}


def difference(a: pd.DataFrame, b: pd.DataFrame, times: bool | None = None) -> Difference:
    """Compare the trials of two results folders that have the same configuration.

    `times`: compare times and sizes too; by default if both are of one machine. Quality differs if
    it does beyond float summation, and so do sizes. A figure with an interval that is a time
    differs if the two intervals do not overlap. A time without one is compared as it is. Raises
    UsageError if the folders share neither a configuration nor a dataset.
    """
    before, after = by_configuration(a), by_configuration(b)
    if not {*a["dataset"]} & {*b["dataset"]}:
        names = (", ".join(sorted({*frame["dataset"]})) for frame in (a, b))
        raise UsageError("the two results have no dataset in common: {} and {}".format(*names))
    name = namer([a, b])
    machines = str(a["machine"].iloc[-1] or ""), str(b["machine"].iloc[-1] or "")
    times = machines[0] == machines[1] if times is None else times
    both = [key for key in before if key in after]
    other = {before[k]["dataset"]: text for k in both if (text := _not_alike(before[k], after[k]))}
    pairs = [(before[k], after[k]) for k in both]
    ended = [
        f"{name(was)}: {was['status']} → {now['status']}"
        for was, now in pairs
        if was["status"] != now["status"]
    ]
    pairs = [(was, now) for was, now in pairs if was["status"] == now["status"] == "ok"]
    columns = (*QUALITY, *TIMES) if times else QUALITY
    alike = {
        False: [pair for pair in pairs if _same(*pair, "dataset_fingerprint")],
        True: [pair for pair in pairs if not _not_alike(*pair)],
    }
    changes = (_changes(column, alike[column in QUALITY], name) for column in columns)
    return Difference(
        shared=len(both),
        only_a=tuple(name(before[key]) for key in before if key not in after),
        only_b=tuple(name(after[key]) for key in after if key not in before),
        ended=tuple(ended),
        changes=tuple(each for each in changes if each.both),
        other_data=other,
        machines=machines,
        versions=other_versions(a, b),
    )


def _changes(column: str, pairs: list[tuple[_Row, _Row]], name: Callable[[_Row], str]) -> Changes:
    found, ratios, both = [], [], 0
    built: set[tuple[float, float]] = set()
    by_interval = column not in QUALITY and ALL_COLUMNS[column].interval
    for was, now in pairs:
        if pd.isna(was[column]) or pd.isna(now[column]):
            continue
        # The trials over one index share its build.
        if column == BUILD and (was[column], now[column]) in built:
            continue
        built.add((was[column], now[column]))
        both += 1
        one, other = _figure(was, column), _figure(now, column)
        if one.value > 0:
            ratios.append(other.value / one.value)
        changed = Changed(name(was), one, other)
        differs = abs(other.value - one.value) > SAME_VERSIONS_TOLERANCE * max(1.0, abs(one.value))
        if differs and (changed.apart or not by_interval):
            found.append(changed)
    found.sort(key=lambda each: -each.size)
    median = float(pd.Series(ratios, dtype=float).median())
    return Changes(column, both, both - len(found), median, tuple(found))


def _figure(row: _Row, column: str) -> Figure:
    if not ALL_COLUMNS[column].interval:
        return Figure(row[column])
    return Figure(row[column], row[f"{column}_low"], row[f"{column}_high"])


def _not_alike(was: _Row, now: _Row) -> str:
    """Return why the quality of two trials is not compared; empty if it is."""
    if not _same(was, now, "dataset_fingerprint"):
        return "other texts, vectors or judgements in B, so nothing is compared"
    if not _same(was, now, "n_queries"):
        asked = f"{was['n_queries']:,} queries in A and {now['n_queries']:,} in B"
        return f"{asked}, so quality is not compared"
    return ""


def _same(was: _Row, now: _Row, column: str) -> bool:
    return bool(was[column] == now[column])
