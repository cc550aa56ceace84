"""Measure and wrap texts, so that none is wider than the room it has."""

from __future__ import annotations

import functools
import textwrap

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

LINE = 1.25
"""Height of a line of text, in sizes of its letters."""


@functools.lru_cache(maxsize=4096)
def inches(text: str, points: float) -> float:
    """Return the width of the widest line of `text`, in inches, in letters of so many `points`."""
    font = FontProperties(size=points)
    lines = text.split("\n")
    return max(text_to_path.get_text_width_height_descent(x, font, False)[0] for x in lines) / 72


def high(text: str, points: float) -> float:
    """Return the height of `text` in inches, that of all its lines."""
    return (1 + text.count("\n")) * LINE * points / 72


def wrapped(text: str, room: float, points: float) -> str:
    """Return `text` in lines of at most `room` inches, broken between words or else within them.

    A path has no spaces, so breaking it must be possible; lines given are kept.
    """
    return "\n".join(_wrapped(line, room, points) for line in text.split("\n"))


def _wrapped(line: str, room: float, points: float) -> str:
    if inches(line, points) <= room:
        return line
    letters = len(line)
    found = line
    while letters > 4:
        # Letters differ in width: the share of the room that is missing says how many to drop.
        letters = min(letters - 1, int(letters * room / inches(found, points)))
        letters = max(4, letters)
        found = textwrap.fill(line, letters)
        if inches(found, points) <= room:
            break
    return found
