"""Write the tables of a paper, with their intervals, as Markdown and as LaTeX (booktabs)."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bench.analysis.recommendation import Recommendation
from bench.analysis.summary import Section, Summary
from bench.analysis.tables import curves, dimension_table, truncation
from bench.analysis.text_table import Table, interval, number
from bench.reducers import LEARNED, ROTATION
from bench.results.rows import exact_rows, plain, quality_of

MOST_ROWS = 12
"""Most rows of the Pareto front, evenly spread."""
_FRONT = ("configuration", "keeps % [95 %]", "p50 ms", "p95 ms", "bytes")
"""Columns of the front that a page has room for, beside the quality."""
_MOST_OF_COLUMN = 4
"""Most columns of a table that stands in one column of a page."""
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "×": r"$\times$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "±": r"$\pm$",
    "µ": r"$\mu$",
    "→": r"$\to$",
    "−": "$-$",
    "“": "``",
    "”": "''",
    **{sign: rf"\{sign}" for sign in "&%$#_{}"},
}
"""What LaTeX needs in place of a sign; all else is text in UTF-8."""


def _safe(text: str) -> str:
    return re.sub(r"([\\|*_`<])", r"\\\1", text)


def markdown(table: Table) -> str:
    """Return a table as Markdown, its title above it; numbers stand to the right."""
    return f"**{_safe(table.title)}**\n\n{markdown_rows(table)}"


def markdown_rows(table: Table, safe: Callable[[str], str] = _safe) -> str:
    """Return a table as Markdown without its title; `safe` is what makes text of a cell."""
    rule = ["---", *["---:"] * (len(table.headings) - 1)]
    lines = [map(safe, table.headings), rule, *(map(safe, row) for row in table.rows)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def latex(table: Table, label: str = "") -> str:
    """Return a table as LaTeX; it needs the package booktabs, and `label` is that of ``\\ref``.

    More than four columns span a page of two columns (``table*``).
    """
    kind = "table" if len(table.headings) <= _MOST_OF_COLUMN else "table*"
    named = [rf"  \label{{{label}}}"] if label else []
    lines = [
        rf"\begin{{{kind}}}",
        r"  \centering\small",
        rf"  \caption{{{escape(table.title)}}}",
        *named,
        textwrap.indent(tabular(table), "  ").rstrip(),
        rf"\end{{{kind}}}",
    ]
    return "\n".join(lines) + "\n"


def tabular(table: Table) -> str:
    """Return the rows of a table as LaTeX, without title and label; it needs booktabs."""
    heading, *rows = (_row(cells) for cells in (table.headings, *table.rows))
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(table.headings) - 1)}}}",
        r"\toprule",
        heading,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """Return text in which LaTeX finds no command."""
    return "".join(_LATEX.get(sign, sign) for sign in text)


def paper_tables(found: Summary) -> dict[str, list[Table]]:
    """Return the tables of each file: quality by dimension and by bytes, the choice, the front.

    A table of each dataset and encoder, which its title names. What no row was measured for is left
    out.
    """
    names = ("quality_by_dimension", "by_bytes", "recommended", "front")
    files: dict[str, list[Table]] = {name: [] for name in names}
    chosen = {(each.dataset, each.encoder): each for each in found.recommendations}
    for section in found.sections:
        tables = section.tables()
        of = ", ".join(filter(None, [section.dataset, section.encoder]))
        dimensions = [each for each in tables if each.headings[0] == "dim"]
        dimensions = [*dimensions[:1], *_others(section)]
        fronts = [_short(each) for each in tables if each.headings[0] == "configuration"]
        decision = chosen.get((section.dataset, section.encoder))
        decided = [_recommended(section, decision)] if decision and decision.trial_id else []
        sizes = [each for each in tables if each.headings[0] == "model"]
        for name, own in zip(files, (dimensions, sizes, decided, fronts), strict=True):
            files[name] += [replace(each, title=f"{each.title}. {of}") for each in own]
    return {name: tables for name, tables in files.items() if tables}


def write_tables(found: Summary, folder: Path) -> list[Path]:
    """Write each file of `paper_tables` into `folder` as ``.md`` and ``.tex``; return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, tables in paper_tables(found).items():
        texts = {
            "md": "\n".join(map(markdown, tables)),
            "tex": "% \\usepackage{booktabs}\n"
            + "\n".join(latex(each, f"tab:{name}-{i}") for i, each in enumerate(tables, 1)),
        }
        for kind, text in texts.items():
            paths.append(folder / f"{name}.{kind}")
            paths[-1].write_text(text, encoding="utf-8")
    return paths


def _row(cells: Sequence[str]) -> str:
    text = " & ".join(map(escape, cells))
    # After the end of a row LaTeX would read a bracket as a length, and a star as an option.
    return rf"{'{}' if text.startswith(('[', '*')) else ''}{text} \\"


def _short(table: Table) -> Table:
    """Return the Pareto front with the columns and rows that a page has room for."""
    quality = table.headings[1]
    places = [i for i, name in enumerate(table.headings) if name in (*_FRONT, quality)]
    rows = table.rows
    if len(rows) > MOST_ROWS:
        last = len(rows) - 1
        rows = [rows[round(i * last / (MOST_ROWS - 1))] for i in range(MOST_ROWS)]
    title = re.sub(r" \(\d+ of \d+ shown\)$", "", table.title)
    title += f" ({len(rows)} of {len(table.rows)} shown)" if len(rows) < len(table.rows) else ""
    headings = tuple(table.headings[i] for i in places)
    return Table(title, headings, [tuple(row[i] for i in places) for row in rows])


def _others(section: Section) -> list[Table]:
    """Return the other ways to shorten a vector, unlike `Section.tables` with their intervals."""
    table = dimension_table(section.frame)
    others = curves(table, ROTATION, LEARNED)
    dims = truncation(table).index
    rows: list[tuple[str, ...]] = []
    for dim in dims if others else []:
        known = [curve.loc[dim] if dim in curve.index else None for curve in others.values()]
        cells = (
            "–" if row is None else interval(row["quality"], row["low"], row["high"])
            for row in known
        )
        rows.append((str(dim), *cells))
    headings = ("dim", *(f"{name.replace('_', ' ')} [95 %]" for name in others))
    title = f"Other ways to shorten a vector: {quality_of(section.frame).label} of exact search"
    return [Table(title, headings, rows)] if rows else []


def _recommended(section: Section, decision: Recommendation) -> Table:
    """Return the configuration chosen, below exact search at the full dimension."""
    quality, frame = quality_of(section.frame), section.frame
    headings = (
        "configuration",
        f"{quality.label} [95 %]",
        "keeps % [bounds]",
        "p50 ms [95 %]",
        "p95 ms [95 %]",
        "bytes",
    )
    rows: list[tuple[str, ...]] = []
    full = plain(exact_rows(frame))
    for _, row in full[full["dim"] == full["full_dim"]].tail(1).iterrows():
        shown = interval(row[quality.column], row[quality.low], row[quality.high])
        name = f"exact search, float32, {row['dim']} d"
        rows.append((name, shown, "100.0", "–", "–", f"{4 * row['dim']:,}"))
    row = frame[frame["trial_id"] == decision.trial_id].iloc[-1]
    kept = 100 * section.kept.loc[row.name, ["share", "low", "high"]]
    times = (
        interval(*(row[f"latency_ms_{which}{side}"] for side in ("", "_low", "_high")))
        for which in ("p50", "p95")
    )
    rows.append(
        (
            decision.configuration,
            interval(row[quality.column], row[quality.low], row[quality.high]),
            interval(kept["share"], kept["low"], kept["high"], ".1f"),
            *times,
            number(row["bytes_per_vector"], ",.0f"),
        )
    )
    among = section.kept.attrs["among"]
    title = f"Recommended; bounds of the share kept hold for {among:,} configurations at once"
    return Table(title, headings, rows)
