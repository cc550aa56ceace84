"""Draw how long each index takes to build, against dimension."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench.figures._by_dimension import draw_by_dimension

TITLE = "Build time against dimension"
CAPTION = (
    "Lower is better. Each point is the median over the trials of one index. "
    "Encoding the texts and reducing the vectors are not counted."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw the build time of each index in seconds; raises NothingToShow if no trial is timed."""
    return draw_by_dimension(frame, "build_seconds", "build time (s)", with_rescore=False)
