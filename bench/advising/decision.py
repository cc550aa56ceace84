"""Choose one configuration by a third of the queries, and confirm it by the others.

The search may try any number of configurations with the queries that it looks at. What it hands
over is one sequence of rows, each cheaper than the row before and, by those queries, no surer. The
other queries test them in this order, each at 97.5 % one-sided, and stop at the first that they do
not confirm. Some row of the sequence is the first that truly falls short. Only if the test of that
row errs can any row be confirmed wrongly, so the chance of recommending one that falls short is at
most 2.5 %, whatever was searched. Source: fixed-sequence testing, Maurer, Hothorn & Lehmacher 1995;
the two parts, Cox 1975. `tests/experiments/selection.py` simulates it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bench.advising.evidence import Kept


@dataclass(frozen=True)
class Contender:
    """One row of the sequence, with what each part of the queries shows."""

    trial_id: str
    value: float
    """What is minimised."""
    searched: Kept
    agreement: float = 0.0
    """Agreement with exact search at the full dimension, of the queries searched with: of rows that
    lost nothing on few queries, it tells which is surer."""
    confirmed: Kept | None = None
    """None if the sequence ended before it."""

    def sureness(self, need: float) -> tuple[float, float]:
        """Return how many widths of its lower bound it lies above `need`, and its agreement."""
        width = self.searched.share - self.searched.low
        margin = (self.searched.share - need) / width if width > 0 else math.inf
        return margin, self.agreement


@dataclass(frozen=True)
class Decision:
    """The sequence that was tested, and the row that it ends with."""

    chosen: Contender | None
    tested: tuple[Contender, ...]
    """The whole sequence, the surest first; those after the first failure were not tested."""

    @property
    def failed(self) -> Contender | None:
        """The first row that was not confirmed."""
        after = self.tested.index(self.chosen) + 1 if self.chosen else 0
        return self.tested[after] if after < len(self.tested) else None


def sequence(rows: Iterable[Contender], need: Callable[[str], float]) -> list[Contender]:
    """Return the rows worth testing, from the surest and dearest to the cheapest.

    `need` is the share that each must keep. A row is left out if its lower bound is below that, or
    if another is as cheap and surer.
    """

    def sureness(row: Contender) -> tuple[float, float]:
        return row.sureness(need(row.trial_id))

    passing = [row for row in rows if row.searched.surely() >= need(row.trial_id)]
    found: list[Contender] = []
    # Of equal value the surest comes first, and the others are no surer than it.
    for row in sorted(passing, key=lambda row: (row.value, *(-s for s in sureness(row)))):
        if not found or sureness(row) >= sureness(found[-1]):
            found.append(row)
    return found[::-1]


def decide(
    tests: Sequence[Contender], confirm: Callable[[str], Kept], need: Callable[[str], float]
) -> Decision:
    """Test a `sequence` on the other queries; stop at the first row that is not confirmed."""
    tested: list[Contender] = []
    chosen: Contender | None = None
    for position, row in enumerate(tests):
        shown = confirm(row.trial_id)
        tested.append(replace(row, confirmed=shown))
        if shown.low < need(row.trial_id):
            return Decision(chosen, (*tested, *tests[position + 1 :]))
        chosen = tested[-1]
    return Decision(chosen, tuple(tested))
