"""The report: one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from bench.analysis.findings import findings
from bench.analysis.labels import labels
from bench.analysis.tables import dimension_table, front, other_reducers, worth_showing
from bench.figures import draw_all, figures, svg
from bench.quality.measures import MEASURES
from bench.results.rows import exact_rows, groups, quality_of

COLUMNS = (
    "status",
    "reducer",
    *MEASURES,
    "retained_ndcg_at_10",
    "ann_recall_at_10",
    "fidelity_at_10",
    "loss_dimension",
    "loss_precision",
    "loss_search",
    "latency_ms_p50",
    "latency_ms_p95",
    "latency_ms_p99",
    "qps",
    "batch_qps",
    "speedup_vs_exact",
    "bandwidth_fraction",
    "build_seconds",
    "bytes_per_vector",
    "memory_bytes",
    "encode_ms_p50",
)
"""Columns of the page's table of all trials, beside their label."""


def report(
    frame: pd.DataFrame,
    folder: Path,
    recommendation: Sequence[str] = (),
    verdicts: Mapping[tuple[str, str], str] | None = None,
) -> Path:
    """Write ``report.html`` into `folder` and return its path: the decision, findings, figures, tables and provenance.

    The page needs no network: figures are inline SVG, styles and the few lines of script are inline.
    """
    template = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    ).from_string(resources.files("bench.report").joinpath("page.html").read_text(encoding="utf-8"))
    drawn = draw_all(frame) if len(frame[frame["status"] == "ok"]) else {}
    page = template.render(
        recommendation=recommendation,
        sections=[_section(part, (verdicts or {}).get(key)) for key, part in groups(frame)],
        figures=[(_caption(name), Markup(_inline(svg(figure)))) for name, figure in drawn.items()],
        columns=COLUMNS,
        trials=[
            _trial(row, name)
            for (_, row), name in zip(frame.iterrows(), labels(frame), strict=True)
        ],
        provenance=_provenance(frame),
        other_machines=frame.attrs.get("other_machines", []),
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _section(part: pd.DataFrame, verdict: str | None) -> dict[str, Any]:
    quality, first, told = quality_of(part), part.iloc[-1], labels(part)
    table = dimension_table(part) if len(exact_rows(part)) else pd.DataFrame()
    return {
        "dataset": first["dataset"],
        "encoder": first["encoder"],
        "size": f"{first['n_corpus']:,} documents, {first['n_queries']:,} queries, {first['full_dim']} dimensions",
        "quality": {**asdict(quality), "retained": quality.retained},
        "findings": [*filter(None, [verdict]), *findings(part)],
        "dimensions": [{"dim": dim, **row} for dim, row in table.to_dict("index").items()],
        "others": other_reducers(table) if len(table) else [],
        "front": [
            {
                "label": told[row.name],
                "low": row[quality.retained_low],
                "high": row[quality.retained_high],
                **row,
            }
            for _, row in worth_showing(front(part)).iterrows()
        ],
    }


def _trial(row: pd.Series, configuration: str) -> dict[str, Any]:
    name = f"{row['dataset']} {row['encoder']}: {configuration}".replace(" :", ":")
    cells = [
        None if pd.isna(row[c]) else (f"{row[c]:,.4g}" if isinstance(row[c], float) else row[c])
        for c in COLUMNS
    ]
    return {
        "id": row["trial_id"],
        "label": name,
        "error": row["error"] if row["status"] != "ok" else "",
        "cells": cells,
    }


def _provenance(frame: pd.DataFrame) -> dict[str, str]:
    versions: dict[str, str] = {}
    for text in frame["library_versions"].dropna().unique():
        versions |= json.loads(text)
    started = frame["started_at"].dropna()
    return {
        "study": ", ".join(frame["study"].dropna().unique()),
        "machine": "; ".join(frame["machine"].dropna().unique()),
        "threads": ", ".join(str(t) for t in sorted(frame["threads"].dropna().unique())),
        "libraries": ", ".join(f"{name} {version}" for name, version in sorted(versions.items())),
        "datasets": ", ".join(
            f"{d} ({f})"
            for d, f in frame.groupby("dataset", sort=False)["dataset_fingerprint"].first().items()
        ),
        "measured": f"{started.min()} to {started.max()}" if len(started) else "",
    }


def _caption(name: str) -> str:
    module = figures()[name]
    return f"{module.TITLE}. {getattr(module, 'CAPTION', '')}".strip()


def _inline(text: str) -> str:
    """Return only the ``<svg>`` element: an HTML page takes no XML prologue or document type."""
    return text[text.index("<svg") :]
