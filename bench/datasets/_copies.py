"""Near-copies among texts, found exactly: no pair is missed, and none is left to chance.

Two texts that share enough shingles share one of their rarest few, so only pairs that do are
compared. Source: prefix filtering, Chaudhuri et al. 2006.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from scipy import sparse

SHINGLE = 3
"""Words or signs in a row that are compared as one."""
_TOKEN = re.compile(r"\w+|[^\w\s]")
_BLOCK = 100_000
"""Pairs compared at once."""


def near_copies(texts: Sequence[str], alike: float) -> np.ndarray:
    """Return which texts are near-copies of an earlier one that is none, (n,) bool.

    Near-copies have a Jaccard index of their sets of shingles of at least `alike`, in 0…1. White
    space does not count. So no two of the others are near-copies of each other.
    """
    copies = np.zeros(len(texts), bool)
    if not len(texts):
        return copies
    shingles = _shingles(texts)
    for earlier, later in _alike(shingles, *_candidates(shingles, alike), alike):
        copies[later] |= not copies[earlier]
    return copies


def _shingles(texts: Sequence[str]) -> sparse.csr_array:
    """Return which text has which shingle, (n, m) of ones, the rarest shingles first."""
    known: dict[str, int] = {}
    rows = []
    for text in texts:
        tokens = [known.setdefault(token, len(known) + 1) for token in _TOKEN.findall(text)]
        rows.append(np.array(tokens + [0] * (SHINGLE - len(tokens)), np.int64))
    sets = [_coded(row, len(known) + 1) for row in rows]
    _, shingle, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    by_rarity = np.argsort(np.argsort(counts, kind="stable"), kind="stable")
    starts = np.cumsum([0, *map(len, sets)])
    found = sparse.csr_array((np.ones(len(shingle), np.int32), by_rarity[shingle], starts))
    found.sort_indices()
    return found


def _coded(tokens: np.ndarray, base: int) -> np.ndarray:
    """Return a number for each distinct shingle of tokens in 0…base - 1."""
    windows = np.lib.stride_tricks.sliding_window_view(tokens, SHINGLE)
    return np.unique(windows @ base ** np.arange(SHINGLE))


def _candidates(shingles: sparse.csr_array, alike: float) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of texts, earlier and later, among which are all that are alike enough."""
    sizes = np.diff(shingles.indptr)
    rarest = sizes - np.ceil(alike * sizes - 1e-9) + 1
    position = np.arange(shingles.nnz) - np.repeat(shingles.indptr[:-1], sizes)
    rare = shingles.copy()
    rare.data = (position < np.repeat(rarest, sizes)).astype(np.int32)
    rare.eliminate_zeros()
    pairs = sparse.triu(rare @ rare.T, 1).tocoo()
    return pairs.row, pairs.col


def _alike(
    shingles: sparse.csr_array, earlier: np.ndarray, later: np.ndarray, alike: float
) -> np.ndarray:
    """Return the pairs that are alike enough, (p, 2), in the order of the later text."""
    sizes, found = np.diff(shingles.indptr), []
    for start in range(0, len(earlier), _BLOCK):
        one, two = earlier[start : start + _BLOCK], later[start : start + _BLOCK]
        common = shingles[one].multiply(shingles[two]).sum(axis=1)
        kept = common >= alike * (sizes[one] + sizes[two] - common) - 1e-9
        found.append(np.column_stack([one, two])[kept])
    pairs = np.concatenate(found) if found else np.empty((0, 2), int)
    return pairs[np.lexsort(pairs.T)]
