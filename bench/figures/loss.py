"""Where the quality of a configuration is lost: by the dimension, by the precision, by the index."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.analysis.labels import labels
from bench.analysis.tables import evenly, front, worth_showing
from bench.figures._style import COLOURS, COLUMN, heading, needed, panels
from bench.results.rows import NDCG, groups, timed

TITLE = "Loss of nDCG@10 on the Pareto front: by dimension, precision and search"
ORDER = 6
CAPTION = (
    "The three add up to the distance from exact search at the full dimension. A part that points left is a gain: an index may miss "
    "what was wrong."
)
_ROWS = 12
_PARTS = {"loss_dimension": "dimension", "loss_precision": "precision", "loss_search": "search"}


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the three losses of the configurations of the Pareto front as stacked bars."""
    rows = needed(
        timed(frame).dropna(subset=list(_PARTS)), "no timed trial with relevance judgements"
    )
    parts = [(key, evenly(worth_showing(front(part)), _ROWS)) for key, part in groups(rows)]
    tallest = max(len(part) for _, part in parts)
    with panels(len(parts), columns=1, width=2 * COLUMN, height=0.9 + 0.22 * tallest) as (
        figure,
        axes,
    ):
        for axis, (_, part) in zip(axes, parts, strict=True):
            places = np.arange(len(part))[::-1]
            ends = {True: np.zeros(len(part)), False: np.zeros(len(part))}
            for (column, name), colour, hatch in zip(
                _PARTS.items(), COLOURS, ("", "///", "..."), strict=False
            ):
                values = part[column].to_numpy(float)
                for gain in (False, True):
                    widths = np.where((values < 0) == gain, values, 0.0)
                    axis.barh(
                        places, widths, left=ends[gain], height=0.7, color=colour, hatch=hatch, edgecolor="white", lw=0.3,
                        label=None if gain else name,
                    )  # fmt: skip
                    ends[gain] += widths
            axis.plot(part[list(_PARTS)].sum(axis=1), places, "k|", markersize=9, label="total")
            axis.axvline(0, color="black", lw=0.6)
            axis.set_yticks(places, list(labels(part)))
            axis.grid(False, axis="y")
            axis.set_xlabel(
                f"loss of {NDCG.label} against exact search at {part['full_dim'].iloc[0]} d"
            )
            axis.set_title(heading(part))
            axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure
