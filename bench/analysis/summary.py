"""The contents of a report on a results folder, composed once for terminal and page.

A table here holds text, so that the terminal, the page and a notebook show the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis.findings import Finding, findings
from bench.analysis.labels import labels
from bench.analysis.non_inferiority import MARGIN, Verdict, verdicts
from bench.analysis.recommendation import RETAIN, Recommendation, recommend
from bench.analysis.tables import (
    curves,
    dimension_table,
    evenly,
    front,
    truncation,
    worth_showing,
)
from bench.reducers import BASELINE, LEARNED, ROTATION
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import exact_rows, groups, quality_of, timed
from bench.results.store import load, load_queries, other_machines

_OPTIONAL = ("ann_recall_at_10",)
"""Columns of the front that a narrow terminal leaves out, with the bounds of intervals."""


@dataclass(frozen=True)
class Table:
    """A table of text: the first column to the left, the others to the right."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]


@dataclass(frozen=True)
class Section:
    """One dataset with one encoder."""

    frame: pd.DataFrame
    verdict: Verdict | None
    findings: list[Finding]

    @property
    def dataset(self) -> str:
        """Name of the dataset."""
        return str(self.frame["dataset"].iloc[-1])

    @property
    def encoder(self) -> str:
        """Name of the encoder; empty for ready vectors."""
        return str(self.frame["encoder"].iloc[-1] or "")

    @property
    def size(self) -> str:
        """Documents, queries and dimensions."""
        last = self.frame.iloc[-1]
        return (
            f"{last['n_corpus']:,} documents, {last['n_queries']:,} queries, "
            f"{last['full_dim']} dimensions"
        )

    @property
    def machine(self) -> str:
        """The machine of the measurements."""
        return str(self.frame["machine"].iloc[-1] or "")

    @property
    def sentences(self) -> list[str]:
        """The verdict and the findings."""
        verdict = [self.verdict.text] if self.verdict else []
        return [*verdict, *(finding.text for finding in self.findings)]

    def tables(self, wide: bool = True, most: int | None = None) -> list[Table]:
        """Return the tables: quality by dimension, other reducers, the Pareto front.

        `wide` adds columns and intervals; `most` is how many rows of the front are shown.
        """
        exact = [*_dimensions(self.frame)] if len(exact_rows(self.frame)) else []
        best = front(self.frame)
        return [*exact, *([_front(self.frame, best, wide, most)] if len(best) else [])]


@dataclass(frozen=True)
class Summary:
    """Contents of a report on a results folder."""

    frame: pd.DataFrame
    recommendations: list[Recommendation]
    sections: list[Section]
    other_machines: list[str]
    """Machines whose trials are left out."""


def summarise(
    results: str | Path,
    *,
    retain: float = RETAIN,
    margin: float = MARGIN,
    limits: Mapping[str, float] | None = None,
) -> Summary:
    """Read a results folder (or a ``trials.parquet``) and draw its conclusions.

    Raises UsageError on bad input or if nothing was measured.
    """
    frame, folder = load(results), folder_of(results)
    return summary_of(
        frame,
        load_queries(folder),
        other_machines=other_machines(results),
        retain=retain,
        margin=margin,
        limits=limits,
    )


def summary_of(
    frame: pd.DataFrame,
    queries: pd.DataFrame,
    *,
    other_machines: Sequence[str] = (),
    retain: float = RETAIN,
    margin: float = MARGIN,
    limits: Mapping[str, float] | None = None,
) -> Summary:
    """Do as `summarise` with trials and queries that are loaded already."""
    decisions = recommend(frame, retain, limits=limits) if len(timed(frame)) else []
    shown = verdicts(frame, queries, margin)
    sections = [Section(part, shown.get(key), findings(part)) for key, part in groups(frame)]
    return Summary(frame, decisions, sections, list(other_machines))


def folder_of(results: str | Path) -> Path:
    """Return the results folder of a folder or of a ``trials.parquet`` in it."""
    path = Path(results)
    return path.parent if path.is_file() else path


def _dimensions(frame: pd.DataFrame) -> list[Table]:
    quality, table = quality_of(frame), dimension_table(frame)
    own, controls = truncation(table), curves(table, BASELINE)
    headings = ["dim", "truncation [95 %]", "keeps % [95 %]"]
    headings += [f"{name.replace('_', ' ')}, least–most" for name in controls]
    rows = []
    for dim, row in own.iterrows():
        cells = [
            str(dim),
            _interval(row["quality"], row["low"], row["high"]),
            _share(row["retained"], row["retained_low"], row["retained_high"]),
        ]
        for control in controls.values():
            found = control.loc[dim] if dim in control.index else None
            cells.append("–" if found is None else _range(found))
        rows.append((*cells, f"{row['bytes']:,.0f}"))
    title = f"What a dimension costs: {quality.label} of exact search"
    tables = [Table(title, (*headings, "bytes"), rows)]
    others = curves(table, ROTATION, LEARNED)
    if others:
        lines = []
        for dim, row in own.iterrows():
            values = [c["quality"].get(dim, float("nan")) for c in others.values()]
            lines.append((str(dim), number(row["quality"]), *map(number, values)))
        names = [name.replace("_", " ") for name in others]
        title = f"Other ways to shorten a vector: {quality.label} of exact search"
        tables.append(Table(title, ("dim", "truncation", *names), lines))
    return tables


def _front(frame: pd.DataFrame, best: pd.DataFrame, wide: bool, most: int | None) -> Table:
    quality, named = quality_of(frame), labels(frame)
    shown = worth_showing(best)
    # Evenly along the front, both ends included: the fastest alone do not show what quality costs.
    shown = evenly(shown, most) if most else shown
    listed = [c for c in ALL_COLUMNS.values() if c.heading and (wide or c.name not in _OPTIONAL)]
    rows = []
    for i, row in shown.iterrows():
        kept = (row[c] for c in (quality.retained, quality.retained_low, quality.retained_high))
        cells = [named[i], number(row[quality.column]), _share(*kept)]
        for column in listed:
            value = number(row[column.name], column.form)
            if column.interval and wide:
                bounds = (row[f"{column.name}_low"], row[f"{column.name}_high"])
                value += f" [{', '.join(number(bound, column.form) for bound in bounds)}]"
            cells.append(value)
        rows.append(tuple(cells))
    some = f" ({len(shown)} of {len(best)} shown)" if len(best) > len(shown) else ""
    return Table(
        f"Pareto-optimal in {quality.label}, latency and bytes per vector{some}",
        ("configuration", quality.label, "keeps % [95 %]", *(c.heading for c in listed)),
        rows,
    )


def number(value: float, form: str = ".3f") -> str:
    """Return a number as text; a dash if it is unknown."""
    return "–" if pd.isna(value) else format(value, form)


def _interval(value: float, low: float, high: float) -> str:
    return f"{number(value)} [{number(low)}, {number(high)}]"


def _share(value: float, low: float, high: float) -> str:
    values = (number(100 * x, ".1f") for x in (value, low, high))
    return "{} [{}, {}]".format(*values)


def _range(row: pd.Series) -> str:
    return f"{number(row['quality'])}, {number(row['low'])}–{number(row['high'])}"
