"""How far two runs of one index are apart: a run's own A/A band."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from bench.results.spread import SPEEDUP, pooled


@dataclass(frozen=True)
class Band:
    """How far two runs of the same index, of one process each, are apart in one figure."""

    share: float
    """95 % of the differences are smaller than this share: 0.03 for ±3 %."""
    deviation: float
    """Standard deviation of the natural logarithm between processes."""
    degrees: int
    """Degrees of freedom that it is known from."""


def band(frame: pd.DataFrame, figure: str = SPEEDUP) -> Band | None:
    """Return the band of a figure over the trials that `bench.load` returned, of one machine.

    `figure` is one of `bench.results.spread.PROCESS_COLUMNS`. None if no index was measured in
    several processes, as in tables older than version 6. Source of the pooling: `pooled`.
    """
    spread = pooled(frame, [figure])[figure]
    if not spread.degrees:
        return None
    return Band(math.expm1(spread.half_width(1)), spread.deviation, spread.degrees)
