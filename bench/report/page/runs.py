"""The rows of a page: what was measured of each configuration, with bounds that hold at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.at_size import AtSize
from bench.analysis.labels import labels, stage_label, variants
from bench.analysis.summary import Section
from bench.report.page.document import Axis, Runs, Texts
from bench.report.page.thinning import thinned
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import quality_of, timed, untimed
from bench.study.plan import parameters

ORDER = ["bytes_per_vector", "latency_ms_p50", "trial_id"]
"""The order of `recommend`: of equal configurations the first is chosen."""
_TEXTS = (
    "trial_id", "label", "dataset", "encoder", "backend", "reducer", "precision", "stages",
    "caution", "settings",
)  # fmt: skip
VECTOR = ["stages", "reducer", "reducer_params", "reducer_kind", "dim", "full_dim", "precision"]
"""What `AtSize` looks at."""
_EXACT = (
    "low", "bytes_per_vector", "latency_ms_p50", "latency_ms_p95", "rescore_ms_p50",
    "bandwidth_fraction", "component_bits", "disk_bytes_per_vector", "build_seconds",
)  # fmt: skip
"""Numbers that the page decides by: they are written in full, others to six digits."""
_MEASURED = (
    "n_corpus", "dim", "component_bits", "latency_ms_p50_low", "latency_ms_p50_high",
    "latency_ms_p95_low", "latency_ms_p95_high", "rescore_ms_p50", "bandwidth_fraction",
)  # fmt: skip
"""Columns of the trials table besides those that declare themselves for the page."""
_LABELS = {
    "kept": "share of the full dimension's quality kept",
    "dim": "dimension",
    "memory_bytes_of_all": "memory of all documents (bytes)",
    "per_month": "cost per month",
    "ann_recall_at_10": "ANN recall@10",
    "fidelity_at_10": "fidelity@10",
    "latency_ms_p50": "median latency (ms)",
    "latency_ms_p95": "p95 latency (ms)",
    "latency_ms_p99": "p99 latency (ms)",
    "end_to_end_ms_p50": "median time to encode and search (ms)",
    "qps": "queries per second",
    "batch_qps": "queries per second in one batch",
    "speedup_vs_exact": "times as fast as exact search",
    "build_seconds": "build time (s)",
    "bytes_per_vector": "bytes per vector",
}
"""Axes that a reader can choose beside the quality, in order."""
_LINEAR = {"kept", "ann_recall_at_10", "fidelity_at_10"}


def runs_of(
    sections: Sequence[Section], at: Sequence[AtSize]
) -> tuple[Runs, list[list[list[float | None]]]]:
    """Return the rows of all sections, and `Group.factors` of each.

    `at` carries the quality of each section over to the numbers of documents that can be chosen.
    """
    frames, factors, by_row = [], [], []
    for place, section in enumerate(sections):
        rows = _rows(section).assign(group=place)
        alike, classes = _classes(rows, at[place])
        frames.append(rows.assign(alike=alike))
        factors.append([[float(f) if f > 0 else None for f in row] for row in classes])
        by_row.append(_padded(classes, max(len(each.sizes) for each in at))[alike])
    runs = pd.concat(frames, ignore_index=True)
    kept = thinned(runs, np.concatenate(by_row))
    texts = {name: _texts(kept[name]) for name in _TEXTS}
    names = [*dict.fromkeys(["group", "alike", "timed", *_QUALITY, *_numbers()])]
    numbers = {name: _written(kept[name], name in _EXACT) for name in names}
    return Runs(total=len(runs), texts=texts, numbers=numbers, axes=_axes(sections, kept)), factors


_QUALITY = ("quality", "quality_low", "quality_high", "kept", "low", "high")


def _numbers() -> list[str]:
    """Return the columns of the trials table that the page carries."""
    shown = [
        each.name
        for each in ALL_COLUMNS.values()
        if each.page and each.type in ("int", "float") and each.name not in _QUALITY
    ]
    return [*_MEASURED, *shown, "disk_bytes_per_vector"]


def _rows(section: Section) -> pd.DataFrame:
    """Return the rows of one section in the order of `recommend`, those without times last."""
    frame = section.frame
    searched, alone = timed(frame).sort_values(ORDER, kind="stable"), untimed(frame)
    rows = pd.concat([searched, alone.sort_values(["reducer", "dim", "precision"])])
    quality = quality_of(frame)
    is_timed, own = rows.index.isin(searched.index), section.kept.reindex(rows.index)
    return rows.assign(
        label=labels(frame, rows.index),
        encoder=rows["encoder"].fillna(""),
        reducer=variants(rows),
        stages=[stage_label(s) if (s := parameters(t)) else "one" for t in rows["stages"]],
        caution=rows["caution"].fillna(""),
        settings=[
            _settings(*pair)
            for pair in zip(rows["build_params"], rows["search_params"], strict=True)
        ],
        timed=is_timed.astype(int),
        quality=rows[quality.column],
        quality_low=rows[quality.low],
        quality_high=rows[quality.high],
        # Bounds for all timed rows at once; those of the exact pass are each their own.
        kept=own["share"].where(is_timed, rows[quality.retained]),
        low=own["low"].where(is_timed, rows[quality.retained_low]),
        high=own["high"].where(is_timed, rows[quality.retained_high]),
        disk_bytes_per_vector=(rows["disk_bytes"] / rows["n_corpus"]).where(rows["disk_bytes"] > 0),
        raw=rows[VECTOR].to_dict("records"),
    )


def _settings(*texts: object) -> str:
    given = {name: value for text in texts for name, value in parameters(text).items()}
    return ", ".join(f"{name}={value}" for name, value in given.items())


def _classes(rows: pd.DataFrame, at: AtSize) -> tuple[np.ndarray, np.ndarray]:
    """Return the class of each row (n,), and the factor of each class and size; 0 is unknown.

    The last class, of which nothing is known, holds the rows that are not timed.
    """
    timed_rows = rows.loc[rows["timed"] == 1, "raw"]
    members: dict[tuple[object, ...], Mapping[Any, Any]] = {}
    keys = []
    for row in timed_rows:
        keys.append((*AtSize.alike(row), row["reducer_kind"]))
        members.setdefault(keys[-1], row)
    places = {key: place for place, key in enumerate(members)}
    codes = np.full(len(rows), len(members))
    codes[rows["timed"].to_numpy(bool)] = [places[key] for key in keys]
    found = np.zeros((len(members) + 1, len(at.sizes)))
    for i, row in enumerate(members.values()):
        for j, size in enumerate(at.sizes):
            factor = at.change(row, size).factor
            # A comparison with NaN, the factor of what is refused, is false.
            found[i, j] = min(1.0, factor) if factor > 0 else 0.0
    return codes, found


def _padded(classes: np.ndarray, width: int) -> np.ndarray:
    return np.pad(classes, ((0, 0), (0, width - classes.shape[1])))


def _texts(column: pd.Series) -> Texts:
    codes, values = pd.factorize(column.astype(str))
    return Texts(values=list(values), codes=codes.tolist())


def _written(column: pd.Series, exactly: bool) -> list[int | float | None]:
    """Return numbers for JSON: whole ones as such, others in full or to six digits."""
    found: list[int | float | None] = []
    for value in column.astype(float).tolist():
        if not math.isfinite(value):
            found.append(None)
        elif value == int(value) and abs(value) < 1e15:
            found.append(int(value))
        else:
            found.append(value if exactly else float(f"{value:.6g}"))
    return found


def _axes(sections: Sequence[Section], runs: pd.DataFrame) -> list[Axis]:
    quality = quality_of(sections[0].frame)
    axes = [Axis(name="quality", label=quality.label, better="higher")]
    for name, label in _LABELS.items():
        column = ALL_COLUMNS.get(name)
        if column is not None and name in runs and runs[name].notna().sum() == 0:
            continue
        if name == quality.column:
            continue
        better = column.better if column else "higher" if name == "kept" else "lower"
        if name == "dim":
            better = "lower"
        axes.append(Axis(name=name, label=label, better=better, log=name not in _LINEAR))
    return axes
