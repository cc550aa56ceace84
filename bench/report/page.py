"""The report: one self-contained HTML page."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from bench.analysis.labels import labels
from bench.analysis.non_inferiority import MARGIN
from bench.analysis.recommendation import RETAIN
from bench.analysis.summary import Summary, folder_of, number, summarise
from bench.figures import draw_all, figures, svg
from bench.results.derived import ALL_COLUMNS

FIGURE_WIDTH = 12.0
"""Inches at 96 pixels each: the width of the page's text in a window of 1,200 pixels."""
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
    found = summarise(results, retain=retain, margin=margin)
    path = Path(out) if out else folder_of(results) / "report.html"
    path.write_text(render(found), encoding="utf-8")
    return path


def render(found: Summary) -> str:
    """Return the page of a summary as HTML; figures (SVG), styles and script are inline."""
    source = resources.files("bench.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    frame = found.frame
    drawn = draw_all(frame, FIGURE_WIDTH) if len(frame[frame["status"] == "ok"]) else {}
    named = labels(frame)
    return environment.from_string(source).render(
        recommendations=found.recommendations,
        sections=found.sections,
        side_by_side=found.side_by_side(),
        figures=[_figure(name, figure) for name, figure in drawn.items()],
        columns=_COLUMNS,
        trials=[_trial(row, named[i]) for i, row in frame.iterrows()],
        provenance=_provenance(frame),
        other_machines=found.other_machines,
    )


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
        "svg": Markup(_inline(svg(drawn))),
    }


def _inline(text: str) -> str:
    """Return only the ``<svg>`` element: an HTML page takes no XML prologue or document type."""
    return text[text.index("<svg") :]
