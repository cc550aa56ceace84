"""Two halves of the queries: one to search on, one to confirm what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def searching(query_ids: Sequence[str], groups: Sequence[str] | None, seed: int) -> np.ndarray:
    """Return which queries belong to the half that is searched on, (q,) bool.

    Whole groups go to one half, since queries of one group are alike; without groups each query is
    its own. The same ids give the same halves, in whatever order they come.
    """
    names = np.asarray(query_ids if groups is None else groups, dtype=str)
    units, unit = np.unique(names, return_inverse=True)
    order = np.random.default_rng([seed, 1]).permutation(len(units))
    first = np.zeros(len(units), dtype=bool)
    first[order[: (len(units) + 1) // 2]] = True
    return np.asarray(first[unit])
