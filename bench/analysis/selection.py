"""Trials that an expression chooses, in an order that a list of columns gives.

An expression has Python's syntax and none of its power. It is parsed and computed here, node by
node, and anything but columns, literals, comparisons, arithmetic and logic is refused:
`DataFrame.query` would run attributes and calls.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.analysis.labels import labels
from bench.analysis.tables import front
from bench.errors import UsageError, near_miss
from bench.results.derived import ALL_COLUMNS
from bench.results.history import HISTORY_COLUMNS
from bench.results.rows import groups

_COLUMNS = {column.name: column for column in HISTORY_COLUMNS} | ALL_COLUMNS
LABEL, FRONT = "label", "pareto"
"""Columns that `named` adds."""
_ALLOWED = "columns, numbers, texts, + - * /, comparisons, `in` a list, `is None`, and, or, not"
_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_ORDER: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_Kind = Literal["number", "text", "flag", "nothing", "list"]
_KINDS: dict[str, _Kind] = {"int": "number", "float": "number", "text": "text", "flag": "flag"}


@dataclass(frozen=True)
class _Value:
    kind: _Kind
    value: Any
    """A Series, a scalar, or a list of scalars."""


def named(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the trials with `label`, the configuration in words, and `pareto`: on the front.

    The front is that of all trials of a dataset and encoder, so name before choosing.
    """
    parts = [part for _, part in groups(frame)]
    best = [i for part in parts for i in front(part).index]
    label = pd.concat([labels(part) for part in parts]).reindex(frame.index)
    first = pd.DataFrame({LABEL: label, FRONT: frame.index.isin(best)}, index=frame.index)
    return pd.concat([first, frame], axis=1)


def where(frame: pd.DataFrame, expression: str) -> pd.DataFrame:
    """Return the rows of which `expression` holds, as in ``dim <= 128 and backend == "annoy"``.

    An unknown figure compares as false. Raises UsageError for anything that is not a condition on
    columns of `frame`.
    """
    try:
        found = _Condition(frame, expression).holds()
    except UsageError:
        raise
    except SyntaxError as error:
        raise UsageError(f"'{expression}' is not an expression: {error.msg}") from error
    except (ValueError, TypeError, ArithmeticError, RecursionError, MemoryError) as error:
        raise UsageError(f"'{expression}' cannot be computed: {error}") from error
    return frame[found]


def ordered(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return the rows sorted by `columns`, descending where a name begins with ``-``.

    Rows without a figure come last. Raises UsageError for an unknown column.
    """
    names = [column.removeprefix("-") for column in columns]
    for name in names:
        check_column(frame, name)
        if _kind(name) is None:
            raise UsageError(f"the column '{name}' holds lists, which have no order")
    rising = [not column.startswith("-") for column in columns]
    return frame.sort_values(names, ascending=rising, kind="stable", na_position="last")


def check_column(frame: pd.DataFrame, name: str) -> None:
    """Raise UsageError with the near miss unless `frame` has the column."""
    if name not in frame:
        raise UsageError(f"no column is called '{name}'{near_miss(name, frame.columns)}")


def _kind(name: str) -> _Kind | None:
    if name in (LABEL, FRONT):
        return "text" if name == LABEL else "flag"
    return _KINDS.get(_COLUMNS[name].type)


class _Condition:
    """One expression over the columns of a frame."""

    def __init__(self, frame: pd.DataFrame, text: str) -> None:
        self.frame = frame
        self.text = text.strip()

    def holds(self) -> np.ndarray:
        """Return of which rows it holds, (n rows,) bool."""
        found = self._flag(ast.parse(self.text, mode="eval").body)
        return np.broadcast_to(np.asarray(found, dtype=bool), len(self.frame))

    def _value(self, node: ast.expr) -> _Value:
        match node:
            case ast.Constant(bool(value)):
                return _Value("flag", value)
            case ast.Constant(int(value) | float(value)):
                return _Value("number", value)
            case ast.Constant(str(value)):
                return _Value("text", value)
            case ast.Constant(None):
                return _Value("nothing", None)
            case ast.List(elts) | ast.Tuple(elts) | ast.Set(elts):
                return _Value("list", [self._literal(each) for each in elts])
            case ast.Name(name):
                return self._column(name)
            case ast.UnaryOp(ast.USub(), operand):
                return _Value("number", -self._number(operand))
            case ast.UnaryOp(ast.UAdd(), operand):
                return _Value("number", self._number(operand))
            case ast.UnaryOp(ast.Not(), operand):
                return _Value("flag", np.logical_not(self._flag(operand)))
            case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
                pair = self._number(left), self._number(right)
                return _Value("number", _ARITHMETIC[type(op)](*pair))
            case ast.BoolOp(junction, values):
                join = np.logical_and if isinstance(junction, ast.And) else np.logical_or
                found = self._flag(values[0])
                for each in values[1:]:
                    found = join(found, self._flag(each))
                return _Value("flag", found)
            case ast.Compare(left, ops, others):
                found, sides = True, [left, *others]
                for sign, (one, other) in zip(ops, pairwise(sides), strict=True):
                    found = np.logical_and(found, self._compared(sign, one, other))
                return _Value("flag", found)
        raise self._refused(node)

    def _compared(self, op: ast.cmpop, one: ast.expr, other: ast.expr) -> Any:
        left, right = self._value(one), self._value(other)
        if "nothing" in (left.kind, right.kind) and isinstance(
            op, ast.Is | ast.IsNot | ast.Eq | ast.NotEq
        ):
            known = left if right.kind == "nothing" else right
            missing = pd.isna(known.value)
            return missing if isinstance(op, ast.Is | ast.Eq) else np.logical_not(missing)
        if isinstance(op, ast.In | ast.NotIn):
            found = self._is_in(left, right)
            return found if isinstance(op, ast.In) else np.logical_not(found)
        if type(op) not in _ORDER:
            raise self._refused(one)
        if left.kind != right.kind or left.kind == "list":
            raise UsageError(
                f"'{self._source(one)}' is a {left.kind} and '{self._source(other)}' a "
                f"{right.kind}: they cannot be compared"
            )
        return _ORDER[type(op)](left.value, right.value)

    def _is_in(self, left: _Value, right: _Value) -> Any:
        series = pd.Series(left.value, index=self.frame.index)
        if right.kind == "list":
            return series.isin(right.value)
        if left.kind == right.kind == "text" and isinstance(left.value, str):
            texts = pd.Series(right.value, index=self.frame.index)
            return texts.str.contains(left.value, regex=False, na=False).astype(bool)
        raise UsageError(f"'in' needs a list or a text on its right in '{self.text}'")

    def _number(self, node: ast.expr) -> Any:
        return self._of_kind(node, "number")

    def _flag(self, node: ast.expr) -> Any:
        return self._of_kind(node, "flag")

    def _of_kind(self, node: ast.expr, kind: _Kind) -> Any:
        found = self._value(node)
        if found.kind != kind:
            wanted = "condition" if kind == "flag" else kind
            raise UsageError(f"'{self._source(node)}' is a {found.kind}, not a {wanted}")
        return found.value

    def _literal(self, node: ast.expr) -> Any:
        found = self._value(node)
        if isinstance(found.value, pd.Series) or found.kind in ("list", "nothing"):
            raise UsageError(f"a list holds numbers and texts, not '{self._source(node)}'")
        return found.value

    def _column(self, name: str) -> _Value:
        check_column(self.frame, name)
        kind = _kind(name)
        if kind is None:
            raise UsageError(f"the column '{name}' holds lists, which cannot be compared")
        return _Value(kind, self.frame[name])

    def _refused(self, node: ast.expr) -> UsageError:
        return UsageError(f"'{self._source(node)}' is not allowed: an expression has {_ALLOWED}")

    def _source(self, node: ast.expr) -> str:
        return ast.get_source_segment(self.text, node) or self.text
