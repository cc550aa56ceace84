"""The report: one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure
from rich.console import Console

from bench.analysis.labels import labels
from bench.analysis.non_inferiority import MARGIN
from bench.analysis.recommendation import RETAIN
from bench.analysis.summary import Summary, folder_of, number, summarise
from bench.analysis.tables import front
from bench.figures import draw_all, figures, svg
from bench.report.beside import Beside
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import exact_rows, quality_of, timed

FIGURE_WIDTH = 12.0
"""Inches at 96 pixels each: the width of the page's text in a window of 1,200 pixels."""
MOST_TRIALS = 1000
"""Most rows of the table of trials: a page of more takes seconds to open."""
_COLUMNS = [column for column in ALL_COLUMNS.values() if column.page]


def write_report(
    results: str | Path,
    out: str | Path | None = None,
    *,
    retain: float = RETAIN,
    margin: float = MARGIN,
) -> Path:
    """Write the page of a results folder and return its path, ``RESULTS/report.html`` by default.

    It shows the decision, findings, tables, figures and provenance, and needs no network. Raises
    UsageError on bad input and if there is nothing measured.
    """
    trials = folder_of(results) / "trials.parquet"
    with Console(stderr=True).status("reading the tables") as status, Beside(trials) as beside:
        found = summarise(results, retain=retain, margin=margin)
        path = Path(out) if out else folder_of(results) / "report.html"
        drawn = beside.figures() or figures_of(found.frame, status.update)
        path.write_text(render(found, drawn), encoding="utf-8")
    return path


def figures_of(
    frame: pd.DataFrame, progress: Callable[[str], object] | None = None
) -> list[dict[str, str]]:
    """Draw the figures of a page: name, title, caption and SVG of each.

    `progress` is told what is under way.
    """
    if not (frame["status"] == "ok").any():
        return []
    drawn = draw_all(frame, FIGURE_WIDTH, progress)
    return [_figure(name, figure) for name, figure in drawn.items()]


def render(found: Summary, drawn: list[dict[str, str]] | None = None) -> str:
    """Return the page of a summary as HTML; figures (SVG), styles and script are inline.

    `drawn` are the figures of `figures_of`, if they are drawn already.
    """
    source = resources.files("bench.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    frame, listed = found.frame, _listed(found)
    drawn = figures_of(frame) if drawn is None else drawn
    named = labels(frame, listed.index)
    return environment.from_string(source).render(
        recommendations=found.recommendations,
        sections=found.sections,
        side_by_side=found.side_by_side(),
        figures=[figure | {"svg": Markup(figure["svg"])} for figure in drawn],
        columns=_COLUMNS,
        trials=[_trial(row, named[i]) for i, row in listed.iterrows()],
        n_trials=len(frame),
        provenance=_provenance(frame),
        other_machines=found.other_machines,
    )


def _listed(found: Summary) -> pd.DataFrame:
    """Return the rows to list: all, or the best of `MOST_TRIALS` if there are more.

    First the front of each dataset and encoder, then the fastest and the best in quality of each
    backend and dimension, the exact pass, and what failed.
    """
    frame = found.frame
    if len(frame) <= MOST_TRIALS:
        return frame
    chosen: list[pd.Index] = [front(section.frame).index for section in found.sections]
    for section in found.sections:
        by_index = timed(section.frame).groupby(["backend", "dim"])
        chosen += [
            pd.Index(by_index["latency_ms_p50"].idxmin()),
            pd.Index(by_index[quality_of(section.frame).column].idxmax().dropna().astype(int)),
        ]
    chosen += [exact_rows(frame).index, frame.index[~frame["status"].isin(["ok", "pruned"])]]
    first = pd.Index(dict.fromkeys(i for index in chosen for i in index))[:MOST_TRIALS]
    return frame.loc[first.sort_values()]


def _trial(row: pd.Series, configuration: str) -> dict[str, Any]:
    where = " ".join(filter(None, [row["dataset"], row["encoder"]]))
    return {
        "id": row["trial_id"],
        "label": f"{where}: {configuration}",
        "error": row["error"] if row["status"] != "ok" else "",
        "cells": [_cell(row[column.name]) for column in _COLUMNS],
    }


def _cell(value: Any) -> str:
    if pd.isna(value):
        return ""
    return number(value, ",.4g") if isinstance(value, float) else str(value)


def _provenance(frame: pd.DataFrame) -> dict[str, str]:
    versions: dict[str, str] = {}
    for text in frame["library_versions"].dropna().unique():
        versions |= json.loads(text)
    started = frame["started_at"].dropna()
    prints = frame.groupby("dataset", sort=False)["dataset_fingerprint"].first()
    return {
        "study": ", ".join(frame["study"].dropna().unique()),
        "machine": "; ".join(frame["machine"].dropna().unique()),
        "threads": ", ".join(str(t) for t in sorted(frame["threads"].dropna().unique())),
        "libraries": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        "datasets": ", ".join(f"{name} ({print_})" for name, print_ in prints.items()),
        "measured": f"{started.min()} to {started.max()}" if len(started) else "",
    }


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
