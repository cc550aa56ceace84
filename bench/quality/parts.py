"""Two parts of the queries: a third to search with, and the others to confirm what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SEARCHED = 1 / 3
"""Share of the queries, or of their groups, that a search may look at."""
NARROWER = (SEARCHED / (1 - SEARCHED)) ** 0.5
"""Width of an interval from the other queries, over one from those searched with: they are more."""


def searching(query_ids: Sequence[str], groups: Sequence[str] | None, seed: int) -> np.ndarray:
    """Return which queries belong to the part that is searched with, (q,) bool.

    Whole groups go to one part, since queries of one group are alike; without groups each query is
    its own. The same ids give the same parts, in whatever order they come.
    """
    names = np.asarray(query_ids if groups is None else groups, dtype=str)
    units, unit = np.unique(names, return_inverse=True)
    order = np.random.default_rng([seed, 1]).permutation(len(units))
    first = np.zeros(len(units), dtype=bool)
    first[order[: max(1, round(SEARCHED * len(units)))]] = True
    return np.asarray(first[unit])
