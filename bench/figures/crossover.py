"""Draw the latency of the exhaustive scan and of each index against the size of the corpus."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.analysis.crossing import MOST_TIMES, RECALL, Crossing, crossings
from bench.backends import REFERENCE
from bench.errors import NothingToShow
from bench.figures._style import backend_look, marker_size, panels, plain_log, set_titles, small
from bench.results.rows import base_dataset

TITLE = "From how many documents on an index beats the exhaustive scan, per dimension"
CAPTION = (
    "Lower is better. "
    "Each point is the fastest search measured at that size of the corpus. "
    f"Searches of an index count if their ANN recall@10 is {RECALL:.0%} or more. "
    "A ring marks the size from which the index is faster than the scan. "
    "Dashed lines go on by the power that the latency grew by, "
    f"up to {MOST_TIMES} times the corpus. "
    "An index without a ring is faster at every size, never within that, "
    "or finds too little in the largest corpus."
)
PARTS = True
MOST_PANELS = 8
REFERENCE_NAME = f"{REFERENCE} (exhaustive scan)"


def draw(frame: pd.DataFrame) -> Figure:
    """Draw one panel per dataset, encoder and dimension that was timed at several sizes.

    Raises NothingToShow if no row is of a part of a corpus.
    """
    found: dict[tuple[str, str, int], list[Crossing]] = {}
    for each in crossings(frame):
        if len(each.index):
            found.setdefault((each.dataset, each.encoder, each.dim), []).append(each)
    if not found:
        raise NothingToShow("no index was timed at several sizes of a corpus (corpus_sizes)")
    keys = sorted(found, key=lambda key: key[2])
    if len(keys) > MOST_PANELS:
        places = np.linspace(0, len(keys) - 1, MOST_PANELS).round().astype(int)
        keys = [keys[place] for place in places]
    base = base_dataset(frame)
    with panels(len(keys), columns=4, height=2.8, at_ends=True) as (figure, axes):
        for axis, key in zip(axes, keys, strict=True):
            _draw(axis, found[key])
        parts = [
            frame[(base == name) & (frame["encoder"].fillna("") == encoder)].assign(dataset=name)
            for name, encoder, _ in keys
        ]
        set_titles(figure, axes, parts, [f"{dim} dimensions" for _, _, dim in keys])
    return figure


def _draw(axis: Axes, found: list[Crossing]) -> None:
    scan = found[0].scan
    _line(axis, scan, REFERENCE, REFERENCE_NAME)
    reach = [each for each in found if each.is_beyond]
    if reach:
        last = max(reach, key=lambda each: each.documents)
        _onward(axis, scan, last.documents, last.ms, REFERENCE)
    for place, each in enumerate(found):
        _line(axis, each.index, each.backend, each.backend)
        if each.is_beyond:
            _onward(axis, each.index, each.documents, each.ms, each.backend)
        if each.documents == each.documents and not each.always:
            _ring(axis, each, above=place % 2 == 0)
    plain_log(axis, "x", wide=30)
    plain_log(axis, "y", wide=30)
    axis.margins(0.12)
    axis.set_xlabel("documents")
    axis.set_ylabel("median latency (ms)")


def _line(axis: Axes, line: pd.Series, backend: str, name: str) -> None:
    axis.plot(line.index, line, label=name, **backend_look(backend))


def _onward(axis: Axes, line: pd.Series, documents: float, ms: float, backend: str) -> None:
    ends = [line.index[-1], documents], [line.iloc[-1], ms]
    name = f"_{REFERENCE_NAME if backend == REFERENCE else backend}"
    axis.plot(*ends, color=backend_look(backend)["color"], linestyle="--", label=name)


def _ring(axis: Axes, each: Crossing, above: bool) -> None:
    axis.plot(
        [each.documents],
        [each.ms],
        marker="o",
        markersize=marker_size(6),
        fillstyle="none",
        linestyle="none",
        color=backend_look(each.backend)["color"],
    )
    digits = float(f"{each.documents:.2g}")
    axis.annotate(
        f"{digits:,.0f}",
        (each.documents, each.ms),
        xytext=(0, 9 if above else -9),
        textcoords="offset points",
        ha="center",
        va="bottom" if above else "top",
        fontsize=small(),
        color=backend_look(each.backend)["color"],
        path_effects=[withStroke(linewidth=2, foreground="white")],
    )
