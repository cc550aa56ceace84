"""A cost of each index against dimension, a line for each backend and build."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.labels import label_parameters, varying
from bench.figures._style import COLUMN, dimension_axis, heading, looks, needed, panels, plain_log
from bench.results.rows import UNCOMPRESSED, from_disk, groups, plain, timed, two_stage
from bench.study.plan import parameters


def draw_by_dimension(frame: pd.DataFrame, column: str, unit: str, with_rescore: bool) -> Figure:
    """Draw the median of `column` over the trials of each index; `with_rescore` adds what is rescored at the full dimension."""
    rows = timed(frame)
    # A cost hardly depends on the reducer, and a second stage adds the same to every precision: one line for each would
    # only hide the others.
    truncated = plain(rows)
    rows = truncated if len(truncated) else rows
    rows = rows[
        ~two_stage(rows) | (with_rescore & (rows["precision"] == UNCOMPRESSED) & ~from_disk(rows))
    ]
    rows = needed(rows, "no timed trial")
    names = _names(rows)
    style = looks(names.unique())
    parts = groups(rows)
    with panels(len(parts), columns=2, width=1.6 * COLUMN, height=3.4) as (figure, axes):
        for axis, (_, part) in zip(axes, parts, strict=True):
            for name, line in part.groupby(names.loc[part.index]):
                median = line.groupby("dim")[column].median()
                axis.plot(median.index, median, label=name, **style[name])
            dimension_axis(axis, sorted(part["dim"].unique()))
            plain_log(axis, "y")
            axis.set_ylabel(unit)
            axis.set_title(heading(part))
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=6.5)
    return figure


def _names(rows: pd.DataFrame) -> pd.Series:
    """Return the index that each row is of, text: backend, the build parameters that matter or differ, precision."""
    names = pd.Series("", index=rows.index, dtype=object)
    for backend, part in rows.groupby("backend", sort=False):
        shown = {*label_parameters(str(backend)), *varying(part)}
        for i, row in part.iterrows():
            words = [
                str(backend),
                *(f"{k}={v}" for k, v in parameters(row["build_params"]).items() if k in shown),
            ]
            words += [str(row["precision"])] if row["precision"] != UNCOMPRESSED else []
            names[i] = " ".join(words)
    return names + two_stage(rows).map({True: " + rescore", False: ""})
