"""Draw the bytes per vector of each index, against dimension."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._by_dimension import draw_by_dimension

TITLE = "Bytes per vector against dimension"
CAPTION = (
    "Lower is better. The bytes are those of the serialised index. "
    "The links of a graph and the trees of a forest do not shrink with the dimension. "
    "A rescore keeps the full vectors, so it saves time but no memory."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the bytes per vector, with the full vectors if a rescore reads them from memory.

    Raises NothingToShow if no trial is timed.
    """
    return draw_by_dimension(frame, "bytes_per_vector", "bytes per vector", with_rescore=True)
