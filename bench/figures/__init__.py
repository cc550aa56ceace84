"""Draw figures from a table of trials; each figure is one file.

A figure's file has `TITLE` and ``draw(frame) -> Figure``, and may have `CAPTION` (how to read it).
``draw`` can be called on any frame from `bench.load`. With ``PROJECTED = True`` it is
``draw(frame, projected)``, where `projected` comes from `bench.projection.project_folder`. With
``PARTS = True`` the frame holds the rows of smaller parts of a corpus too, which show how an index
grows. With ``QUERIES = True`` the last argument is what `ranks` returns: one row per query. Another
package names such a module in the entry-point group ``matryoshka_bench.figures``.

Figures are as wide as matplotlib's ``figure.figsize``, so ``rc_context`` sets the width of one. A
style (`STYLES`) sets the sizes of texts and lines.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pandas as pd

from bench import registry
from bench.errors import NothingToShow, UsageError
from bench.results.rows import exact_rows, plain, wholes
from bench.results.store import load_relevant

# matplotlib is imported where something is drawn: the names of the figures are listed without.
if TYPE_CHECKING:
    from matplotlib.figure import Figure

ORDER = (
    "quality_vs_dimension",
    "quality_vs_documents",
    "dimension_vs_documents",
    "rank_shift",
    "cost_vs_documents",
    "crossover",
    "quality_vs_latency",
    "recall_vs_qps",
    "front_per_budget",
    "memory_vs_dimension",
    "quality_vs_bytes",
    "encoders",
    "bytes_read",
    "precision_heatmap",
    "build_vs_dimension",
    "stages",
    "load",
    "loss",
)
"""Figures in reading order; any others follow by name."""
FORMATS = ("png", "svg", "pdf")
WIDTHS = {"column": 3.3, "page": 7.0}
"""Inches of a column and of a page of a paper in two columns."""
# Without dates and versions the same figure is the same file. TrueType fonts can be searched.
_PLAIN: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None},
    "pdf": {"Creator": "matryoshka-bench", "Producer": None, "CreationDate": None},
}
_RC: Any = {"svg.hashsalt": "matryoshka-bench", "pdf.fonttype": 42}


def figures() -> dict[str, ModuleType]:
    """Return every figure's module by name, in reading order, those of other packages included.

    Raises UsageError if an entry point cannot be loaded or its name is taken.
    """
    found = dict(registry.modules("figures"))
    offered = registry.plugged_in("figures")
    if taken := sorted(found.keys() & offered.keys()):
        raise UsageError(f"two figures are called '{taken[0]}'")
    found |= offered
    names = [*(name for name in ORDER if name in found), *sorted(found.keys() - set(ORDER))]
    return {name: found[name] for name in names}


def ranks(results: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the queries table that figures of single queries show.

    They are those of exact search of truncated vectors. `results` is a results folder or its
    ``trials.parquet``, `frame` its trials. Columns: those of `bench.results.store.load_relevant`.
    """
    folder = results.parent if results.is_file() else results
    return load_relevant(folder, plain(exact_rows(wholes(frame)))["trial_id"])


def draw_all(
    frame: pd.DataFrame,
    width: float | None = None,
    progress: Callable[[str], object] | None = None,
    projected: pd.DataFrame | None = None,
    queries: pd.DataFrame | None = None,
    style: str = "screen",
) -> dict[str, Figure]:
    """Return every figure that `frame` has the data for, by name, each `width` inches wide.

    `progress` is told what is drawn. Without `projected` (see `bench.projection.project_folder`) no
    figure of other sizes of the corpus is drawn, without `queries` (see `ranks`) none of single
    queries. `style` is one of `STYLES`; its own width is the default. Names each figure left out
    on standard error, with the reason. Raises NothingToShow if every figure is left out, UsageError
    if there is no such style.
    """
    import matplotlib as mpl

    from bench.figures._style import STYLES, styled

    if style not in STYLES:
        raise UsageError(f"no style of figures is called '{style}': {', '.join(STYLES)} are")
    drawn, left_out, whole = {}, {}, wholes(frame)
    width = width or STYLES[style].width
    # Only the width counts: each figure chooses its height.
    with styled(style), mpl.rc_context({"figure.figsize": (width, width)}):
        for name, module in figures().items():
            given = {"PROJECTED": projected, "QUERIES": queries}
            wanted = [each for mark, each in given.items() if getattr(module, mark, False)]
            if any(each is None for each in wanted):
                continue
            if progress:
                progress(f"drawing {name}")
            rows = frame if getattr(module, "PARTS", False) else whole
            try:
                drawn[name] = module.draw(rows, *wanted)
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
    width: float | None = None,
    projected: pd.DataFrame | None = None,
    queries: pd.DataFrame | None = None,
    style: str = "screen",
    formats: Sequence[str] = ("png", "svg"),
) -> list[Path]:
    """Write every figure into `folder` in each of `formats` (of `FORMATS`); return the paths.

    The other arguments, and what is raised, are those of `draw_all`.
    """
    import matplotlib as mpl

    from bench.console import Console
    from bench.figures._style import STYLES

    if unknown := [each for each in formats if each not in FORMATS]:
        raise UsageError(f"figures have no format '{unknown[0]}': {', '.join(FORMATS)} are")
    paths = []
    with Console(stderr=True).status("drawing") as status:
        drawn = draw_all(frame, width, status.update, projected, queries, style)
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            status.update(f"writing {name}")
            for kind in formats:
                paths.append(folder / f"{name}.{kind}")
                with mpl.rc_context(_RC):
                    figure.savefig(paths[-1], dpi=STYLES[style].dpi, metadata=_PLAIN[kind])
    return paths


def svg(figure: Figure) -> str:
    """Return a figure as SVG, the same text for the same figure."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context(_RC):
        figure.savefig(text, format="svg", metadata=_PLAIN["svg"])
    return text.getvalue()
