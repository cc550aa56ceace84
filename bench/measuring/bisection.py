"""Find the narrowest search that keeps enough quality, instead of timing a whole grid.

A wider search finds no less, so bisection over the widths of a search needs a few of them. Each is
judged by the queries that are searched on (`bench.quality.parts`), in growing samples: most widths
fall far short or lose nothing, and a few dozen queries show that. The narrowest that keeps enough
for sure is timed, and the narrowest that does so with room to spare, which is likelier to be
confirmed by the other queries. Few queries do not show what a narrow search misses; the documents
that it finds show more. So the narrowest that finds nearly what the widest finds is timed too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from bench.quality.intervals import Bootstrap
from bench.quality.parts import NARROWER
from bench.study.plan import Trial, parameters

ROOM = (NARROWER, 1.6 * NARROWER)
"""Widths of the lower bound, as multiples of its distance from the estimate, that must keep enough.

The other queries would confirm the first; the second has room to spare. A search is timed for each.
"""
FAITHFUL = 0.98
"""Share of the widest search's results that a narrower one finds, to be as good as it."""
_COMPARED = 100
"""Queries on which that is found out."""
_LEAST = 48
"""Fewest queries of a sample."""
_INTERIM = 2.5
"""Standard errors that end a test early: several looks at 5 %. Source: Pocock 1977, five looks."""


@dataclass(frozen=True)
class Shown:
    """What a test of one search found."""

    kept: float
    """Share of the full dimension's quality, on the queries asked."""
    queries: int
    bounds: tuple[float, ...]
    """Lower bound for each of `ROOM`; on a sample that ended the test, the decision as ±1."""


class Keeping:
    """Tests whether a search keeps a share of the full dimension's quality."""

    def __init__(
        self,
        full: np.ndarray,
        rows: np.ndarray,
        groups: Sequence[str] | None,
        keep: float,
        seed: int,
    ) -> None:
        """`full` (r,) float64: quality at the full dimension of the queries at positions `rows`.

        `groups` (r,) names what each query belongs to; each is its own if None.
        """
        self.full = full
        self.rows = rows
        self.keep = keep
        self._order = np.random.default_rng(seed).permutation(len(rows))
        self._bootstrap = Bootstrap(len(rows), seed, groups=groups)

    def test(self, quality: Callable[[np.ndarray], np.ndarray]) -> Shown:
        """Ask growing samples of the queries until the answer is clear.

        `quality` maps positions of queries (r,) int64 to their quality (r,) float64.
        """
        found = np.empty(0)
        size = _LEAST
        while True:
            part = self._order[len(found) : size]
            found = np.concatenate([found, quality(self.rows[part])])
            if len(found) == len(self.rows):
                return self._whole(found)
            base = self.full[self._order[: len(found)]]
            gained = found - self.keep * base
            # One more query counts as lost: a few equal queries do not prove equality.
            spread = (gained.var(ddof=1) + float(base.mean()) ** 2 / len(found)) ** 0.5
            error = _INTERIM * spread / len(found) ** 0.5
            if gained.mean() + error < 0:
                kept = found.sum() / base.sum() if base.any() else 0.0
                return Shown(float(kept), len(found), (-1.0,) * len(ROOM))
            if gained.mean() - ROOM[-1] * error > 0:
                return Shown(float(found.sum() / base.sum()), len(found), (1.0,) * len(ROOM))
            size *= 2

    def _whole(self, found: np.ndarray) -> Shown:
        if not self.full.any():
            return Shown(0.0, len(found), (-1.0,) * len(ROOM))
        ordered = np.empty(len(found))
        ordered[self._order] = found
        bounds = self._bootstrap.ratios(ordered[None], self.full)
        kept, low = float(bounds.estimate[0]), float(bounds.low[0])
        return Shown(kept, len(found), tuple(kept - room * (kept - low) for room in ROOM))


def chains(trials: Mapping[str, Trial]) -> list[list[str]]:
    """Return the trials over one index in chains from the narrowest search to the widest, by id.

    They are in the order of the study. The trials of a chain differ in the first search parameter.
    """
    found: dict[tuple[object, ...], list[str]] = {}
    for trial_id, trial in trials.items():
        rest = tuple(sorted(parameters(trial.search_params).items())[1:])
        key = trial.stages, trial.k, trial.clients, trial.arrival, rest
        found.setdefault(key, []).append(trial_id)
    return list(found.values())


def left_out(
    chain: Sequence[str],
    qualities: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    keeping: Keeping,
) -> dict[str, str]:
    """Return why trials of a chain are not timed, by id; the others are worth their time.

    A chain of one, such as an exhaustive search, has no width to look for: it is timed.
    """
    if len(chain) == 1:
        return {}
    shown: dict[str, Shown] = {}

    def sure(room: int, position: int) -> bool:
        trial_id = chain[position]
        if trial_id not in shown:
            shown[trial_id] = keeping.test(qualities[trial_id])
        # A decision of a sample is ±1 and not a share.
        bound = shown[trial_id].bounds[room]
        return bound == 1.0 or bound >= keeping.keep

    chosen, start = set(), 0
    for room in range(len(ROOM)):
        narrowest = bisected(start, len(chain), partial(sure, room))
        if narrowest is None:
            break
        chosen.add(chain[narrowest])
        start = narrowest
    return {
        trial_id: _reason(shown.get(trial_id), keeping.keep)
        for trial_id in chain
        if trial_id not in chosen
    }


def faithful(
    chain: Sequence[str],
    searches: Mapping[str, Callable[[np.ndarray], np.ndarray]],
    rows: np.ndarray,
) -> str:
    """Return the narrowest search of a chain that finds nearly what the widest finds, by id.

    `searches` map positions of queries (r,) int64, of which `rows` are some, to ids (r, k) int64.
    """
    some = rows[:: max(1, len(rows) // _COMPARED)]
    best = searches[chain[-1]](some)

    def agrees(position: int) -> bool:
        found = searches[chain[position]](some)
        same = (found[:, :, None] == best[:, None, :]) & (best >= 0)[:, None, :]
        return bool(same.any(axis=1).sum() >= FAITHFUL * (best >= 0).sum())

    narrowest = bisected(0, len(chain) - 1, agrees)
    return chain[-1 if narrowest is None else narrowest]


def bisected(start: int, end: int, passes: Callable[[int], bool]) -> int | None:
    """Return the first position in start…end-1 that passes, if all after it do; None if none does.

    Asks about log₂(end - start) of them, the last one first: often nothing passes.
    """
    if start >= end or not passes(end - 1):
        return None
    low, high = start, end - 1
    while low < high:
        middle = (low + high) // 2
        if passes(middle):
            high = middle
        else:
            low = middle + 1
    return high


def _reason(shown: Shown | None, keep: float) -> str:
    if shown is None:
        return "not timed: wider or narrower searches over the same index decided"
    return (
        f"not timed: on {shown.queries} queries it keeps {shown.kept:.1%}; the narrowest search "
        f"that surely keeps {keep:.1%} was timed"
    )
