"""What a second stage saves, and what its memory traffic takes back."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.figures._style import COLUMN, heading, look, looks, needed, panels, plain_log
from bench.tables import groups, parameters, pareto, quality_of, savings, stage_label, timed, two_stage

TITLE = "One stage against several: latency at equal quality, and the share that rescoring takes"
ORDER = 5.5
CAPTION = (
    "Left: the fronts of searches in one stage and in several, vectors in memory; where several are faster at a level of quality, the "
    "saving is written beside it. Right: the median share of a query's time that goes into reading and scoring the shortlist's longer "
    "vectors. Where that nears one, the second stage's memory traffic has eaten what the short first stage saved."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw both fronts and the share of the later stages' time, two panels for each dataset and encoder."""
    rows = timed(frame)
    keys = rows.loc[two_stage(rows) & rows["rescore_ms_p50"].notna(), ["dataset", "encoder"]].drop_duplicates()
    needed(keys, "no timed trial of several stages")
    parts = [part for key, part in groups(rows) if key in set(keys.itertuples(index=False, name=None))]
    with panels(2 * len(parts), columns=2, width=1.1 * COLUMN, height=3.4) as (figure, axes):
        for (left, right), part in zip(zip(axes[::2], axes[1::2], strict=True), parts, strict=True):
            _fronts(left, part)
            _shares(right, part)
            left.set_title(heading(part))
            right.set_title(heading(part))
    return figure


def _fronts(axis: Axes, part: pd.DataFrame) -> None:
    quality = quality_of(part)
    in_memory = part[[parameters(s).get("vectors") != "disk" for s in part["stages"]]]
    for position, (several, rows) in enumerate(in_memory.groupby(two_stage(in_memory))):
        best = rows[pareto(rows, [quality.column], ["latency_ms_p50"])].sort_values("latency_ms_p50")
        style = look(position)
        axis.plot(rows["latency_ms_p50"], rows[quality.column], ".", color=style["color"], alpha=0.25, ms=3)
        axis.plot(
            best["latency_ms_p50"], best[quality.column], label="several stages" if several else "one stage", **style
        )
    full = (in_memory[quality.column] / in_memory[quality.retained]).median()
    for level, row in savings(part).iterrows():
        y = level * full
        axis.axhline(y, color="grey", lw=0.5, ls=":")
        saves = f"{level:.0%} kept: {'saves' if row['saving'] >= 0 else 'costs'} {abs(row['saving']):.0%}"
        axis.annotate(
            "",
            (row["multi_ms"], y),
            (row["single_ms"], y),
            arrowprops={"arrowstyle": "->", "lw": 0.8, "color": "black"},
        )
        axis.annotate(
            saves,
            (1, y),
            xycoords=("axes fraction", "data"),
            xytext=(2, 0),
            textcoords="offset points",
            fontsize=6,
            va="center",
        )
    plain_log(axis, "x")
    axis.set_xlabel("median latency of one query (ms)")
    axis.set_ylabel(quality.label)
    axis.legend(loc="lower right")


def _shares(axis: Axes, part: pd.DataFrame) -> None:
    rows = part[two_stage(part) & part["rescore_ms_p50"].notna()]
    stages = [parameters(s) for s in rows["stages"]]
    rows = rows.assign(
        share=(rows["rescore_ms_p50"] / rows["latency_ms_p50"]).clip(upper=1),
        shortlist=[s["shortlist"] for s in stages],
        kind=[
            f"{backend}{'' if precision == 'float32' else f' {precision}'} {stage_label({**s, 'shortlist': ''}).replace('  ', ' ').strip()}"
            for backend, precision, s in zip(rows["backend"], rows["precision"], stages, strict=True)
        ],
    )
    style = looks(rows["kind"].unique())
    for kind, line in rows.groupby("kind"):
        share = line.groupby("shortlist")["share"].median()
        axis.plot(share.index, share, label=kind, **style[kind])
    plain_log(axis, "x")
    axis.set_ylim(0, 1.03)
    axis.set_xlabel("candidates of the first stage")
    axis.set_ylabel("share of the time for later stages")
    axis.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)
