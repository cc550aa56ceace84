"""A comparison as Markdown for GitHub: the summary of a run and the comment of a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote

from bench.analysis.regression import Comparison
from bench.analysis.regression.findings import CANNOT_TELL, IMPROVED, REGRESSED
from bench.analysis.text_table import Table
from bench.report.paper_tables import markdown_rows
from bench.report.regression import phrases
from bench.report.regression.tables import answered, by_backend, largest, unchanged

MARKER = "<!-- matryoshka-bench gate -->"
"""How the text begins, so that a program finds the comment that it wrote before."""
MOST = 60_000
"""Most characters: GitHub takes 65,536 of a comment."""
_ROWS = (500, 200, 100, 50, 20, 8, 3, 1)
"""Most lines of each kind, until all of it is short enough."""
_NOTE = 600
"""Most characters of a note, or of a fact about the comparison."""
_IN_ADDRESS = ":/?&=#%@"
_SIGNS = re.compile(r"([\\`*_\[\]{}|~#$!])")
# A name must neither notify people nor link to an issue.
_CALLS = re.compile(r"(?<!\w)@(?=\w)")


def comparison_markdown(found: Comparison, run: str | None = None) -> str:
    """Return a comparison as Markdown, at most 60,000 characters; `run` is the address of the run.

    It begins with `MARKER`. The verdict and the three largest changes come first, the tables fold.
    Names and errors cannot form markup. Tables that are too long are cut and say so.
    """
    for most in _ROWS:
        text = "\n\n".join(_parts(found, run, most)) + "\n"
        if len(text) <= MOST:
            break
    return text


def _parts(found: Comparison, run: str | None, most: int) -> Iterator[str]:
    yield MARKER
    yield f"## {_safe(phrases.headline(found))}"
    if (table := largest(found)).rows:
        yield _rows(table, most)
    yield _compared(found, run)
    for title, answer in (
        ("Regressed", REGRESSED),
        ("Improved", IMPROVED),
        ("Cannot tell", CANNOT_TELL),
    ):
        table = answered(found, answer)
        yield from _folded(title, len(table.rows), _rows(table, most), answer == REGRESSED)
    for title, each in phrases.ways_to_end(found).items():
        lines = [f"- {_safe(phrases.ended(one))}" for one in each]
        lost = any(one.is_regression for one in each)
        yield from _folded(title.capitalize(), len(lines), _list(lines, most), lost)
    table = by_backend(found)
    text = _rows(table, most)
    if same := unchanged(found):
        text += f"\n\nNo change that counts in any configuration: {_safe(', '.join(same))}."
    if found.findings:
        yield _details("Each backend", text)
    for note in found.notes[:most]:
        yield f"Note: {_safe(phrases.clean(note, _NOTE))}."


def _compared(found: Comparison, run: str | None) -> str:
    facts = phrases.about(found).items()
    lines = [f"- {name}: {_safe(phrases.clean(text, _NOTE))}" for name, text in facts]
    lines += [f"- [the run]({quote(run, safe=_IN_ADDRESS)})"] if run else []
    return "\n".join(lines)


def _folded(title: str, count: int, text: str, opened: bool = False) -> Iterator[str]:
    if count:
        yield _details(f"{title} ({count:,})", text, opened)


def _details(title: str, text: str, opened: bool = False) -> str:
    summary = f"<summary>{title}</summary>"
    return f"<details{' open' * opened}>{summary}\n\n{text}\n\n</details>"


def _rows(table: Table, most: int) -> str:
    text = markdown_rows(replace(table, rows=table.rows[:most]), _safe).rstrip()
    return text + _more(len(table.rows) - most)


def _list(lines: Sequence[str], most: int) -> str:
    return "\n".join(lines[:most]) + _more(len(lines) - most)


def _more(count: int) -> str:
    return f"\n\n{count:,} more are left out here." if count > 0 else ""


def _safe(text: str) -> str:
    """Return text that GitHub shows as it is."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = _SIGNS.sub(r"\\\1", text)
    return _CALLS.sub("@<!-- -->", text)
