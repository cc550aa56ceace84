"""A cost of each index against dimension, a line for each backend and build."""

from __future__ import annotations

import json

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._style import dimension_axis, heading, looks, needed, panels, plain_log
from bench.tables import groups, timed


def draw_by_dimension(frame: pd.DataFrame, column: str, unit: str, two_stage: bool) -> Figure:
    """Draw the median of `column` over the trials of each index; `two_stage` adds what is rescored at the full dimension."""
    rows = timed(frame)
    if not two_stage:
        rows = rows[rows["stages"] == ""]
    rows = needed(rows, "no timed trial")
    names = rows.apply(_name, axis=1)
    style = looks(names.unique())
    parts = groups(rows)
    with panels(len(parts), columns=2, height=3.2) as (figure, axes):
        for axis, (_, part) in zip(axes, parts, strict=True):
            for name, line in part.groupby(names.loc[part.index]):
                median = line.groupby("dim")[column].median()
                axis.plot(median.index, median, label=name, **style[name])
            dimension_axis(axis, sorted(part["dim"].unique()))
            plain_log(axis, "y")
            axis.set_ylabel(unit)
            axis.set_title(heading(part))
            axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return figure


def _name(row: pd.Series) -> str:
    build = json.loads(row["build_params"]) if row["build_params"] else {}
    shown = [f"{k}={v}" for k, v in build.items() if k in ("M", "n_trees")]
    return f"{row['backend']} {' '.join(shown)}".strip() + (" + rescore" if row["stages"] else "")
