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

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.advising.evidence import Kept

SAME_VALUE = 1e-9
"""Values within this factor count as equal."""


@dataclass(frozen=True)
class Tested:
    """One row of the sequence, with what each part of the queries shows."""

    trial_id: str
    value: float
    """What is minimised."""
    searched: Kept
    confirmed: Kept | None
    """None if the sequence ended before it."""


@dataclass(frozen=True)
class Decision:
    """The sequence that was tested, and the row that it ends with."""

    chosen: Tested | None
    tested: tuple[Tested, ...]
    """The whole sequence, the surest first; those after the first failure were not tested."""

    @property
    def failed(self) -> Tested | None:
        """The first row that was not confirmed."""
        after = self.tested.index(self.chosen) + 1 if self.chosen else 0
        return self.tested[after] if after < len(self.tested) else None


def sequence(rows: Sequence[tuple[str, float, Kept]], need: Callable[[str], float]) -> list[Tested]:
    """Return the rows worth testing, from the surest and dearest to the cheapest.

    `rows` holds the id, the value and what those queries show; `need` the share that each must
    keep. A row is left out if its lower bound is below that, or if another is as cheap and surer.
    """
    passing = [
        (trial_id, value, kept) for trial_id, value, kept in rows if kept.surely() >= need(trial_id)
    ]
    found: list[Tested] = []
    # Of equal value the surest comes first, and the others are no surer than it.
    for trial_id, value, kept in sorted(passing, key=lambda row: (row[1], -_margin(row, need))):
        margin = _margin((trial_id, value, kept), need)
        if not found or margin >= _margin_of(found[-1], need):
            found.append(Tested(trial_id, value, kept, None))
    return found[::-1]


def decide(
    tests: Sequence[Tested], confirm: Callable[[str], Kept], need: Callable[[str], float]
) -> Decision:
    """Test a `sequence` on the other queries; stop at the first row that is not confirmed."""
    tested: list[Tested] = []
    chosen: Tested | None = None
    for position, row in enumerate(tests):
        shown = confirm(row.trial_id)
        tested.append(Tested(row.trial_id, row.value, row.searched, shown))
        if shown.low < need(row.trial_id):
            return Decision(chosen, (*tested, *tests[position + 1 :]))
        chosen = tested[-1]
    return Decision(chosen, tuple(tested))


def _margin(row: tuple[str, float, Kept], need: Callable[[str], float]) -> float:
    """Return how many widths of its lower bound a row lies above what it must keep."""
    trial_id, _, kept = row
    width = kept.share - kept.low
    return (kept.share - need(trial_id)) / width if width > 0 else float("inf")


def _margin_of(row: Tested, need: Callable[[str], float]) -> float:
    return _margin((row.trial_id, row.value, row.searched), need)
