"""The report: one self-contained HTML page."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from bench.analysis.labels import labels
from bench.analysis.matryoshka import with_projection
from bench.analysis.summary import Summary, number
from bench.analysis.tables import front
from bench.report.advised import Advised
from bench.report.at_size import at_size
from bench.report.growing import growing
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import exact_rows, quality_of, timed
from bench.results.schema import NOT_TIMED

MOST_TRIALS = 1000
"""Most rows of the table of trials: a page of more takes seconds to open."""
_COLUMNS = [column for column in ALL_COLUMNS.values() if column.page]


def render(
    found: Summary,
    drawn: list[dict[str, str]],
    projected: pd.DataFrame | None = None,
    advice: Advised | None = None,
) -> str:
    """Return the page of a summary as HTML; figures (SVG), styles and script are inline.

    `drawn` are the figures of `bench.report.drawing`. Without `projected`, which
    `bench.projection.project_folder` returns, nothing is said of other sizes of the corpus.
    `advice` is what `advise` left in the folder; it stands in place of the recommendation.
    """
    source = resources.files("bench.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    frame, listed = found.frame, _listed(found)
    named = labels(frame, listed.index)
    return environment.from_string(source).render(
        advice=advice,
        recommendations=[
            each for each in found.recommendations if advice is None or not advice.is_of(each)
        ],
        sections=[
            replace(section, matryoshka=with_projection(section.matryoshka, projected))
            if section.matryoshka
            else section
            for section in found.sections
        ],
        at_size=[
            None if projected is None else at_size(section.frame, projected)
            for section in found.sections
        ],
        side_by_side=found.side_by_side(),
        growing=growing(frame, found.recommendations),
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
    chosen += [exact_rows(frame).index, frame.index[~frame["status"].isin(["ok", *NOT_TIMED])]]
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
