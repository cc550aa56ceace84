"""The contents of a report on a results folder, composed once for terminal and page.

A table here holds text, so that the terminal, the page and a notebook show the same figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.analysis.by_bytes import best_by_bytes, by_bytes
from bench.analysis.certainty import Certainty, certainties
from bench.analysis.comparisons import Finding
from bench.analysis.encoders import in_figures
from bench.analysis.findings import findings
from bench.analysis.labels import labels
from bench.analysis.matryoshka import Answer, answer_of, beside_text
from bench.analysis.non_inferiority import MARGIN, Verdict, verdicts
from bench.analysis.recommendation import RETAIN, Recommendation, recommend
from bench.analysis.sizes import side_by_side
from bench.analysis.tables import (
    LEVELS,
    curves,
    dimension_table,
    equal_quality,
    evenly,
    front,
    subset_band,
    truncation,
    worth_showing,
)
from bench.analysis.text_table import Table, interval, number, share
from bench.reducers import BASELINE, LEARNED, ROTATION
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import (
    NDCG,
    bm25_rows,
    exact_rows,
    groups,
    quality_of,
    timed,
    wholes,
)
from bench.results.store import load_of_last_machine, load_quality

MOST_OF_FRONT = 200
"""Most rows of the Pareto front on the page."""
_SPARE = (
    "latency_ms_p95",
    "ann_recall_at_10_worst_tenth",
    "qps",
    "latency_ms_p50",
    "ann_recall_at_10",
    "speedup_vs_exact",
    "ann_recall_at_10",
    "latency_ms_p95",
    "speedup_vs_exact",
)
"""What a narrow terminal leaves out of the front, as in `Table.leave_out`."""
LEAVE_OUT = tuple(ALL_COLUMNS[name].heading for name in _SPARE)
"""The same as headings."""


@dataclass(frozen=True)
class Section:
    """One dataset with one encoder."""

    frame: pd.DataFrame
    verdict: Verdict | None
    findings: list[Finding]
    kept: pd.DataFrame
    """Bounds of the timed rows, as `Certainty.kept` returns them."""
    certainty: Certainty
    """The quality of every query, which the bounds rest on."""
    matryoshka: Answer | None = None
    """Whether the model is a Matryoshka model; None if nothing says so."""

    @property
    def units(self) -> str:
        """What the intervals resample, in words."""
        return self.certainty.units

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
            f"{last['full_dim']} dimensions; intervals resample {self.units}"
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
        """Return the tables: quality by dimension, other reducers, by bytes, equal quality, front.

        `wide` adds intervals and settings to equal quality; `most` is how many rows of the front
        are shown.
        """
        found = [*_dimensions(self.frame)] if len(exact_rows(self.frame)) else []
        if self.frame.loc[self.frame["code_bytes"].notna(), "precision"].nunique() > 1:
            best = best_by_bytes(self.frame, self.certainty)
            found += [
                by_bytes("Best quality in a number of bytes per vector", [(self.encoder, best)])
            ]
        equal, pareto = equal_quality(self.frame, self.kept), self.pareto(most)
        if len(equal):
            found.append(_equal_quality(self.frame, self.kept, equal, wide))
        return [*found, *([pareto] if pareto else [])]

    def pareto(self, most: int | None = None) -> Table | None:
        """Return the Pareto front, at most `most` rows of it; None if nothing was timed."""
        best = front(self.frame)
        return _front(self.frame, best, most) if len(best) else None

    def published(self) -> list[Table]:
        """Return the share kept beside published ones, of other models and benchmarks."""
        if self.matryoshka is None:
            return []
        kept = self.matryoshka.table["retained"].dropna()
        own = " · ".join(f"{dim} d {share:.1%}" for dim, share in kept[::-1].items())
        here = f"{quality_of(self.frame).label} on {self.dataset}"
        rows: list[tuple[str, ...]] = []
        if own:
            rows.append((self.encoder or "here", here, own, "measured here"))
        title = "Share kept by truncation, beside published ones: compare shapes, not figures"
        headings = ("model", "metric", "kept", "source")
        return [Table(title, headings, [*rows, *beside_text(self.matryoshka.beside)])]


@dataclass(frozen=True)
class Summary:
    """Contents of a report on a results folder.

    Smaller parts of a corpus have no section: they show how an index grows.
    """

    frame: pd.DataFrame
    recommendations: list[Recommendation]
    sections: list[Section]
    other_machines: list[str]
    """Machines whose trials are left out."""

    def side_by_side(self) -> list[Table]:
        """Return a table for each encoder of several datasets, the smallest dataset first.

        Then one for each dataset of several encoders: their quality at equal bytes.
        """
        rows = wholes(self.frame)
        datasets = [
            Table(
                f"The datasets side by side{f', with {encoder}' if encoder else ''}",
                ("", *figures),
                [*figures.itertuples(name=None)],
            )
            for encoder, figures in side_by_side(rows).items()
        ]
        encoders = [
            Table(
                f"The encoders side by side, on {dataset}: best {NDCG.label} within so many bytes "
                "per vector, and the time to encode",
                ("", *figures),
                [*figures.itertuples(name=None)],
            )
            for dataset, figures in in_figures(rows).items()
        ]
        return [*datasets, *encoders]


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
    frame, others = load_of_last_machine(results)
    return summary_of(
        frame,
        load_quality(folder_of(results)),
        other_machines=others,
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
    whole = wholes(frame)
    held = certainties(whole, queries)
    decisions = recommend(whole, held, retain, limits=limits) if len(timed(whole)) else []
    shown = verdicts(whole, held, margin)
    sections = [_section(part, held[key], shown.get(key)) for key, part in groups(whole)]
    return Summary(frame, decisions, sections, list(other_machines))


def _section(part: pd.DataFrame, certainty: Certainty, verdict: Verdict | None) -> Section:
    found, kept = findings(part, certainty), certainty.kept(timed(part))
    return Section(part, verdict, found, kept, certainty, answer_of(part, certainty))


def folder_of(results: str | Path) -> Path:
    """Return the results folder of a folder or of a ``trials.parquet`` in it."""
    path = Path(results)
    return path.parent if path.is_file() else path


def _dimensions(frame: pd.DataFrame) -> list[Table]:
    quality, table = quality_of(frame), dimension_table(frame)
    own, controls = truncation(table), curves(table, BASELINE)
    headings = ["dim", "truncation [95 %]", "keeps % [95 %]"]
    subsets = subset_band(frame)
    headings += ["random subsets, 95 % of them"] if len(subsets) else []
    for name, control in controls.items():
        range_of = "least–most" if control["seeds"].max() > 1 else "[95 %]"
        headings.append(f"{name.replace('_', ' ')}, {range_of}")
    rows = []
    for dim, row in own.iterrows():
        cells = [
            str(dim),
            interval(row["quality"], row["low"], row["high"]),
            share(row["retained"], row["retained_low"], row["retained_high"]),
        ]
        if len(subsets):
            found = subsets.loc[dim] if dim in subsets.index else None
            cells.append("–" if found is None else interval(*found[["median", "low", "high"]]))
        for control in controls.values():
            found = control.loc[dim] if dim in control.index else None
            cells.append("–" if found is None else _range(found))
        rows.append((*cells, f"{row['bytes']:,.0f}"))
    for _, row in bm25_rows(frame).tail(1).iterrows():
        shown = interval(row[quality.column], row[quality.low], row[quality.high])
        kept = (row[c] for c in (quality.retained, quality.retained_low, quality.retained_high))
        blank = ["–"] * (len(headings) - 3)
        rows.append(("BM25", shown, share(*kept), *blank, "–"))
    title = f"What a dimension costs: {quality.label} of exact search"
    # Bytes are four per dimension; of a control the interval is the least interesting.
    spare = ("bytes", *headings[:2:-1])
    tables = [Table(title, (*headings, "bytes"), rows, spare)]
    others = curves(table, ROTATION, LEARNED)
    if others:
        lines = []
        for dim, row in own.iterrows():
            values = [c["quality"].get(dim, float("nan")) for c in others.values()]
            lines.append((str(dim), number(row["quality"]), *map(number, values)))
        names = [name.replace("_", " ") for name in others]
        title = f"Other ways to shorten a vector: {quality.label} of exact search"
        tables.append(Table(title, ("dim", "truncation", *names), lines, tuple(names[::-1])))
    return tables


def _equal_quality(
    frame: pd.DataFrame, kept: pd.DataFrame, equal: pd.DataFrame, wide: bool
) -> Table:
    """Return a row per backend and dimension: the fastest and the smallest at each level."""
    named = labels(frame, pd.Index([*equal["fastest"], *equal["smallest"]]))
    rows = []
    for (backend, dim), part in equal.groupby(["backend", "dim"], sort=False):
        by_level = part.set_index("level")
        cells = []
        for level in LEVELS:
            if level not in by_level.index:
                cells.append("–")
                continue
            fastest, smallest = by_level.loc[level, ["fastest", "smallest"]]
            text = _cost(frame.loc[fastest], named[fastest] if wide else "", wide)
            if frame.loc[smallest, "bytes_per_vector"] < frame.loc[fastest, "bytes_per_vector"]:
                text += f"; smallest {_cost(frame.loc[smallest], named[smallest], wide)}"
            cells.append(text)
        rows.append((f"{backend} {dim} d", *cells))
    title = (
        "Equal quality: the fastest that is shown to keep so much, "
        f"bounds for {kept.attrs['among']} configurations at once"
    )
    levels = [f"{level:.0%} kept" for level in LEVELS]
    columns = zip(levels, zip(*(row[1:] for row in rows), strict=True), strict=True)
    empty = [level for level, cells in columns if {*cells} == {"–"}]
    return Table(title, ("index", *levels), rows, (*empty, levels[-1], levels[0]))


def _cost(row: pd.Series, name: str, wide: bool) -> str:
    """Return latency and size of a configuration, with its settings beyond index and dimension."""
    column = ALL_COLUMNS["latency_ms_p50"]
    text = f"{number(row[column.name])} ms"
    if wide and column.interval:
        bounds = (number(row[f"{column.name}_{side}"]) for side in ("low", "high"))
        text += f" [{', '.join(bounds)}]"
    size = row["bytes_per_vector"]
    text += "" if pd.isna(size) else f", {size:,.0f} B"
    settings = name.removeprefix(f"{row['backend']} {row['dim']} d").lstrip(", ")
    return f"{text} ({settings})" if settings else text


def _front(frame: pd.DataFrame, best: pd.DataFrame, most: int | None) -> Table:
    quality, shown = quality_of(frame), worth_showing(best)
    # Evenly along the front, both ends included: the fastest alone do not show what quality costs.
    shown = evenly(shown, most or MOST_OF_FRONT)
    named = labels(frame, shown.index)
    listed = [c for c in ALL_COLUMNS.values() if c.heading]
    rows = []
    for i, row in shown.iterrows():
        kept = (row[c] for c in (quality.retained, quality.retained_low, quality.retained_high))
        cells = [named[i], number(row[quality.column]), share(*kept)]
        for column in listed:
            if column.interval:
                low, high = (row[f"{column.name}_{side}"] for side in ("low", "high"))
                cells.append(interval(row[column.name], low, high, column.form))
            else:
                cells.append(number(row[column.name], column.form))
        rows.append(tuple(cells))
    some = f" ({len(shown)} of {len(best)} shown)" if len(best) > len(shown) else ""
    return Table(
        f"Pareto-optimal in {quality.label}, latency and bytes per vector{some}",
        ("configuration", quality.label, "keeps % [95 %]", *(c.heading for c in listed)),
        rows,
        LEAVE_OUT,
    )


def _range(row: pd.Series) -> str:
    if row["seeds"] == 1:
        return interval(row["quality"], row["low"], row["high"])
    return f"{number(row['quality'])}, {number(row['low'])}–{number(row['high'])}"
