"""What a prefix is worth in random coordinates, and where that steps: the trained dimensions.

A prefix of d coordinates is worth as many random ones as reach its quality. If the order of
coordinates means nothing, each coordinate is worth one. A model that was trained at m dimensions
has spread its worth evenly over the first m, since training treats them alike, and left less to
those after: so the worth per coordinate falls at m and nowhere between. A model trained at every
dimension, or sorted, falls everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.certainty import holm
from bench.quality.intervals import LEVEL
from bench.results.rows import exact_rows, plain, quality_of

_DEVIATIONS = 2 * 1.959964
"""Width of the range of 95 % of the random subsets, in standard deviations."""


@dataclass(frozen=True)
class Step:
    """What the coordinates up to a dimension are worth, and those after it."""

    dim: int
    worth: float
    """Random coordinates that the whole prefix is worth."""
    before: float
    """Random coordinates that each coordinate is worth since the dimension before."""
    after: float
    """The same of each coordinate up to the dimension after."""
    p_value: float
    shown: bool
    """Whether the fall is beyond what random orders do, at any dimension (Holm)."""


def subset_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of truncation that were ranked among random subsets, by dimension."""
    rows = plain(exact_rows(frame)).drop_duplicates("dim", keep="last")
    return rows[rows["subsets"].fillna(0) > 0].set_index("dim", drop=False).sort_index()


def steps(frame: pd.DataFrame) -> list[Step]:
    """Return the step at each dimension that was ranked among random subsets.

    `frame` holds the trials of one dataset and encoder. A step is shown if the worth per coordinate
    falls by more than random orders of the coordinates make it fall: a normal test on one side,
    whose deviation is that of the random subsets and takes their dimensions for independent, which
    overstates it; Holm over the dimensions. A dimension where the quality has levelled off shows
    nothing, whatever was trained.
    """
    rows = subset_rows(frame)
    if rows.empty:
        return []
    full, column = int(rows["full_dim"].iloc[-1]), quality_of(frame).column
    known = plain(exact_rows(frame)).drop_duplicates("dim", keep="last").set_index("dim")[column]
    if full not in known.index:
        return []
    # The sample's own quality at the full dimension is not stored: it follows from that of all.
    longest = rows.iloc[-1]
    best = longest["subsets_quality"] * known[full] / longest[column]
    spread = (rows["subsets_high"] - rows["subsets_low"]) / _DEVIATIONS
    return found_steps(
        np.array([*rows.index, full]),
        np.array([*rows["subsets_quality"], best]),
        np.array([*rows["subsets_median"], best]),
        np.array([*spread, 0.0]),
    )


def found_steps(
    dims: np.ndarray, quality: np.ndarray, median: np.ndarray, spread: np.ndarray
) -> list[Step]:
    """Return the steps of a curve.

    `dims` (d,) ascending, the full dimension last; `quality` (d,) of the prefix, `median` (d,) and
    `spread` (d,) (standard deviation) of random subsets of as many coordinates.
    """
    from scipy.stats import norm

    # A hair's slope keeps the curve invertible where it is flat; the deviation there is huge.
    level = np.maximum.accumulate(np.concatenate([[0.0], median]))
    level = level + 1e-9 * np.arange(len(level))
    size = np.concatenate([[0.0], dims])
    worth = np.interp(np.concatenate([[0.0], quality]), level, size)
    slope = np.interp(worth, size, np.gradient(level, size))
    deviation = np.concatenate([[0.0], spread]) / slope
    per = np.diff(worth) / np.diff(size)
    before, after = np.diff(size)[:-1], np.diff(size)[1:]
    variance = (
        (deviation[:-2] / before) ** 2
        + (deviation[1:-1] * (1 / before + 1 / after)) ** 2
        + (deviation[2:] / after) ** 2
    )
    p_values = norm.sf((per[:-1] - per[1:]) / np.sqrt(np.maximum(variance, 1e-12)))
    shown = holm(p_values, 1 - LEVEL)
    return [
        Step(int(dim), float(whole), float(one), float(other), float(p), bool(is_shown))
        for dim, whole, one, other, p, is_shown in zip(
            dims[:-1], worth[1:-1], per[:-1], per[1:], p_values, shown, strict=True
        )
    ]
