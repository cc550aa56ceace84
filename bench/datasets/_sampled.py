"""A sample of documents in the place of queries: what stands in where there are none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from bench.datasets import Dataset, load_documents
from bench.errors import MissingSplit, UsageError

SAMPLE = 1_000
"""Documents that give a query, unless the name says how many."""
_BREAK = re.compile(r"\n\s*\n|(?<=[.!?])\s+")
_WORD = re.compile(r"\S+")
_FEWEST, _MOST, _WINDOW = 4, 40, 12
"""Words of a passage: of a sentence at least and at most, of a run of words that is none."""
Span = Callable[[str, np.random.Generator], tuple[int, int]]
"""Returns where the passage of a text begins and ends."""
_LETTERS = 0.6
"""Least share of letters of a sentence; below it, it is a table, code or a formula."""


def parsed(source: str, argument: str, split: str) -> tuple[int, str]:
    """Return the number of queries and the dataset that an argument ``[N:]DATASET`` names.

    Raises UsageError for a missing dataset or no query, MissingSplit for another split than test.
    """
    first, _, rest = argument.partition(":")
    count, spec = (int(first), rest) if first.isdecimal() else (SAMPLE, argument)
    if not spec or not count:
        raise UsageError(
            f"{source}:{argument} is not {source}:DATASET or {source}:N:DATASET, "
            f"as in {source}:500:beir:PATH"
        )
    if split != "test":
        raise MissingSplit(f"{source}:{spec} has the split test only, not '{split}'")
    return count, spec


def base(spec: str) -> Dataset:
    """Return the documents of the dataset `spec`; raises as `load_documents` does.

    Where its own queries were documents, its notes are of those, so they are left out.
    """
    found = load_documents(spec)
    return found if found.own is None else replace(found, notes=())


def chosen(positions: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Return a seeded sample of at most `count` of `positions` (n,) int64, in their order."""
    if len(positions) <= count:
        return positions
    return np.sort(np.random.default_rng(seed).choice(positions, count, replace=False))


def taken(documents: Iterable[str], positions: np.ndarray) -> Iterator[tuple[int, str]]:
    """Yield (position, text) of the documents at `positions` (p,) int64, in their order."""
    wanted = set(positions.tolist())
    return ((i, text) for i, text in enumerate(documents) if i in wanted)


def passages(
    documents: Iterable[str], count: int, seed: int = 0, span: Span | None = None
) -> tuple[dict[int, str], dict[int, str]]:
    """Return up to `count` passages, and what is left of their documents, both by position.

    `documents` is iterated twice. A document of eight words or more can give one: a sentence of 4
    to 40 words, or a run of 12 words if it has none; half of its words at most. A passage that two
    of the sampled documents give is dropped, since either would answer it. `span` tells where
    another kind of passage begins and ends. Source: Lee et al. 2019 (the inverse cloze task).
    """
    counts = np.fromiter((len(text.split()) for text in documents), np.int64)
    sampled = chosen(np.flatnonzero(counts >= 2 * _FEWEST), count, seed)
    asked, rest = {}, {}
    for position, text in taken(documents, sampled):
        start, end = (span or sentence)(text, np.random.default_rng([seed, position]))
        asked[position] = " ".join(text[start:end].split())
        rest[position] = f"{text[:start].rstrip()} {text[end:].lstrip()}".strip()
    often = Counter(asked.values())
    asked = {position: text for position, text in asked.items() if often[text] == 1}
    return asked, {position: rest[position] for position in asked}


def sentence(text: str, rng: np.random.Generator) -> tuple[int, int]:
    """Return where the passage of a text of eight words or more begins and ends."""
    most = len(text.split()) // 2
    found = [
        (start, end)
        for start, end in _sentences(text)
        if _is_prose(text[start:end], min(most, _MOST))
    ]
    if found:
        return found[rng.integers(len(found))]
    return run(_WINDOW)(text, rng)


def run(most: int, first: bool = False) -> Span:
    """Return the passage of `most` words, half of a text at most: its first ones, or any run."""

    def span(text: str, rng: np.random.Generator) -> tuple[int, int]:
        words = [match.span() for match in _WORD.finditer(text)]
        length = min(most, len(words) // 2)
        start = 0 if first else int(rng.integers(len(words) - length + 1))
        return words[start][0], words[start + length - 1][1]

    return span


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for match in _BREAK.finditer(text):
        yield start, match.start()
        start = match.end()
    yield start, len(text)


def _is_prose(passage: str, most: int) -> bool:
    letters = sum(character.isalpha() for character in passage)
    return _FEWEST <= len(passage.split()) <= most and letters > _LETTERS * len(passage)


class Without:
    """The texts of a corpus, some of them replaced; iterable again and again."""

    def __init__(self, documents: Iterable[str], replaced: Mapping[int, str]) -> None:
        """`replaced` holds texts by position."""
        self._documents = documents
        self._replaced = replaced

    def __iter__(self) -> Iterator[str]:
        """Yield the texts in order."""
        return (self._replaced.get(i, text) for i, text in enumerate(self._documents))
