"""What an index gives up for speed, at each dimension."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._style import heading, looks, needed, panels, plain_log
from bench.tables import groups, timed

TITLE = "ANN recall against queries per second, one panel a dimension"
ORDER = 3


def draw(frame: pd.DataFrame) -> Figure:
    """Draw ANN recall@10 against single-query throughput of the single-stage trials on truncated vectors."""
    rows = timed(frame)
    rows = needed(rows[(rows["stages"] == "") & rows["ann_recall_at_10"].notna()], "no timed single-stage trial")
    style = looks(rows["backend"].unique())
    parts = [(dim, part) for _, whole in groups(rows) for dim, part in whole.groupby("dim")]
    several = len(groups(rows)) > 1
    with panels(len(parts), columns=4, width=2.2, height=2.0) as (figure, axes):
        low, high = rows["qps"].min() / 1.3, rows["qps"].max() * 1.3
        for axis, (dim, part) in zip(axes, parts, strict=True):
            for backend, points in part.groupby("backend"):
                for _, line in points.groupby(
                    ["build_params", "reducer", "reducer_params", "precision", "threads", "k"]
                ):
                    ordered = line.sort_values("qps")
                    axis.plot(ordered["qps"], ordered["ann_recall_at_10"], label=backend, **style[backend])
            axis.set_xlim(low, high)
            plain_log(axis, "x", wide=30)
            axis.set_ylim(min(0.0, rows["ann_recall_at_10"].min()), 1.04)
            axis.set_title(f"{dim} d — {heading(part)}" if several else f"{dim} d")
            axis.set_xlabel("queries/s, one at a time")
            axis.set_ylabel("ANN recall@10")
        handles: dict[str, Any] = {}
        for axis in axes:
            handles |= {name: handle for handle, name in zip(*axis.get_legend_handles_labels(), strict=True)}
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=min(len(handles), 6))
        if not several:
            figure.suptitle(heading(rows), fontsize=9)
    return figure
