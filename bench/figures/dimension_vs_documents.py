"""Draw the dimension that keeps enough against the size of the corpus, a line per reducer."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from bench.analysis.labels import variants
from bench.errors import NothingToShow
from bench.figures._style import (
    marker_size,
    panels,
    plain_log,
    reducer_look,
    reducer_name,
    set_titles,
)
from bench.figures._ticks import Dimensions
from bench.projection import dimension_needed
from bench.results.rows import base_dataset, exact_rows, groups, quality_of, wholes

SHARE = 0.98
TITLE = f"Dimension that keeps {SHARE:.0%} against the size of the corpus"
CAPTION = (
    "Lower is better. "
    f"From this dimension on exact search keeps {SHARE:.0%} of the full quality at that size. "
    "Solid lines are of random parts of the corpus, dashed ones projected to more such documents. "
    "Rings, if any, were measured in smaller parts. "
    "The bands span where the bounds of the 95 % interval reach the share. "
    "Where a band meets the top, no shorter dimension is shown to keep it."
)
PARTS = True
PROJECTED = True


def draw(frame: pd.DataFrame, projected: pd.DataFrame) -> Figure:
    """Draw one panel per dataset and encoder; `projected` is that of `project_folder`.

    Raises NothingToShow if no reducer has two dimensions with the ranks of relevant documents.
    """
    parts = [
        (part, needed)
        for _, part in groups(wholes(frame))
        if len(needed := _needed(part, projected))
    ]
    if not parts:
        raise NothingToShow("no reducer has two dimensions with the ranks of relevant documents")
    with panels(len(parts), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, (part, needed) in zip(axes, parts, strict=True):
            full = float(part["full_dim"].max())
            measured = _measured(frame, part)
            for variant, line in needed.groupby("variant", sort=False):
                _line(axis, line.sort_values("documents"), str(variant), full)
                own = measured[measured["variant"] == variant]
                axis.plot(
                    own["documents"],
                    own["dim"],
                    color=reducer_look(str(variant))["color"],
                    marker="o",
                    markersize=marker_size(5),
                    fillstyle="none",
                    linestyle="none",
                )
            axis.axvline(part["n_corpus"].max(), color="0.5", lw=0.8)
            plain_log(axis, "x", wide=1)
            axis.set_yscale("log", base=2)
            ticks = sorted(exact_rows(part)["dim"].unique())
            low = min(needed["dim_low"].min(), needed["dim"].min())
            axis.yaxis.set_major_locator(Dimensions(ticks))
            axis.yaxis.set_minor_locator(NullLocator())
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_ylim(0.9 * low, 1.06 * full)
            axis.set_xlabel("documents")
            axis.set_ylabel(f"dimension that keeps {SHARE:.0%}")
        set_titles(figure, axes, [part for part, _ in parts])
    return figure


def _needed(part: pd.DataFrame, projected: pd.DataFrame) -> pd.DataFrame:
    """Return `dimension_needed` of a part with the variant of each row, where any is known."""
    rows = exact_rows(part)
    own = projected[projected["trial_id"].isin(rows["trial_id"])]
    several = (
        own.groupby(["reducer", "reducer_params"], dropna=False)["dim"].transform("nunique") > 1
    )
    found = dimension_needed(own[several], SHARE)
    return _with_variant(found, rows)


def _measured(frame: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """Return the same of the smaller parts of the corpus, as they were measured."""
    rows = exact_rows(frame)
    same = (base_dataset(rows) == part["dataset"].iloc[0]) & (
        rows["encoder"] == part["encoder"].iloc[0]
    )
    rows = rows[same & (rows["n_corpus"] < part["n_corpus"].max())]
    quality = quality_of(part)
    table = rows.assign(
        documents=rows["n_corpus"],
        kept=rows[quality.retained],
        kept_low=rows[quality.retained_low],
        kept_high=rows[quality.retained_high],
        refused="",
        times_beyond=rows["n_corpus"] / part["n_corpus"].max(),
    )
    return _with_variant(dimension_needed(table, SHARE), rows)


def _with_variant(needed: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Add the variant of each row's reducer, where a dimension keeps enough."""
    named = rows.assign(variant=variants(rows)).drop_duplicates(["reducer", "reducer_params"])
    found = needed.merge(named[["reducer", "reducer_params", "variant"]], how="left")
    return found[found["dim"].notna()]


def _line(axis: Axes, line: pd.DataFrame, variant: str, full: float) -> None:
    look = reducer_look(variant)
    inside, beyond = line[line["times_beyond"] <= 1], line[line["times_beyond"] >= 1]
    name = reducer_name(variant, "prefix" if line["reducer"].iloc[0] == "truncate" else "")
    axis.plot(inside["documents"], inside["dim"], label=name, **{**look, "linestyle": "-"})
    dashed = {**look, "linestyle": "--", "fillstyle": "none"}
    axis.plot(beyond["documents"], beyond["dim"], label=f"_{name}", **dashed)
    axis.fill_between(
        line["documents"],
        line["dim_low"],
        line["dim_high"].fillna(full),
        color=look["color"],
        alpha=0.12,
        lw=0,
    )
