"""What the charts share: their source, and pieces of specifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from bench.report.page.document import Chart

DATA = "rows"
"""Name of the data set of every specification."""
HEIGHT = 320
_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")


@dataclass(frozen=True)
class Source:
    """What the charts of one dataset and encoder are drawn from."""

    frame: pd.DataFrame
    """Its trials."""
    projected: pd.DataFrame
    """That of `bench.projection.project_folder`."""
    ranks: pd.DataFrame
    """That of `bench.report.page.lost.ranks_of`."""


def chart(
    name: str,
    title: str,
    caption: str,
    headings: dict[str, str],
    rows: pd.DataFrame,
    *layers: alt.Chart,
    height: int = HEIGHT,
) -> Chart:
    """Return a chart of `rows`; `headings` names the columns of the table behind it.

    `height` is in pixels, without the axes.
    """
    spec = alt.layer(*layers).properties(
        width="container", height=height, description=f"{title}. {caption}"
    )
    records = rows.astype(object).where(rows.notna(), None).to_dict("records")
    return Chart(
        name=name,
        title=title,
        caption=caption,
        headings=headings,
        rows=[{str(k): _rounded(v) for k, v in record.items()} for record in records],
        spec={key: value for key, value in spec.to_dict().items() if key != "config"},
    )


def base(where: str = "") -> alt.Chart:
    """Return an empty chart of the data, or of the rows that an expression chooses."""
    drawn = alt.Chart(alt.NamedData(name=DATA))
    return drawn.transform_filter(where) if where else drawn


def log_x(field: str, title: str, ticks: Sequence[int] | None = None) -> alt.X:
    """Return a logarithmic axis, with a number at each of `ticks` if they are given."""
    axis = alt.Axis(values=[*ticks]) if ticks else alt.Axis(format="~s", tickCount=5)
    return alt.X(field, type="quantitative", title=title, axis=axis).scale(type="log", nice=False)


def colours(names: Sequence[str], colour: Callable[[str], str], title: str = "") -> alt.Color:
    """Return a colour for each value of the column ``series``."""
    scale = alt.Scale(domain=[*names], range=[colour(name) for name in names])
    return alt.Color("series:N", scale=scale, title=title or None)


def shapes(names: Sequence[str], title: str) -> alt.Shape:
    """Return a shape for each value of the column ``series``, where there are more than colours."""
    scale = alt.Scale(domain=[*names], range=[_SHAPES[i % len(_SHAPES)] for i in range(len(names))])
    return alt.Shape("series:N", scale=scale, title=title)


def tips(columns: Mapping[str, str]) -> list[alt.Tooltip]:
    """Return what a mark says of itself: ``column:type`` with its heading."""
    return [alt.Tooltip(column, title=title) for column, title in columns.items()]


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
