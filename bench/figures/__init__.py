"""Draw figures from a table of trials; each figure is one file.

A figure's file has `TITLE` and ``draw(frame) -> Figure``, and may have `CAPTION` (how to read it).
``draw`` can be called on any frame from `bench.load`. With ``PROJECTED = True`` it is
``draw(frame, projected)``, where `projected` comes from `bench.projection.project_folder`. With
``PARTS = True`` the frame holds the rows of smaller parts of a corpus too, which show how an index
grows. Another package names such a module in the entry-point group ``matryoshka_bench.figures``.

Figures are as wide as matplotlib's ``figure.figsize``, so ``rc_context`` sets the width of one.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pandas as pd

from bench import registry
from bench.errors import NothingToShow, UsageError
from bench.results.rows import wholes

# matplotlib is imported where something is drawn: a page that only asks for a colour of the
# palette does without.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDER = (
    "quality_vs_dimension",
    "quality_vs_documents",
    "dimension_vs_documents",
    "cost_vs_documents",
    "crossover",
    "quality_vs_latency",
    "recall_vs_qps",
    "memory_vs_dimension",
    "quality_vs_bytes",
    "precision_heatmap",
    "build_vs_dimension",
    "stages",
    "load",
    "loss",
)
"""Figures in reading order; any others follow by name."""
DPI = 200
WIDTH = 8.0
"""Inches; what a figure saved to a file measures."""


def figures() -> dict[str, ModuleType]:
    """Return every figure's module by name, in reading order, those of other packages included.

    Raises UsageError if an entry point cannot be loaded or its name is taken.
    """
    own = registry.modules("figures")
    found = {name: module for name, module in own.items() if hasattr(module, "draw")}
    offered = registry.plugged_in("figures")
    if taken := sorted(found.keys() & offered.keys()):
        raise UsageError(f"two figures are called '{taken[0]}'")
    found |= offered
    names = [*(name for name in ORDER if name in found), *sorted(found.keys() - set(ORDER))]
    return {name: found[name] for name in names}


def draw_all(
    frame: pd.DataFrame,
    width: float = WIDTH,
    progress: Callable[[str], object] | None = None,
    projected: pd.DataFrame | None = None,
) -> dict[str, Figure]:
    """Return every figure that `frame` has the data for, by name, each `width` inches wide.

    `progress` is told what is drawn. Without `projected` (see `bench.projection.project_folder`) no
    figure of other sizes of the corpus is drawn. Names each figure left out on standard error, with
    the reason. Raises NothingToShow if every figure is left out.
    """
    import matplotlib as mpl

    drawn, left_out, whole = {}, {}, wholes(frame)
    # Only the width counts: each figure chooses its height.
    with mpl.rc_context({"figure.figsize": (width, width)}):
        for name, module in figures().items():
            of_sizes = getattr(module, "PROJECTED", False)
            if of_sizes and projected is None:
                continue
            if progress:
                progress(f"drawing {name}")
            rows = frame if getattr(module, "PARTS", False) else whole
            try:
                drawn[name] = module.draw(rows, projected) if of_sizes else module.draw(rows)
            except NothingToShow as error:
                left_out[name] = error
    if not drawn:
        raise NothingToShow("there is nothing to draw: no trial ended ok")
    for name, reason in left_out.items():
        print(f"not drawn: {name}: {reason}", file=sys.stderr)
    return drawn


def save_all(
    frame: pd.DataFrame,
    folder: Path,
    width: float = WIDTH,
    projected: pd.DataFrame | None = None,
) -> list[Path]:
    """Write every figure as PNG and SVG into `folder`, `width` inches wide; return the paths.

    `projected` as for `draw_all`. Raises NothingToShow if `frame` has the data for no figure.
    """
    from rich.console import Console

    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with Console(stderr=True).status("drawing") as status:
        for name, figure in draw_all(frame, width, status.update, projected).items():
            status.update(f"writing {name}")
            paths += [folder / f"{name}.png", folder / f"{name}.svg"]
            figure.savefig(paths[-2], dpi=DPI)
            paths[-1].write_text(svg(figure), encoding="utf-8")
    return paths


def svg(figure: Figure) -> str:
    """Return a figure as SVG, the same text for the same figure."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "matryoshka-bench"}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()
