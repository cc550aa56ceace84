"""What two processes find differently, and intervals that cover another run.

Where the same index is built and measured in several processes, a row holds the median of their
figures, the figures themselves (`process_…`), and bounds from within a process: other queries,
other rounds. Those bounds alone hold another run's figure too rarely, since two processes differ by
more. `bench.load` therefore widens the bounds of every row, by the rule in `widened`. What is
stored stays as it was measured.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:  # a worker needs no pandas, and its import takes half a second
    import pandas as pd

LEVEL = 0.95
SPEEDUP = "speedup_vs_exact"
PROCESS_COLUMNS = {
    "latency_ms_p50": "process_latency_ms_p50",
    "latency_ms_p95": "process_latency_ms_p95",
    "latency_ms_p99": "process_latency_ms_p99",
    SPEEDUP: "process_speedup",
}
"""Figure → the column that lists what each process found."""
_INDEX = [
    "dataset",
    "encoder",
    "n_queries",
    "reducer",
    "reducer_params",
    "dim",
    "precision",
    "backend",
    "build_params",
    "threads",
]
"""Rows equal in these were measured in the same processes."""


@dataclass(frozen=True)
class Spread:
    """How far the processes of one index are apart in one figure, pooled over a run's indexes."""

    deviation: float
    """Standard deviation of the natural logarithm between processes; 0 if unknown."""
    degrees: int
    """Degrees of freedom: processes less one, over all indexes; 0 if none had several."""

    def half_width(self, processes: int) -> float:
        """Return how far the log medians of two runs, each of so many processes, may be apart.

        Two-sided at 95 %, by Student's t; 0 if nothing is known.
        """
        if not self.degrees:
            return 0.0
        from scipy.special import stdtrit  # scipy.stats takes a second to import

        quantile = float(stdtrit(self.degrees, (1 + LEVEL) / 2))
        # A median varies more than a mean, by this much at most; of two they are the same.
        median = 1.0 if processes < 3 else math.sqrt(math.pi / 2)
        return quantile * self.deviation * median * math.sqrt(2 / processes)


def pooled(
    frame: pd.DataFrame, figures: Collection[str] = PROCESS_COLUMNS.keys()
) -> dict[str, Spread]:
    """Return the spread of `figures` of `PROCESS_COLUMNS` over the rows of one machine.

    The trials over one index share its processes, so an index counts once: the variances of its
    trials are averaged. Indexes are weighted by their processes less one.
    """
    return {figure: _pooled(frame, PROCESS_COLUMNS[figure]) for figure in figures}


def _pooled(frame: pd.DataFrame, column: str) -> Spread:
    several = _counts(frame[column]) > 1
    if not several.any():
        return Spread(0.0, 0)
    rows = frame.loc[several, [*_INDEX, column]]
    index = rows.groupby(_INDEX, dropna=False, sort=False).ngroup().to_numpy()
    counts = _counts(rows[column])
    logs = np.log(np.concatenate(rows[column].to_list()))
    starts = np.cumsum(counts) - counts
    distances = logs - np.repeat(np.add.reduceat(logs, starts) / counts, counts)
    variances = np.add.reduceat(distances**2, starts) / (counts - 1)
    freedom = np.zeros(index.max() + 1, dtype=int)
    np.maximum.at(freedom, index, counts - 1)
    means = np.bincount(index, variances) / np.bincount(index)
    degrees = int(freedom.sum())
    return Spread(math.sqrt(float(freedom @ means) / degrees), degrees)


def widened(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with the bounds of times and ratios widened by the spread of processes.

    On the log scale a bound lies at √(w² + s²) from the figure: w is its distance from within a
    process, s the half width of the 95 % interval for the difference of two runs
    (`Spread.half_width`). So the interval covers what another run of the same study on the same
    machine finds. Without any index measured in several processes, as in older tables, bounds stay
    as they are.
    """
    frame = frame.copy()
    for _, part in frame.groupby("machine", dropna=False, sort=False):
        for figure, spread in pooled(part).items():
            if not spread.degrees:
                continue
            value = part[figure].to_numpy(float)
            counts = np.maximum(_counts(part[PROCESS_COLUMNS[figure]]), 1)
            widths = {count: spread.half_width(count) for count in np.unique(counts).tolist()}
            between = np.array([widths[count] for count in counts.tolist()])
            for side, sign in (("low", -1), ("high", 1)):
                bound = part[f"{figure}_{side}"].to_numpy(float)
                within = np.log(bound / value)
                frame.loc[part.index, f"{figure}_{side}"] = value * np.exp(
                    sign * np.hypot(within, between)
                )
    return frame


def _counts(column: pd.Series) -> np.ndarray:
    """Return the length of each list, (n,) int64; 0 where there is none."""
    return np.array([len(v) if isinstance(v, list | tuple) else 0 for v in column.tolist()], int)


def with_process(row: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of `row` that change when one more process found `more`.

    Figures become the median over the processes. The distance of a bound becomes the mean over the
    processes, on the log scale; a bound that one of them lacks is lacking.
    """
    changed: dict[str, Any] = {}
    for figure, column in PROCESS_COLUMNS.items():
        found = [*row[column], *more[column]]
        middle = float(np.median(found))
        changed |= {column: found, figure: middle}
        before = len(row[column])
        for bound in (f"{figure}_low", f"{figure}_high"):
            changed[bound] = None
            if row[bound] is not None and more[bound] is not None:
                distances = [math.log(each[bound] / each[figure]) for each in (row, more)]
                mean = float(np.average(distances, weights=[before, len(more[column])]))
                changed[bound] = middle * math.exp(mean)
    return changed
