"""Choose one configuration by a third of the queries, and confirm it by the others.

The search may try any number of configurations with the queries that it looks at. What it hands
over is a short list of rows from dear to cheap, of which none is as cheap and surer than another.
The other queries test them together: their lower bounds hold for all of them at once, in 97.5 % of
samples. Those whose bound is high enough are confirmed, and the bounds of the others are computed
anew, for fewer at once, until none more is. So the chance that any is confirmed wrongly, and that
the cheapest confirmed one falls short, is at most 2.5 %, whatever was searched. Source: the
step-down test of the largest deviation, Romano & Wolf 2005; the two parts, Cox 1975.
`tests/experiments/selection.py` simulates it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.advising.candidates import exhaustive
from bench.advising.evidence import Evidence, Kept

_AS_SURE = 1e-3
"""Widths of a lower bound that two rows may differ by and still be equally sure: rounding."""
_STEP = 1.4
"""Equally sure rows are tested at values at least so many times apart."""


@dataclass(frozen=True)
class Promising:
    """One row that is worth testing."""

    trial_id: str
    value: float
    """What is minimised."""
    searched: Kept
    """What the queries show that were searched with."""


@dataclass(frozen=True)
class Contender(Promising):
    """One row that was tested."""

    confirmed: Kept
    """With bounds that hold for all rows at once that were tested with it in the end."""


@dataclass(frozen=True)
class Decision:
    """The sequence that was tested, and the cheapest of it that was confirmed."""

    chosen: Contender | None
    tested: tuple[Contender, ...]
    """The whole sequence, the surest and dearest first."""

    @property
    def failed(self) -> Contender | None:
        """The next cheaper row than the choice, which was not confirmed."""
        after = self.tested.index(self.chosen) + 1 if self.chosen else 0
        return self.tested[after] if after < len(self.tested) else None


def worth_testing(
    rows: pd.DataFrame, evidence: Evidence, need: Callable[[str], float]
) -> list[Promising]:
    """Return the `sequence` of rows of the trials table, which have the column `value`."""
    pairs = zip(rows["trial_id"], rows["value"], strict=True)
    shown = [(trial, value, evidence.searched(trial)) for trial, value in pairs]
    return sequence(shown, need, exhaustive(rows))


def sequence(
    rows: Sequence[tuple[str, float, Kept]],
    need: Callable[[str], float],
    exhaustive: Collection[str] = (),
) -> list[Promising]:
    """Return the rows worth testing, from the dearest to the cheapest.

    `rows` holds the id, the value and what those queries show; `need` the share that each must
    keep. A row is left out if its lower bound is below that, or if another is as cheap and surer.
    The `exhaustive` ones are held against each other only: an index that misses nothing on the few
    queries searched with may miss on others what an exhaustive search finds.
    """
    passing = [Promising(*row) for row in rows if row[2].surely() >= need(row[0])]
    margins = {row.trial_id: margin(row.searched, need(row.trial_id)) for row in passing}
    scans = [row for row in passing if row.trial_id in exhaustive]
    found = {row.trial_id: row for part in (passing, scans) for row in _front(part, margins)}
    return sorted(found.values(), key=lambda row: (-row.value, -margins[row.trial_id]))


def _front(passing: Sequence[Promising], margins: Mapping[str, float]) -> list[Promising]:
    """Return the rows than which none is as cheap and surer, cheapest first.

    Every further test lowers the bounds. So of rows that are equally sure, such as those that lose
    nothing on the few queries searched with, only one in each step of value is tested: the dearest,
    which is likeliest to lose nothing on others.
    """
    # Of equal value the surest comes first, and the others are no surer than it.
    left = sorted(passing, key=lambda row: (row.value, -margins[row.trial_id]))
    found: list[Promising] = left[:1]
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
    return found


def decide(
    tests: Sequence[Promising],
    confirm: Callable[[Sequence[str]], Sequence[Kept]],
    need: Callable[[str], float],
) -> Decision:
    """Test a `sequence` on the other queries; choose the cheapest row that they confirm.

    `confirm` maps ids to what those queries show, with bounds that hold for all of them at once.
    """
    shown: dict[str, Kept] = {}
    confirmed: set[str] = set()
    left = [row.trial_id for row in tests]
    while left:
        shown |= zip(left, confirm(left), strict=True)
        passed = {trial for trial in left if shown[trial].low >= need(trial)}
        if not passed:
            break
        confirmed |= passed
        left = [trial for trial in left if trial not in passed]
    tested = tuple(Contender(**vars(row), confirmed=shown[row.trial_id]) for row in tests)
    return Decision(next((r for r in reversed(tested) if r.trial_id in confirmed), None), tested)


def margin(kept: Kept, need: float) -> float:
    """Return how many widths of its lower bound a share lies above what must be kept."""
    width = kept.share - kept.low
    return (kept.share - need) / width if width > 0 else float("inf")
