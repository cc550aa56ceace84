"""The figures of a page."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
from matplotlib.figure import Figure

from bench.figures import draw_all, figures, svg

FIGURE_WIDTH = 12.0
"""Inches at 96 pixels each: the width of the page's text in a window of 1,200 pixels."""


def figures_of(
    frame: pd.DataFrame,
    progress: Callable[[str], object] | None = None,
    projected: pd.DataFrame | None = None,
) -> list[dict[str, str]]:
    """Draw the figures of a page: name, title, caption and SVG of each.

    `progress` is told what is under way; `projected` as for `bench.figures.draw_all`.
    """
    if not (frame["status"] == "ok").any():
        return []
    drawn = draw_all(frame, FIGURE_WIDTH, progress, projected)
    return [_figure(name, figure) for name, figure in drawn.items()]


def _figure(name: str, drawn: Figure) -> dict[str, str]:
    module = figures()[name]
    return {
        "name": name,
        "title": module.TITLE,
        "caption": getattr(module, "CAPTION", ""),
        "svg": _inline(svg(drawn)),
    }


def _inline(text: str) -> str:
    """Return only the ``<svg>`` element: an HTML page takes no XML prologue or document type."""
    return text[text.index("<svg") :]
