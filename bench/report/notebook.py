"""A results folder in Python: its tables, its answer, and the explorer within a notebook."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.recommendation import Recommendation, recommend
from bench.analysis.summary import Section, Summary, folder_of, summary_of
from bench.analysis.tables import front
from bench.analysis.text_table import Table
from bench.projection import project_folder
from bench.report.advised import Advised, advised
from bench.report.page.build import Folder, document
from bench.report.page.document import Document
from bench.report.page.render import Part, Shown, render, render_notebook
from bench.report.writing import write_report
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import groups, timed, wholes
from bench.results.store import load_of_last_machine, load_quality, load_queries

MOST_OF_FRONT = 10
"""Rows of each Pareto front in a notebook; `Results.front` has all."""
_LEFT_OUT = {ALL_COLUMNS[name].heading for name in ("ann_recall_at_10_worst_tenth", "qps")}
"""Headings that have no room in a notebook."""


class Results:
    """A results folder: ``bench.Results("results/x")``.

    What is slow to compute is computed once, on first use. In a notebook it shows the
    recommendation, the Pareto front with intervals, and the explorer of `write_report`, which needs
    no network.
    """

    def __init__(self, folder: str | Path) -> None:
        """Read the trials of a results folder, or of a ``trials.parquet`` in it.

        Raises UsageError if there is no trial, DamagedFile if the table cannot be read.
        """
        self.folder = folder_of(folder)
        trials, others = load_of_last_machine(folder)
        self.trials: pd.DataFrame = trials
        """One row per trial, as `bench.load` returns it. `bench/results/README.md` lists the
        columns."""
        self.other_machines: list[str] = others
        """Machines whose trials are left out."""

    @cached_property
    def queries(self) -> pd.DataFrame:
        """One row per trial and query, as `bench.load_queries` returns it."""
        return load_queries(self.folder)

    @cached_property
    def summary(self) -> Summary:
        """Recommendations, verdicts, findings and tables, as `bench.summarise` returns them."""
        quality = load_quality(self.folder)
        return summary_of(self.trials, quality, other_machines=self.other_machines)

    def recommend(self, **settings: Any) -> list[Recommendation]:
        """Return what `bench.recommend` does; `settings` and errors are its own."""
        return recommend(self.trials, self.queries, **settings)

    def front(self) -> pd.DataFrame:
        """Return the trials undominated in quality, median latency and bytes per vector.

        Those of one dataset and encoder follow each other, fastest first, with the columns and the
        index of `trials`. Empty if nothing was timed.
        """
        return pd.concat([front(section.frame) for section in self.summary.sections])

    def save_page(self, path: str | Path | None = None) -> Path:
        """Write the whole page and return its path; see `bench.write_report`."""
        return write_report(self.folder, path)

    def __repr__(self) -> str:
        """Return what was measured, in a few lines."""
        rows = self.trials
        lines = [f"Results({str(self.folder)!r}): {len(rows):,} trials, {len(timed(rows)):,} timed"]
        for (dataset, encoder), part in groups(wholes(rows)):
            last = part.iloc[-1]
            lines.append(
                f"  {_title(dataset, encoder)}: {last['n_corpus']:,} documents, "
                f"{last['n_queries']:,} queries, {last['full_dim']} dimensions"
            )
        return "\n".join([*lines, f"  on {rows['machine'].iloc[-1]}"])

    def _repr_html_(self) -> str:
        return self._html

    @cached_property
    def _html(self) -> str:
        summary = self.summary
        folder = Folder(self.folder, summary, project_folder(self.folder, self.trials))
        data = _explored(document([folder], with_texts=False))
        page = render([Shown(folder)], data, embedded=True)
        answers, advice = summary.recommendations, advised(self.folder)
        parts = [_part(section, answers, advice) for section in summary.sections]
        return render_notebook(self.folder.absolute().name, parts, page)


def _part(section: Section, answers: list[Recommendation], advice: Advised | None) -> Part:
    """Return what is shown of a section; an answer of `advise` follows that of `recommend`."""
    key = section.dataset, section.encoder
    lines = [
        line for each in answers if (each.dataset, each.encoder) == key for line in each.lines()
    ]
    if advice and (advice.dataset, advice.encoder) == key:
        found = " ".join(advice.sentences[:2])
        lines.append(f"The answer of advise, from queries that had no part in its search: {found}")
    pareto = section.pareto(MOST_OF_FRONT)
    # Without a timed trial, what a dimension costs stands where the front would.
    table = _narrow(pareto) if pareto else next(iter(section.tables()), None)
    return Part(_title(*key), section.size, lines, table)


def _narrow(table: Table) -> Table:
    kept = [at for at, heading in enumerate(table.headings) if heading not in _LEFT_OUT]
    headings, *rows = (tuple(row[at] for at in kept) for row in (table.headings, *table.rows))
    return replace(table, headings=headings, rows=rows)


def _title(dataset: str, encoder: str) -> str:
    return " with ".join(filter(None, [dataset, encoder]))


def _explored(data: Document) -> Document:
    """Return the data without what the explorer does not show."""
    results = []
    for result in data.results:
        groups = [each.model_copy(update={"charts": [], "lost": {}}) for each in result.groups]
        results.append(result.model_copy(update={"groups": groups}))
    return data.model_copy(update={"results": results})
