"""Documentation search over Python docstrings: real text that is on every machine.

A query is the summary of a docstring, its relevant document the rest of that docstring. They come
from the standard library and the packages pinned by this project, parsed without any import.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import astuple

from bench.datasets import Dataset, Source, _sources
from bench.datasets._sources import Entry

PACKAGES = ("jinja2", "matplotlib", "numpy", "pandas", "pyarrow", "pydantic", "rich", "scipy")
"""Part of the light core, so that the dataset does not depend on the installed extras."""

_LAYOUT = "1"


class Pydoc(Source):
    """About 10,000 docstrings. Train and test queries come from different modules.

    The corpus has the documents of both.
    """

    name = "pydoc"
    usage = "pydoc"
    summary = "documentation search over docstrings of Python and the packages pinned here"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        _sources.check("pydoc", argument, split)
        kept = _sources.cached("pydoc", _LAYOUT, PACKAGES, _entries)
        entries = _distinct([Entry(*fields) for fields in kept])
        return _sources.dataset("pydoc", split, entries, (_sources.version_note(PACKAGES),))


def _distinct(entries: list[Entry]) -> list[Entry]:
    """Keep the first entry per name and per body, in the order of `entries`.

    Ids must be unique, and a property's setter has its getter's name. An inherited or copied
    docstring would count as a wrong answer although it is relevant.
    """
    named: dict[str, Entry] = {}
    for entry in entries:
        named.setdefault(entry.name, entry)
    first: dict[str, Entry] = {}
    for entry in named.values():
        first.setdefault(" ".join(entry.text.split()), entry)
    return list(first.values())


def _entries() -> list[tuple[str, ...]]:
    found = (
        entry
        for module, _, tree in _sources.parsed(PACKAGES)
        for entry in _walk(tree, module, module)
    )
    return [astuple(entry) for entry in sorted(found, key=lambda entry: entry.name)]


def _walk(
    node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, name: str, module: str
) -> Iterator[Entry]:
    entry = _entry(ast.get_docstring(node, clean=False), name, module)
    if entry:
        yield entry
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return
    for child in node.body:
        if isinstance(
            child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        ) and not child.name.startswith("_"):
            yield from _walk(child, f"{name}.{child.name}", module)


def _entry(docstring: str | None, name: str, module: str) -> Entry | None:
    head, _, rest = inspect.cleandoc(docstring or "").partition("\n\n")
    summary, rest = " ".join(head.split()), rest.strip()
    if (
        len(summary.split()) < 3
        or len(summary) > 300
        or len(rest) < 40
        or summary in " ".join(rest.split())
    ):
        return None
    return Entry(name, module, summary, rest)
