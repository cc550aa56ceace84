"""Code search over Python functions, built as CodeSearchNet is, from what is on every machine.

A document is a function without its docstring, a query the first sentence of a docstring. The
functions are those of the standard library and of the packages that the light core brings.
Source: Husain et al., CodeSearchNet, 2019; Allamanis, on code duplication, 2019.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Iterator
from dataclasses import astuple

import numpy as np

from bench.datasets import Dataset, Source, _sources
from bench.datasets._copies import near_copies
from bench.datasets._sources import Entry

PACKAGES = (
    "anyio",
    "click",
    "faiss-cpu",
    "filelock",
    "fonttools",
    "fsspec",
    "h5py",
    "huggingface-hub",
    "jinja2",
    "llvmlite",
    "matplotlib",
    "narwhals",
    "numba",
    "numpy",
    "packaging",
    "pandas",
    "patsy",
    "pillow",
    "platformdirs",
    "psutil",
    "pyarrow",
    "pydantic",
    "pygments",
    "pyparsing",
    "requests",
    "rich",
    "scipy",
    "statsmodels",
    "urllib3",
)
"""What the light core brings, down to 200 functions a package; one that is absent is left out."""

LEAST_LINES = 3
"""Of a document, signature included and blank lines aside; shorter ones are getters and stubs."""

ALIKE = 0.8
"""Jaccard index of the shingles of two functions from which on they are near-copies."""

_LEAST_WORDS = 3
_MOST_CHARACTERS = 300
_LAYOUT = "1"
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Pycode(Source):
    """About 50,000 functions. Train and test queries come from different modules.

    The corpus has the documents of both, those of functions without a docstring too.
    """

    name = "pycode"
    usage = "pycode"
    summary = "code search over functions of Python and the packages that the light core brings"

    @classmethod
    def load(cls, argument: str, split: str = "test") -> Dataset:
        _sources.check("pycode", argument, split)
        kept = _sources.cached("pycode", _LAYOUT, PACKAGES, _functions)
        entries = [Entry(*fields) for fields in kept["functions"]]
        copies = f"{kept['copies']:,} near-copies of other functions are left out"
        notes = _sources.version_note(PACKAGES), copies
        return _sources.dataset("pycode", split, entries, notes)


def _functions() -> dict[str, object]:
    """Return the functions in the order of their names, and how many near-copies are left out."""
    found = sorted(_entries(), key=lambda entry: entry.name)
    is_copy = near_copies([_after_name(entry.text) for entry in found], ALIKE)
    kept = [astuple(found[i]) for i in np.flatnonzero(~is_copy)]
    return {"functions": kept, "copies": int(is_copy.sum())}


def _after_name(code: str) -> str:
    """Return a function from its parameters on: a copy under another name is a copy."""
    return code[code.index("(") :]


def _entries() -> Iterator[Entry]:
    seen: Counter[str] = Counter()
    for module, source, tree in _sources.parsed(PACKAGES):
        lines = source.encode().split(b"\n")
        for name, node in _named(tree, module):
            code = _without_docstrings(node, lines)
            lines_left = sum(1 for line in code.splitlines() if line.strip())
            if lines_left < LEAST_LINES or not _does_something(node):
                continue
            # A property's setter has its getter's name, and branches define a name anew.
            seen[name] += 1
            unique = name if seen[name] == 1 else f"{name}:{seen[name]}"
            yield Entry(unique, module, _query(node, code), code)


def _named(node: ast.AST, name: str) -> Iterator[tuple[str, _Function]]:
    """Yield (qualified name, function) of each that is in no other: those are part of it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, _Function):
            yield f"{name}.{child.name}", child
        elif isinstance(child, ast.ClassDef):
            yield from _named(child, f"{name}.{child.name}")
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _named(child, name)


def _does_something(node: _Function) -> bool:
    """Return whether the body is more than a docstring, ``...`` or ``pass``."""
    return any(
        not isinstance(statement, ast.Pass)
        and not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        for statement in node.body
    )


def _without_docstrings(node: _Function, lines: list[bytes]) -> str:
    """Return a function's text, dedented, without decorators, which may hold documentation too.

    `lines` are the module's, in UTF-8, as columns of the syntax tree count bytes. The docstrings
    of nested functions and classes are left out with its own.
    """
    own = lines[node.lineno - 1 : node.end_lineno]
    found = [
        each.body[0]
        for each in ast.walk(node)
        if isinstance(each, _Function | ast.ClassDef) and ast.get_docstring(each, clean=False)
    ]
    for docstring in sorted(found, key=lambda each: each.lineno, reverse=True):
        first = docstring.lineno - node.lineno
        last = (docstring.end_lineno or docstring.lineno) - node.lineno
        before = own[first][: docstring.col_offset]
        left = before + own[last][docstring.end_col_offset :].lstrip(b"; \t")
        own[first : last + 1] = [left] if left.strip() else []
    return textwrap.dedent(b"\n".join(own).decode()).rstrip()


def _query(node: _Function, code: str) -> str:
    """Return the first sentence of the docstring, or nothing if that is no query.

    A query has three words at least, is no markup, and is not written in the code. Dunder methods
    are described alike everywhere. Private functions are asked for too, as in CodeSearchNet.
    """
    head = inspect.cleandoc(ast.get_docstring(node, clean=False) or "").partition("\n\n")[0]
    sentence = _SENTENCE_END.split(" ".join(head.split()), maxsplit=1)[0]
    if (
        (node.name.startswith("__") and node.name.endswith("__"))
        or len(sentence.split()) < _LEAST_WORDS
        or len(sentence) > _MOST_CHARACTERS
        or sentence.startswith((":", ".."))
        or sentence in " ".join(code.split())
    ):
        return ""
    return sentence
