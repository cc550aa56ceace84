"""What a vector costs in bytes."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._by_dimension import draw_by_dimension

TITLE = "Bytes a vector against dimension, everything that is searched counted"
ORDER = 4
CAPTION = (
    "Lower is better. A graph or a forest adds bytes that a shorter vector does not shrink; a second stage keeps the full vectors, "
    "and so wins time but no memory."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw serialised bytes a vector (with the full vectors where a second stage reads them) against dimension."""
    return draw_by_dimension(frame, "bytes_per_vector", "bytes a vector", with_rescore=True)
