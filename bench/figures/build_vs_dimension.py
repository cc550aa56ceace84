"""What an index costs to build."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._by_dimension import draw_by_dimension

TITLE = "Build time against dimension"
ORDER = 5


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the seconds that each index took to build against dimension."""
    return draw_by_dimension(frame, "build_seconds", "build time (s)", two_stage=False)
