"""Passages of documents: questions that nobody had to write, for training where there are few pairs, or none.

A sentence or short paragraph is taken for a query, the document that it stands in for the answer. Source: Lee et al. 2019
(the inverse cloze task). Only documents are read: a query that is scored is in none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

_BREAK = re.compile(r"\n\s*\n|(?<=[.!?])\s+(?=[A-Z])")
_FEWEST, _MOST = 4, 40
_LETTERS = 0.6
"""Least share of letters: below it a passage is a table, code or a formula."""


def passages(documents: Iterable[str], most: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return up to `most` passages, a seeded sample where there are more, and their documents' positions (p,) int64."""
    found = [
        (passage, position)
        for position, document in enumerate(documents)
        for passage in map(_plain, _BREAK.split(document))
        if _is_prose(passage)
    ]
    if len(found) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(found), most, replace=False))
        found = [found[i] for i in chosen]
    return [text for text, _ in found], np.array(
        [position for _, position in found], dtype=np.int64
    )


def _plain(text: str) -> str:
    return " ".join(text.split())


def _is_prose(passage: str) -> bool:
    letters = sum(character.isalpha() for character in passage)
    return _FEWEST <= len(passage.split()) <= _MOST and letters > _LETTERS * len(passage)
