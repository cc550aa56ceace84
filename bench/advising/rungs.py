"""What to fall back on if the other queries do not confirm the cheapest.

If only the cheapest was built and is not confirmed, exact search at the full dimension is left. So
when nothing can beat the best any more, the time that remains goes to the widest gaps of the
sequence.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.advising.candidates import Candidate
from bench.advising.decision import Promising, margin
from bench.advising.evidence import Kept
from bench.backends import get_backend

WIDEST = 1.3
"""Values of neighbours of the sequence that are not further apart need nothing in between."""
_NEAR = 1.05
"""What is built between two is at least so far from both."""
_ASSURED = 1.5
"""Widths of the lower bound that a row keeps enough by, to be confirmed very probably."""


@dataclass(frozen=True)
class Prospect:
    """An index that could be built."""

    candidate: Candidate
    value: float
    """The least that it could cost in what is minimised."""
    searched: Kept
    """What the queries that are searched with show of it, without an index."""
    need: float
    """Share that it must keep."""

    @property
    def scans(self) -> bool:
        """Whether its backend compares every vector."""
        return get_backend(self.candidate.backend).exact


def sure_scan(prospects: Sequence[Prospect]) -> list[Candidate]:
    """Return the cheapest exhaustive search, without a rescore, that is all but sure.

    Built early, it is there to fall back on if the time ends soon. Empty if there is none.
    """
    sure = [
        p
        for p in prospects
        if p.scans and not p.candidate.place and p.searched.surely(_ASSURED) >= p.need
    ]
    return [min(sure, key=lambda p: p.value).candidate] if sure else []


def between(
    tests: Sequence[Promising], prospects: Sequence[Prospect], need: Callable[[str], float]
) -> Candidate | None:
    """Return the index to build in the widest gap of a `sequence` that one fits; None if none does.

    It must be as sure as the cheaper end, or exhaustive, or the sequence would leave it out. The
    surest comes first: exhaustive search, which loses nothing more, then by what the queries show.
    Of equally sure ones near the middle it is the highest dimension, then the longest shortlist.
    """
    pairs = list(itertools.pairwise(tests))
    for dear, cheap in sorted(pairs, key=lambda pair: -pair[0].value / pair[1].value):
        if dear.value / cheap.value <= WIDEST:
            return None
        least = margin(cheap.searched, need(cheap.trial_id))
        middle = math.sqrt(dear.value * cheap.value)
        fit = [
            p
            for p in prospects
            if _NEAR * cheap.value < p.value < dear.value / _NEAR
            and (p.scans or margin(p.searched, p.need) > least - 1e-3)
        ]
        if fit:
            return max(
                fit,
                key=lambda p: (
                    p.scans,
                    round(margin(p.searched, p.need), 2),
                    abs(math.log(p.value / middle)) < math.log(WIDEST) / 2,
                    p.candidate.cell.dim,
                    p.candidate.cell.shortlist,
                    -abs(math.log(p.value / middle)),
                ),
            ).candidate
    return None
