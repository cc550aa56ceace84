"""Passages of documents, used as queries in training if there are few or no pairs.

A sentence or short paragraph serves as a query, and its document as the answer. Source: Lee et al.
2019 (the inverse cloze task). Passages come from documents only, never from scored queries.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

_BREAK = re.compile(r"\n\s*\n|(?<=[.!?])\s+(?=[A-Z])")
_FEWEST, _MOST = 4, 40
_LETTERS = 0.6
"""Least share of letters; a passage below it is a table, code or a formula."""


def passages(documents: Iterable[str], most: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Return up to `most` passages and the positions of their documents, (p,) int64.

    If there are more, they are a seeded sample.
    """
    found = [
        (passage, position)
        for position, document in enumerate(documents)
        for passage in map(_plain, _BREAK.split(document))
        if _is_prose(passage)
    ]
    if len(found) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(found), most, replace=False))
        found = [found[i] for i in chosen]
    positions = np.array([position for _, position in found], dtype=np.int64)
    return [text for text, _ in found], positions


def _plain(text: str) -> str:
    return " ".join(text.split())


def _is_prose(passage: str) -> bool:
    letters = sum(character.isalpha() for character in passage)
    return _FEWEST <= len(passage.split()) <= _MOST and letters > _LETTERS * len(passage)
