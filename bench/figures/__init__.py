"""Figures: each a function from a table of trials to a matplotlib figure. One file a figure.

A file has `TITLE` and ``draw(frame) -> Figure``, and may have `ORDER` (its place on a page) and `CAPTION` (how to read it);
anyone can call it on a parquet file of their own. Another package names such a module in the entry-point group
``matryoshka_bench.figures``.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from bench import registry
from bench.errors import UsageError

DPI = 200
_LAST = 1000


def figures() -> dict[str, ModuleType]:
    """Return every figure's module by name, in the order in which they are read; those of other packages included.

    Raises UsageError when an entry point cannot be loaded or its name is taken.
    """
    found = dict(registry.modules("figures"))
    offered = registry.plugged_in("figures")
    if taken := sorted(found.keys() & offered.keys()):
        raise UsageError(f"two figures are called '{taken[0]}'")
    found |= offered
    return dict(sorted(found.items(), key=lambda item: (getattr(item[1], "ORDER", _LAST), item[0])))


def draw_all(frame: pd.DataFrame) -> dict[str, Figure]:
    """Return every figure that `frame` has the data for, by name. Raises UsageError where it has none for any.

    A figure that is left out is named on standard error with the reason.
    """
    drawn, left_out = {}, {}
    for name, module in figures().items():
        try:
            drawn[name] = module.draw(frame)
        except UsageError as error:
            left_out[name] = error
    if not drawn:
        raise UsageError("there is nothing to draw: no trial ended ok")
    for name, reason in left_out.items():
        print(f"not drawn: {name}: {reason}", file=sys.stderr)
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
