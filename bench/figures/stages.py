"""Draw what several stages save at equal quality, and how much of their time rescoring takes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from bench.analysis.tables import LEVELS, savings
from bench.errors import NothingToShow
from bench.figures._style import backend_look, panels, plain_log, precision_line, set_titles
from bench.reducers import PREFIX
from bench.results.rows import (
    UNCOMPRESSED,
    from_disk,
    groups,
    pareto,
    plain,
    quality_of,
    timed,
    two_stage,
    with_texts,
)
from bench.study.plan import parameters

TITLE = "One stage against several"
CAPTION = (
    "The fronts are those of truncated vectors in memory, in one stage and in several. "
    "The ratio compares the fastest searches that keep the same share of the quality. "
    "Below 1, several stages are faster. "
    "The last panel shows which share of the median latency the later stages take. "
    "Near 1, reading and scoring the longer vectors costs what the short first stage saved."
)
_FILLS = {
    (False, False): "none",
    (True, False): "left",
    (False, True): "top",
    (True, True): "bottom",
}
"""Fill by (funnel, from disk); a hollow marker is a plain rescore in every figure."""


def draw(frame: pd.DataFrame) -> Figure:
    """Draw fronts, ratios of latency and shares of time, for each dataset and encoder.

    A panel without data is left out. Raises NothingToShow if no panel is left.
    """
    drawn = [
        (part, text, draw_panel, rows)
        for _, part in groups(timed(frame[~with_texts(frame)]))
        if two_stage(part).any()
        for text, (choose, draw_panel) in _PANELS.items()
        if len(rows := choose(part))
    ]
    if not drawn:
        raise NothingToShow("the table has no timed trial of several stages to compare")
    with panels(len(drawn), columns=3, height=3.8) as (figure, axes):
        for axis, (part, _, draw_panel, rows) in zip(axes, drawn, strict=True):
            draw_panel(axis, part, rows)
        set_titles(figure, axes, [each[0] for each in drawn], [each[1] for each in drawn])
    return figure


def _searched_both_ways(part: pd.DataFrame) -> pd.DataFrame:
    """Return the trials in memory, of truncated vectors, of backends with one and more stages."""
    rows = plain(part[~from_disk(part)])
    ways = two_stage(rows).groupby(rows["backend"]).transform("nunique")
    return rows[ways > 1]


def _draw_fronts(axis: Axes, part: pd.DataFrame, shown: pd.DataFrame) -> None:
    quality = quality_of(part)
    for (backend, several), rows in shown.groupby(["backend", two_stage(shown)], sort=False):
        best = rows[pareto(rows, [quality.column], ["latency_ms_p50"])]
        best = best.sort_values("latency_ms_p50")
        axis.plot(
            best["latency_ms_p50"],
            best[quality.column],
            drawstyle="steps-post",
            label=f"{backend}, {'several stages' if several else 'one stage'}",
            linestyle="--" if several else "-",
            fillstyle="none" if several else "full",
            **backend_look(str(backend)),
        )
    plain_log(axis, "x")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("median latency of one query (ms)")
    axis.set_ylabel(quality.label)


def _saved(part: pd.DataFrame) -> pd.DataFrame:
    """Return `savings` of truncated vectors."""
    saved = savings(part)
    return saved[saved["kind"] == PREFIX]


def _draw_ratios(axis: Axes, part: pd.DataFrame, saved: pd.DataFrame) -> None:
    for backend, line in saved.groupby("backend", sort=False):
        axis.plot(
            100 * line["level"],
            line["multi_ms"] / line["single_ms"],
            label=f"{backend}, several stages",
            linestyle="--",
            fillstyle="none",
            **backend_look(str(backend)),
        )
    axis.axhline(1, color="black", lw=0.8)
    plain_log(axis, "y")
    low, high = axis.get_ylim()
    axis.set_ylim(min(low, 0.5), max(high, 2))
    levels = [100 * level for level in LEVELS]
    axis.set_xlim(levels[0] - 0.5, levels[-1] + 0.5)
    axis.xaxis.set_major_locator(FixedLocator(levels))
    axis.set_xlabel(f"share of {quality_of(part).label} kept (%)")
    axis.set_ylabel("latency of several stages / one stage")


def _rescored(part: pd.DataFrame) -> pd.DataFrame:
    """Return the trials of several stages whose later stages were timed."""
    return part[two_stage(part) & part["rescore_ms_p50"].notna()]


def _draw_shares(axis: Axes, part: pd.DataFrame, rows: pd.DataFrame) -> None:
    stages = [parameters(text) for text in rows["stages"]]
    rows = rows.assign(
        share=np.minimum(rows["rescore_ms_p50"] / rows["latency_ms_p50"], 1),
        shortlist=[each["shortlist"] for each in stages],
        funnel=[bool(each.get("funnel")) for each in stages],
        disk=from_disk(rows),
    )
    for (backend, precision, funnel, disk), line in rows.groupby(
        ["backend", "precision", "funnel", "disk"], sort=False
    ):
        share = line.groupby("shortlist")["share"].median()
        stored = "" if precision == UNCOMPRESSED else f" {precision}".replace("_", " ")
        how = f"{'funnel' if funnel else 'rescore'} from {'disk' if disk else 'memory'}"
        axis.plot(
            share.index,
            share,
            label=f"{backend}{stored}, {how}",
            linestyle=precision_line(precision),
            fillstyle=_FILLS[funnel, disk],
            **backend_look(backend),
        )
    plain_log(axis, "x")
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("candidates of the first stage")
    axis.set_ylabel("share of latency in later stages")


_PANELS: dict[str, tuple[Callable[..., pd.DataFrame], Callable[..., None]]] = {
    "Pareto fronts": (_searched_both_ways, _draw_fronts),
    "latency at equal quality": (_saved, _draw_ratios),
    "time of the later stages": (_rescored, _draw_shares),
}
