"""Draw the recall of each index against its throughput, at each dimension."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.figures._style import (
    MOST_SHAPES,
    backend_look,
    needed,
    panels,
    plain_log,
    precision_points,
    set_titles,
)
from bench.results.rows import UNCOMPRESSED, groups, pareto, plain, single_stage, timed

TITLE = "ANN recall against QPS, one panel per dimension"
CAPTION = (
    "Up and to the right is better. Each point is one setting of the search. "
    "ANN recall is agreement with exact float32 search at the same dimension. "
    "So it does not count the quality lost by truncation."
)

MOST_PANELS = 8
"""Most dimensions that a figure of many points has panels for; they are at equal steps."""
_NEEDED = ["dataset", "encoder", "synthetic", "dim", "backend", "precision"]
_NEEDED += ["build_params", "threads", "k", "qps", "ann_recall_at_10"]


def draw(frame: pd.DataFrame) -> Figure:
    """Draw ANN recall@10 against single-query QPS of single-stage trials on truncated vectors.

    Raises NothingToShow if there is no such trial.
    """
    rows = plain(single_stage(timed(frame)))
    rows = rows.loc[rows["ann_recall_at_10"].notna(), _NEEDED]
    rows = needed(rows, "no timed single-stage trial on truncated vectors")
    parts = [(dim, part) for _, whole in groups(rows) for dim, part in whole.groupby("dim")]
    parts.sort(key=lambda part: part[0])  # several datasets side by side at each dimension
    low, high = rows["qps"].min() / 1.3, rows["qps"].max() * 1.3
    crowded = len(rows) > MOST_SHAPES
    dims = sorted({dim for dim, _ in parts})
    said = ""
    if crowded and len(dims) > MOST_PANELS:
        places = np.linspace(0, len(dims) - 1, MOST_PANELS).round().astype(int)
        shown = {dims[place] for place in places}
        parts = [(dim, part) for dim, part in parts if dim in shown]
        said = f"one of {len(shown)} shown of {len(dims)}; "
    with panels(len(parts), columns=4, height=2.4, at_ends=True) as (figure, axes):
        for axis, (_, part) in zip(axes, parts, strict=True):
            for (backend, precision), points in part.groupby(["backend", "precision"], sort=False):
                style = backend_look(str(backend)) | precision_points(str(precision))
                name = str(backend)
                name += "" if precision == UNCOMPRESSED else f" {precision}".replace("_", " ")
                if crowded:
                    best = points[pareto(points, ["ann_recall_at_10", "qps"], [])]
                    lines = [(None, best)]
                else:
                    lines = points.groupby(["build_params", "threads", "k"], dropna=False)
                for _, line in lines:
                    ordered = line.sort_values("qps")
                    axis.plot(ordered["qps"], ordered["ann_recall_at_10"], label=name, **style)
            axis.set_xlim(low, high)
            plain_log(axis, "x", wide=30)
            axis.set_ylim(min(0.0, rows["ann_recall_at_10"].min()), 1.06)
            axis.yaxis.set_major_locator(MaxNLocator(4, steps=[2, 2.5, 5, 10], min_n_ticks=3))
            axis.set_xlabel("QPS, one client")
            axis.set_ylabel("ANN recall@10")
        set_titles(
            figure,
            axes,
            [part for _, part in parts],
            [
                f"{dim} dimensions" + (f"\n{said}fronts of {len(part):,} points" if crowded else "")
                for dim, part in parts
            ],
        )
    return figure
