"""What an index gives up for speed, at each dimension."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._style import COLUMN, heading, legend_below, looks, needed, panels, plain_log
from bench.results.rows import groups, plain, single_stage, timed

TITLE = "ANN recall against queries per second, one panel a dimension"
ORDER = 3
CAPTION = (
    "Up and to the right is better. ANN recall is against exact search at the same dimension, so the loss by truncation is not in it; "
    "a point is one setting of the search."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw ANN recall@10 against single-query throughput of the single-stage trials on truncated vectors."""
    rows = plain(single_stage(timed(frame)))
    rows = rows[rows["ann_recall_at_10"].notna()]
    rows = needed(rows, "no timed single-stage trial on truncated vectors")
    style = looks(rows["backend"].unique())
    parts = [(dim, part) for _, whole in groups(rows) for dim, part in whole.groupby("dim")]
    several = len(groups(rows)) > 1
    with panels(len(parts), columns=4, width=COLUMN / 2, height=1.8) as (figure, axes):
        low, high = rows["qps"].min() / 1.3, rows["qps"].max() * 1.3
        for axis, (dim, part) in zip(axes, parts, strict=True):
            for backend, points in part.groupby("backend"):
                for _, line in points.groupby(
                    ["build_params", "precision", "threads", "k"], dropna=False
                ):
                    ordered = line.sort_values("qps")
                    axis.plot(
                        ordered["qps"], ordered["ann_recall_at_10"], label=backend, **style[backend]
                    )
            axis.set_xlim(low, high)
            plain_log(axis, "x", wide=30)
            axis.set_ylim(min(0.0, rows["ann_recall_at_10"].min()), 1.04)
            axis.set_title(f"{dim} d — {heading(part)}" if several else f"{dim} d")
            axis.set_xlabel("queries/s, single")
            axis.set_ylabel("ANN recall@10")
        legend_below(figure, axes, 6)
        if not several:
            figure.suptitle(heading(rows), fontsize=9)
    return figure
