"""Figures: each a function from a table of trials to a matplotlib figure. One file a figure.

A file has `TITLE`, `ORDER` (its place on a page) and ``draw(frame) -> Figure``; anyone can call it on a parquet file of their own.
"""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from bench import registry
from bench.errors import UsageError

DPI = 200


def figures() -> dict[str, ModuleType]:
    """Return every figure's module by name, in the order in which they are read."""
    return dict(sorted(registry.modules("figures").items(), key=lambda item: item[1].ORDER))


def draw_all(frame: pd.DataFrame) -> dict[str, Figure]:
    """Return every figure that `frame` has the data for, by name. Raises UsageError where it has none for any."""
    drawn = {}
    for name, module in figures().items():
        try:
            drawn[name] = module.draw(frame)
        except UsageError:
            continue
    if not drawn:
        raise UsageError("there is nothing to draw: no trial ended ok")
    return drawn


def save_all(frame: pd.DataFrame, folder: Path) -> list[Path]:
    """Write every figure as PNG and SVG into `folder`; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in draw_all(frame).items():
        paths += [folder / f"{name}.png", folder / f"{name}.svg"]
        figure.savefig(paths[-2], dpi=DPI)
        paths[-1].write_text(svg(figure), encoding="utf-8")
    return paths


def svg(figure: Figure) -> str:
    """Return a figure as SVG, the same text for the same figure."""
    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "matryoshka-bench"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
