"""Every configuration, and the ones that none beats."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.labels import labels
from bench.figures._style import COLUMN, heading, looks, needed, panels, plain_log
from bench.results.rows import groups, pareto, quality_of, timed, two_stage

TITLE = "Quality against latency: every configuration, with the Pareto front"
ORDER = 2
CAPTION = (
    "Up and to the left is better. Numbered points lie on the front: nothing measured is both better and faster. Points of the front "
    "that nearly coincide share a number."
)
_LABELS = 12
_BESIDE = 10
"""Kinds whose legend fits beneath the names of the numbered points."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw quality against median single-query latency; the front's points are numbered and named beneath."""
    parts = groups(needed(timed(frame), "no timed trial"))
    with panels(
        len(parts), columns=2, width=2 * COLUMN if len(parts) == 1 else 1.4 * COLUMN, height=4.9
    ) as (
        figure,
        axes,
    ):
        for axis, (_, part) in zip(axes, parts, strict=True):
            quality = quality_of(part)
            kinds = part["backend"] + two_stage(part).map({True: " + rescore", False: ""})
            style = looks(kinds.unique())
            for kind, points in part.groupby(kinds):
                look = {**style[kind], "linestyle": "none"}
                axis.plot(
                    points["latency_ms_p50"], points[quality.column], label=kind, alpha=0.7, **look
                )
            front = part[pareto(part, [quality.column], ["latency_ms_p50"])].sort_values(
                "latency_ms_p50"
            )
            axis.plot(
                front["latency_ms_p50"],
                front[quality.column],
                color="black",
                lw=0.8,
                drawstyle="steps-post",
                label="Pareto front",
            )
            # Only points well apart get a number: two numbers on one spot name neither.
            named = _apart(front, quality.column)
            for number, (_, row) in enumerate(named.iterrows(), 1):
                axis.annotate(
                    str(number),
                    (row["latency_ms_p50"], row[quality.column]),
                    xytext=(-3, 5),
                    textcoords="offset points",
                    ha="right",
                    fontsize=7,
                    fontweight="bold",
                )
            plain_log(axis, "x")
            axis.set_ylim(0, 1.08 * part[quality.column].max())
            axis.set_xlabel("median latency of one query (ms)")
            axis.set_ylabel(quality.label)
            axis.set_title(heading(part))
            told = labels(part)
            names = "\n".join(f"{number}  {told[i]}" for number, i in enumerate(named.index, 1))
            axis.text(
                1.02, 1.0, names, transform=axis.transAxes, va="top", fontsize=6.5, parse_math=False
            )
            if len(style) > _BESIDE:
                axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4)
            else:
                axis.legend(loc="lower left", bbox_to_anchor=(1.0, 0.0))
    return figure


def _apart(front: pd.DataFrame, column: str) -> pd.DataFrame:
    """Choose points of the front, best first, that differ by a twentieth of its range in quality or a quarter in latency."""
    span = max(front[column].max() - front[column].min(), 1e-12)
    chosen: list[int] = []
    for i in front.sort_values(column, ascending=False).index:
        if len(chosen) == _LABELS:
            break
        quality, latency = front.loc[i, column], front.loc[i, "latency_ms_p50"]
        if all(
            abs(quality - front.loc[j, column]) > span / 20
            or max(latency, front.loc[j, "latency_ms_p50"])
            > 1.4 * min(latency, front.loc[j, "latency_ms_p50"])
            for j in chosen
        ):
            chosen.append(i)
    return front.loc[chosen].sort_values("latency_ms_p50")
