"""One encoder for documents and another for queries, which share a space of vectors."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from bench.encoders import Encoder, Role, get_encoder
from bench.encoders._names import of_role
from bench.errors import UsageError
from bench.source import Code


class Pair(Encoder):
    """Documents by one encoder, queries by another, as ``st:LARGE+query=st:SMALL``.

    Each is loaded when it is first needed, so that to encode queries takes the smaller model alone.
    Whether the two share a space is not known from the models.
    """

    name = "pair"
    usage = "DOCUMENTS+query=QUERIES"
    summary = "one encoder for documents and another for queries, of one space"

    def __init__(self, argument: str = "") -> None:
        self._spec = argument
        # Both names are checked before either model is loaded.
        self._names: dict[Role, str] = {
            "document": of_role(argument, "document"),
            "query": of_role(argument, "query"),
        }

    def of_role(self, role: Role) -> Encoder:
        return self._documents if role == "document" else self._queries

    @cached_property
    def _documents(self) -> Encoder:
        return get_encoder(self._names["document"])

    @cached_property
    def _queries(self) -> Encoder:
        return get_encoder(self._names["query"])

    @property
    def dimension(self) -> int:
        self._check_dimensions()
        return self._documents.dimension

    def _check_dimensions(self) -> None:
        sides = self._documents.dimension, self._queries.dimension
        if sides[0] != sides[1]:
            raise UsageError(
                f"encoder '{self._spec}': documents have {sides[0]} dimensions and queries "
                f"{sides[1]}, so they share no space"
            )

    @property
    def identity(self) -> str:
        self._check_dimensions()
        return json.dumps(["pair", self._documents.identity, self._queries.identity])

    def encode_full(self, texts: Sequence[str], role: Role) -> np.ndarray:
        return self.of_role(role).encode_full(texts, role)

    def trainable(self) -> tuple[Any, float]:
        raise UsageError(
            f"encoder '{self._spec}' is two models: train one of them, '{self._names['document']}'"
        )


def joined(documents: Code, queries: Code) -> Code:
    """Return the code of a pair: that of both behind one ``encode``.

    What both define alike stands once. All else, and the constants, begins with its role.
    """
    sides: dict[Role, Code] = {"document": documents, "query": queries}
    first, second = (_statements(code.text) for code in sides.values())
    own = {"encode", *documents.constants, *queries.constants}
    own |= {name for text, names in {*first.items()} ^ {*second.items()} for name in names}
    # What uses a name of one side is of that side too.
    every = [*first.items(), *second.items()]
    while more := {n for text, names in every if own & _used(text) for n in names} - own:
        own |= more
    parts, constants = [], dict[str, Any]()
    for role, code in sides.items():
        new = {n: f"{role.upper()}_{n}" if n.isupper() else f"{role}_{n}" for n in own}
        there = first if role == "query" else {}
        kept = [t for t in _statements(code.text) if t not in there or own & _used(t)]
        parts.append(_renamed("".join(kept), new).strip("\n"))
        constants |= {new[name]: value for name, value in code.constants.items()}
    return Code(
        "\n\n\n".join([*parts, _ENCODE]),
        tuple(dict.fromkeys([*documents.imports, *queries.imports])),
        tuple(dict.fromkeys([*documents.requirements, *queries.requirements])),
        constants,
    )


_ENCODE = '''\
def encode(texts, role):
    """Return the vectors of texts, (n, D) float32; queries have an encoder of their own."""
    return query_encode(texts, role) if role == "query" else document_encode(texts, role)
'''


def _statements(text: str) -> dict[str, frozenset[str]]:
    """Return the statements at the top level, comments included, with the names each defines."""
    lines, start, found = text.strip("\n").splitlines(keepends=True), 0, {}
    for node in ast.parse("".join(lines)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = {node.name}
        else:
            stored = (n for n in ast.walk(node) if isinstance(n, ast.Name))
            names = {n.id for n in stored if isinstance(n.ctx, ast.Store)}
        end = node.end_lineno or start
        found["".join(lines[start:end]).rstrip("\n") + "\n"] = frozenset(names)
        start = end
    return found


def _used(text: str) -> set[str]:
    """Return the names that source text uses or defines."""
    tree = list(ast.walk(ast.parse(text)))
    functions = {n.name for n in tree if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    return functions | {n.id for n in tree if isinstance(n, ast.Name)}


def _renamed(text: str, new: Mapping[str, str]) -> str:
    """Return source text with names replaced, but for attributes and what is in strings."""
    lines, before = text.splitlines(keepends=True), ""
    places = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and token.string in new and before != ".":
            places.append(token)
        before = token.string
    # From the last to the first, so that the places of those before stay as they are.
    for token in reversed(places):
        (row, start), (_, end), line = token.start, token.end, lines[token.start[0] - 1]
        lines[row - 1] = f"{line[:start]}{new[token.string]}{line[end:]}"
    return "".join(lines)
