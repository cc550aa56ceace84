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

_AS_SURE = 1e-3
"""Widths of a lower bound that two rows may differ by and still be equally sure: rounding."""
_STEP = 2.0
"""Equally sure rows are tested at values at least so many times apart."""


@dataclass(frozen=True)
class Contender:
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

    chosen: Contender | None
    tested: tuple[Contender, ...]
    """The whole sequence, the surest first; those after the first failure were not tested."""

    @property
    def failed(self) -> Contender | None:
        """The first row that was not confirmed."""
        after = self.tested.index(self.chosen) + 1 if self.chosen else 0
        return self.tested[after] if after < len(self.tested) else None


def sequence(
    rows: Sequence[tuple[str, float, Kept]], need: Callable[[str], float]
) -> list[Contender]:
    """Return the rows worth testing, from the surest and dearest to the cheapest.

    `rows` holds the id, the value and what those queries show; `need` the share that each must
    keep. A row is left out if its lower bound is below that, or if another is as cheap and surer.
    Every test may end the sequence. So of rows that are equally sure, such as those that lose
    nothing on the few queries searched with, only one in each step of value is tested: the dearest,
    which is likeliest to lose nothing on others.
    """
    passing = [Contender(*row, None) for row in rows if row[2].surely() >= need(row[0])]
    margins = {row.trial_id: margin(row.searched, need(row.trial_id)) for row in passing}
    # Of equal value the surest comes first, and the others are no surer than it.
    left = sorted(passing, key=lambda row: (row.value, -margins[row.trial_id]))
    found: list[Contender] = left[:1]
    while left:
        least = margins[found[-1].trial_id] + _AS_SURE
        left = [r for r in left if r.value > found[-1].value]
        surer = next((i for i, r in enumerate(left) if margins[r.trial_id] > least), len(left))
        alike = [r for r in left[:surer] if margins[r.trial_id] >= least - 2 * _AS_SURE]
        apart = [r for r in alike if r.value >= _STEP * found[-1].value]
        if apart:
            found.append([r for r in apart if r.value <= _STEP * abs(apart[0].value)][-1])
        elif surer < len(left):
            found.append(left[surer])
        else:
            break
    return found[::-1]


def decide(
    tests: Sequence[Contender], confirm: Callable[[str], Kept], need: Callable[[str], float]
) -> Decision:
    """Test a `sequence` on the other queries; stop at the first row that is not confirmed."""
    tested: list[Contender] = []
    chosen: Contender | None = None
    for position, row in enumerate(tests):
        shown = confirm(row.trial_id)
        tested.append(Contender(row.trial_id, row.value, row.searched, shown))
        if shown.low < need(row.trial_id):
            return Decision(chosen, (*tested, *tests[position + 1 :]))
        chosen = tested[-1]
    return Decision(chosen, tuple(tested))


def margin(kept: Kept, need: float) -> float:
    """Return how many widths of its lower bound a share lies above what must be kept."""
    width = kept.share - kept.low
    return (kept.share - need) / width if width > 0 else float("inf")
