"""Draw a cost of each index against dimension, one line per backend, build and precision."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.labels import label_parameters, varying
from bench.figures._style import (
    FILLS,
    MOST_LINES,
    Look,
    backend_look,
    dimension_axis,
    marker_size,
    needed,
    panels,
    plain_log,
    precision_line,
    set_titles,
)
from bench.results.rows import (
    UNCOMPRESSED,
    from_disk,
    groups,
    plain,
    timed,
    two_stage,
    with_texts,
)
from bench.study.plan import parameters

_ANY_BUILD = "(median over builds)"
"""In place of the build parameters where a line each would be too many."""


def draw_by_dimension(frame: pd.DataFrame, column: str, unit: str, with_rescore: bool) -> Figure:
    """Draw the median of `column` over the trials of each index, one panel per dataset and encoder.

    `unit` labels the y axis. `with_rescore` adds float32 indexes with a rescore from memory. Raises
    NothingToShow if no trial is timed.
    """
    rows = timed(frame)
    rows = rows[~with_texts(rows)]
    # A cost hardly depends on the reducer, and a second stage adds the same to every precision:
    # one line for each would only hide the others.
    truncated = plain(rows)
    rows = truncated if len(truncated) else rows
    rows = rows[
        ~two_stage(rows) | (with_rescore & (rows["precision"] == UNCOMPRESSED) & ~from_disk(rows))
    ]
    rows = needed(rows, "no timed trial")
    builds = _builds(rows)
    keys = rows.assign(build=builds, rescored=two_stage(rows))
    if len(keys[["backend", "build", "precision", "rescored"]].drop_duplicates()) > MOST_LINES:
        builds = builds.mask(builds != "", _ANY_BUILD)
    parts = [part for _, part in groups(rows)]
    with panels(len(parts), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            keys = [part["backend"], builds.loc[part.index], part["precision"], two_stage(part)]
            for (backend, build, precision, rescored), line in part.groupby(keys, sort=False):
                median = line.groupby("dim")[column].median()
                known = list(builds[rows["backend"] == backend].unique())
                axis.plot(
                    median.index,
                    median,
                    label=_name(backend, build, precision, rescored),
                    **_line_look(backend, known.index(build), precision, rescored),
                )
            dimension_axis(axis, sorted(part["dim"].unique()))
            plain_log(axis, "y")
            axis.set_ylabel(unit)
        set_titles(figure, axes, parts)
    return figure


def _line_look(backend: str, build: int, precision: str, rescored: bool) -> Look:
    fill = 2 * build + rescored
    return {
        **backend_look(backend),
        "linestyle": precision_line(precision),
        "fillstyle": FILLS[fill % len(FILLS)],
        # A backend built in many ways runs out of fills; larger markers tell the rest apart.
        "markersize": marker_size(2 * (fill // len(FILLS))),
    }


def _name(backend: str, build: str, precision: str, rescored: bool) -> str:
    words = [backend, build, "" if precision == UNCOMPRESSED else precision.replace("_", " ")]
    return " ".join(filter(None, words)) + (" + rescore" if rescored else "")


def _builds(rows: pd.DataFrame) -> pd.Series:
    """Return the build parameters of each row that matter or differ, text."""
    builds = pd.Series("", index=rows.index, dtype=object)
    for backend, part in rows.groupby("backend", sort=False):
        shown = {*label_parameters(str(backend)), *varying(part)}
        named = {
            text: " ".join(f"{k}={v}" for k, v in parameters(text).items() if k in shown)
            for text in part["build_params"].unique()
        }
        builds[part.index] = [named[text] for text in part["build_params"]]
    return builds
