"""What a second stage saves, and what its memory traffic takes back."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.analysis.tables import savings
from bench.figures._style import COLUMN, heading, look, looks, needed, panels, plain_log
from bench.reducers import PREFIX
from bench.results.rows import from_disk, groups, pareto, plain, quality_of, timed, two_stage
from bench.study.plan import parameters

TITLE = "One stage against several: latency at equal quality, and the share that rescoring takes"
ORDER = 5.5
CAPTION = (
    "Left: the fronts of searches in one stage and in several, truncated vectors in memory; beside them stands how the latency of "
    "the fastest search changes with several stages at each level of quality kept (dotted). Right: the median share of a query's time that goes into reading and scoring the shortlist's longer "
    "vectors. Where that nears one, the second stage's memory traffic has eaten what the short first stage saved."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw both fronts and the share of the later stages' time, two panels for each dataset and encoder."""
    rows = timed(frame)
    keys = rows.loc[
        two_stage(rows) & rows["rescore_ms_p50"].notna(), ["dataset", "encoder"]
    ].drop_duplicates()
    needed(keys, "no timed trial of several stages")
    parts = [
        part for key, part in groups(rows) if key in set(keys.itertuples(index=False, name=None))
    ]
    with panels(2 * len(parts), columns=2, width=1.35 * COLUMN, height=3.9) as (figure, axes):
        for (left, right), part in zip(zip(axes[::2], axes[1::2], strict=True), parts, strict=True):
            _fronts(left, part)
            _shares(right, part)
            left.set_title(heading(part))
            right.set_title(heading(part))
    return figure


def _fronts(axis: Axes, part: pd.DataFrame) -> None:
    quality, saved = quality_of(part), savings(part)
    saved = saved[saved["kind"] == PREFIX]
    in_memory = part[~from_disk(part)]
    shown = in_memory[in_memory["backend"].isin(in_memory.loc[two_stage(in_memory), "backend"])]
    shown = plain(shown)
    for position, (backend, rows) in enumerate(shown.groupby("backend", sort=False)):
        for several, kind in rows.groupby(two_stage(rows)):
            best = kind[pareto(kind, [quality.column], ["latency_ms_p50"])].sort_values(
                "latency_ms_p50"
            )
            style = {
                **look(position),
                "linestyle": "-" if several else ":",
                "fillstyle": "full" if several else "none",
            }
            axis.plot(
                best["latency_ms_p50"], best[quality.column], drawstyle="steps-post", ms=3.5,
                label=f"{backend}, {'several stages' if several else 'one stage'}", **style,
            )  # fmt: skip
    full = (in_memory[quality.column] / in_memory[quality.retained]).median()
    told = []
    for level in sorted(saved["level"].unique(), reverse=True):
        rows = saved[saved["level"] == level]
        words = ", ".join(f"{row['backend']} {-row['saving']:+.0%}" for _, row in rows.iterrows())
        axis.axhline(level * full, color="grey", lw=0.5, ls=":")
        told.append(f"{level:.0%} kept: {words}")
    axis.text(1.02, 1.0, "\n".join(told), transform=axis.transAxes, va="top", fontsize=6)
    plain_log(axis, "x")
    axis.set_xlabel("median latency of one query (ms)")
    axis.set_ylabel(quality.label)
    axis.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2)


def _shares(axis: Axes, part: pd.DataFrame) -> None:
    rows = part[two_stage(part) & part["rescore_ms_p50"].notna()]
    stages = [parameters(s) for s in rows["stages"]]
    rows = rows.assign(
        share=(rows["rescore_ms_p50"] / rows["latency_ms_p50"]).clip(upper=1),
        shortlist=[s["shortlist"] for s in stages],
        kind=[
            f"{backend}{'' if precision == 'float32' else f' {precision}'}, {'funnel' if s.get('funnel') else 'rescore'} from {s.get('vectors', 'memory')}"
            for backend, precision, s in zip(
                rows["backend"], rows["precision"], stages, strict=True
            )
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
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.03), fontsize=6.5)
