"""What an index costs to build."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._by_dimension import draw_by_dimension

TITLE = "Build time against dimension"
ORDER = 5
CAPTION = "Median over the trials of an index. Lower is better; reducing the vectors and encoding the texts are not counted."


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the seconds that each index took to build against dimension."""
    return draw_by_dimension(frame, "build_seconds", "build time (s)", with_rescore=False)
