"""Draw the best quality within a budget of bytes per vector, a line per budget of latency."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.tables import dimension_table, evenly, truncation
from bench.figures._style import needed, panels, plain_log, set_titles
from bench.results.rows import exact_rows, groups, quality_of, timed

TITLE = "Best quality within a budget of bytes and latency"
CAPTION = (
    "Up and to the left is better. "
    "A line steps up where more bytes per vector buy more quality within its p95 latency. "
    "The bands are the 95 % intervals of each best configuration alone. "
    "The best of many measured looks a little better than it is. "
    "The dotted line is exact search of float32 at the full dimension."
)
_MOST = 6
"""Most budgets of latency."""
_WORTH = 0.02
"""Share of the best quality that a higher budget must add somewhere to be drawn."""
_LATENCY = "latency_ms_p95"


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one panel per dataset and encoder.

    Raises NothingToShow if no trial is timed with a known size and p95 latency.
    """
    rows = timed(frame).dropna(subset=["bytes_per_vector", _LATENCY])
    rows = needed(rows, "no timed trial with a known size and p95 latency")
    parts = [part for _, part in groups(rows)]
    with panels(len(parts), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            _draw(axis, part)
            same = (frame["dataset"] == part["dataset"].iloc[0]) & (
                frame["encoder"].fillna("") == (part["encoder"].iloc[0] or "")
            )
            exact = exact_rows(frame[same])
            full = truncation(dimension_table(exact))["quality"] if len(exact) else pd.Series()
            if len(full):
                axis.axhline(full.loc[full.index.max()], color="0.4", ls=":", lw=1)
            plain_log(axis, "x")
            axis.set_ylim(bottom=0)
            axis.set_xlabel("bytes per vector, at most")
            axis.set_ylabel(f"best {quality_of(part).label}")
        set_titles(figure, axes, parts)
    return figure


def best_within(part: pd.DataFrame, milliseconds: float) -> pd.DataFrame:
    """Return the best rows within a p95 latency, one per step of the curve, fewest bytes first.

    `part` holds timed rows. Each row has more quality than every one with as many bytes or fewer.
    """
    column = quality_of(part).column
    rows = part[part[_LATENCY] <= milliseconds]
    rows = rows.sort_values(["bytes_per_vector", column], ascending=[True, False], kind="stable")
    before = rows[column].cummax().shift(fill_value=-np.inf)
    return rows[rows[column] > before]


def budgets(part: pd.DataFrame) -> list[float]:
    """Return latencies of 1 and 3 times powers of ten, in ms, that differ in the quality allowed.

    At most six, evenly chosen, the lowest and the highest among them.
    """
    low, high = np.log10(part[_LATENCY].min()), np.log10(part[_LATENCY].max())
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    column, sizes = quality_of(part).column, np.unique(part["bytes_per_vector"])
    known, found = np.zeros(len(sizes)), []
    for limit in (float(f"{step}e{decade}") for decade in decades for step in (1, 3)):
        steps = best_within(part, limit)
        place = np.searchsorted(steps["bytes_per_vector"], sizes, side="right")
        reached = np.append(0.0, steps[column].to_numpy(float))[place]
        if (reached - known).max() > _WORTH * part[column].max():
            found.append(limit)
            known = reached
    return list(evenly(pd.DataFrame(index=found), _MOST).index)


def _draw(axis: Axes, part: pd.DataFrame) -> None:
    quality, limits = quality_of(part), budgets(part)
    last = part["bytes_per_vector"].max()
    for place, limit in enumerate(limits):
        steps = best_within(part, limit)
        # The last step goes on to the right: more bytes buy nothing more.
        ends = [*steps["bytes_per_vector"], last]
        best, low, high = (
            [*steps[c], steps[c].iloc[-1]] for c in (quality.column, quality.low, quality.high)
        )
        # A sequential map, so that no budget takes the colour of a backend: dark is slow.
        shade = colormaps["viridis"](0.85 * (1 - place / max(1, len(limits) - 1)))
        axis.plot(ends, best, drawstyle="steps-post", color=shade, label=f"p95 ≤ {limit:g} ms")
        axis.fill_between(ends, low, high, step="post", color=shade, alpha=0.12, lw=0)
        points = steps["bytes_per_vector"], steps[quality.column]
        axis.plot(*points, color=shade, marker="o", linestyle="none")
