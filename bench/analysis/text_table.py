"""A table of text, and figures as text: the same for terminal, page, notebook and paper."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Table:
    """A table of text: the first column to the left, the others to the right."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]
    leave_out: tuple[str, ...] = ()
    """Headings of what a narrow terminal leaves out, in that order: a column with intervals loses
    them first, and goes where it is named again."""


def number(value: float, form: str = ".3f") -> str:
    """Return a number as text; a dash if it is unknown."""
    return "–" if pd.isna(value) else format(value, form)


def interval(value: float, low: float, high: float, form: str = ".3f") -> str:
    """Return a figure with its bounds as text: ``0.316 [0.282, 0.349]``."""
    return "{} [{}, {}]".format(*(number(x, form) for x in (value, low, high)))


def share(value: float, low: float, high: float) -> str:
    """Return a share with its bounds in per cent, as text: ``97.8 [94.9, 101.0]``."""
    values = (number(100 * x, ".1f") for x in (value, low, high))
    return "{} [{}, {}]".format(*values)
