"""Decide over process pairs: exactly what is deterministic, by tests what is not.

Quality that differs in no pair is the same. An exhaustive search, or a loss that is equal in every
pair, is decided exactly. Else the builds differ by chance, and the losses of the pairs, each with
its documents in another order, are tested. Times are tested by the log ratio of each pair. Tested
are each backend, by the median over its configurations, and each configuration. Regressed is what
is surely worse (Holm's procedure over all tests) and, as measured, by the limit or more. A backend
is the same in a figure if it is surely not worse by the limit. The rest cannot be told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.certainty import holm
from bench.analysis.regression.effects import Estimate, moderated
from bench.analysis.regression.findings import (
    CANNOT_TELL,
    IMPROVED,
    REGRESSED,
    SAME,
    Answer,
    Finding,
)
from bench.analysis.regression.limits import (
    OTHER_VERSIONS_TOLERANCE,
    PRIMARY,
    RANDOM_BUILD_MARGIN,
    SAME_VERSIONS_TOLERANCE,
    Limit,
)
from bench.analysis.regression.trials import Matched

ALPHA = 0.02
"""Rate of runs with a false alarm, if all is at most as bad as chance makes it."""
SURE = 0.05
"""Rate of runs that call the same what is worse by the limit."""
TIE_AWARE = ("ann_recall_at_10", "fidelity_at_10")
"""Figures that another order of documents equally near does not change."""


@dataclass(frozen=True)
class Tested:
    """One hypothesis: the effects are those of one figure, positive if worse."""

    limit: Limit
    subject: str
    members: tuple[Matched, ...]
    pooled: bool
    """Whether the subject is a backend, which decides whether a figure is the same."""
    estimate: Estimate


def decide(
    trials: Sequence[Matched], limits: Mapping[str, Limit], rounding: float = 0.0
) -> list[Finding]:
    """Return the findings of every figure with a limit, over all matched configurations.

    A difference of quality up to `rounding` is none.
    """
    found: list[Finding] = []
    tested: list[Tested] = []
    for limit in limits.values():
        left = [t for t in trials if _present(t, limit.column)]
        found += [_lost(t, limit) for t in trials if _is_lost(t, limit.column)]
        if limit.kind == "fixed":
            found += [_fixed(trial, limit) for trial in left]
            continue
        if limit.kind == "quality":
            exactly = {trial: _exactly(trial, limit, rounding) for trial in left}
            found += [finding for finding in exactly.values() if finding]
            left = [trial for trial, finding in exactly.items() if not finding]
        alone, more = _hypotheses(left, limit)
        tested += more
        found += [_one_pair(trial, limit) for trial in alone]
    return found + decided(tested)


def _present(trial: Matched, column: str) -> bool:
    return all(_is_number(row.get(column)) for both in trial.rows for row in both)


def _is_lost(trial: Matched, column: str) -> bool:
    return any(_is_number(a.get(column)) and not _is_number(b.get(column)) for a, b in trial.rows)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not math.isnan(float(value))


def _values(trial: Matched, column: str) -> np.ndarray:
    """Return (pairs, 2) float64: base and head."""
    return np.array([[row[column] for row in both] for both in trial.rows], dtype=float)


def _worse(trial: Matched, limit: Limit) -> np.ndarray:
    """Return how much worse the head is in each pair: a difference of quality, else a log ratio."""
    base, head = _values(trial, limit.column).T
    if limit.kind == "quality":
        return np.asarray(limit.sign * (head - base))
    # A change, or a figure, that is smaller than the least one counts as if it were equal to it.
    near = np.abs(head - base) < limit.least
    least = max(limit.least, 1e-12)
    ratio = np.log(np.maximum(head, least) / np.maximum(base, least))
    return np.where(near, 0.0, limit.sign * ratio)


def _lost(trial: Matched, limit: Limit) -> Finding:
    base = float(np.nanmedian([row.get(limit.column) or math.nan for row, _ in trial.rows]))
    nan = math.nan
    return Finding(
        trial.name, limit.column, REGRESSED, base, nan, nan, nan, nan, limit.margin,
        detail="the head has no such figure", backend=trial.backend,
    )  # fmt: skip


def _fixed(trial: Matched, limit: Limit) -> Finding:
    base, head = np.median(_values(trial, limit.column), axis=0).tolist()
    change = head / base - 1 if base else (math.inf if head else 0.0)
    answer: Answer = SAME
    if abs(change) > limit.margin:
        answer = REGRESSED if limit.sign * change > 0 else IMPROVED
    return Finding(
        trial.name, limit.column, answer, base, head, change, math.nan, math.nan, limit.margin,
        backend=trial.backend,
    )  # fmt: skip


def _exactly(trial: Matched, limit: Limit, rounding: float) -> Finding | None:
    """Return the answer if chance has no part in it, else None."""
    worse = _worse(trial, limit)
    ties = trial.exact and not trial.same_versions and limit.column not in TIE_AWARE
    tolerance = max(limit.margin + SAME_VERSIONS_TOLERANCE, rounding)
    tolerance = max(tolerance, OTHER_VERSIONS_TOLERANCE if ties else 0.0)
    equal = len(worse) > 1 and np.ptp(worse) < SAME_VERSIONS_TOLERANCE
    bad, good = worse.max() > tolerance, -worse.min() > tolerance
    # Where builds repeat, those drawn anew would change every pair, for better or worse. What
    # leaves a pair as it was, and none better, is a loss of its own.
    partial = np.abs(worse).min() == 0 and not (bad and good)
    own = trial.repeats and trial.same_versions and (partial or len(worse) == 1)
    if (bad or good) and not (trial.exact or equal or own):
        return None
    answer: Answer = REGRESSED if bad else IMPROVED if good else SAME
    shown = worse.argmax() if bad else worse.argmin() if good else np.abs(worse).argmax()
    base, head = _values(trial, limit.column)[shown].tolist()
    return Finding(
        trial.name, limit.column, answer, base, head, head - base,
        math.nan, math.nan, limit.margin, backend=trial.backend,
    )  # fmt: skip


def _hypotheses(trials: Sequence[Matched], limit: Limit) -> tuple[list[Matched], list[Tested]]:
    """Return the configurations of too few pairs to be tested, and the tests of the others."""
    if not trials:
        return [], []
    most = max(len(trial.rows) for trial in trials)
    effects = np.full((len(trials), most), math.nan)
    for row, trial in zip(effects, trials, strict=True):
        row[: len(trial.rows)] = _worse(trial, limit)
    groups: dict[str, list[int]] = {}
    for place, trial in enumerate(trials):
        groups.setdefault(trial.backend, []).append(place)
    middles = np.array([_middle(effects[places]) for places in groups.values()])
    single = {backend for backend, places in groups.items() if len(places) == 1}
    estimates = moderated(effects)
    alone = [trial for trial, each in zip(trials, estimates, strict=True) if each is None]
    tested = [
        Tested(limit, trial.name, (trial,), False, estimate)
        for trial, estimate in zip(trials, estimates, strict=True)
        if estimate is not None and trial.backend not in single
    ]
    tested += [
        Tested(
            limit,
            trials[places[0]].name if backend in single else backend,
            tuple(trials[i] for i in places),
            True,
            estimate,
        )
        for (backend, places), estimate in zip(groups.items(), moderated(middles), strict=True)
        if estimate is not None
    ]
    return alone, tested


def _middle(effects: np.ndarray) -> np.ndarray:
    """Return the median over configurations in each pair that measured any, (pairs,) float64.

    A moment's load slows one index of several: a mean would follow it.
    """
    measured = ~np.isnan(effects).all(axis=0)
    found = np.full(effects.shape[1], math.nan)
    found[measured] = np.nanmedian(effects[:, measured], axis=0)
    return found


def _one_pair(trial: Matched, limit: Limit) -> Finding:
    base, head = np.median(_values(trial, limit.column), axis=0).tolist()
    change = float(limit.sign * _worse(trial, limit)[0])
    if limit.kind != "quality":
        change = math.expm1(change)
    nan = math.nan
    return Finding(
        trial.name, limit.column, CANNOT_TELL, base, head, change, nan, nan, limit.margin,
        more_pairs=1, detail="one pair shows nothing of chance", backend=trial.backend,
    )  # fmt: skip


def decided(tested: Sequence[Tested]) -> list[Finding]:
    """Answer every test. The pooled times of single queries have half of the error rate."""
    found: list[Finding] = []
    first = [t for t in tested if t.pooled and t.limit.column == PRIMARY]
    for family in (first, [t for t in tested if t not in first]):
        alpha = ALPHA / 2 if first else ALPHA
        worse = holm(np.array([t.estimate.p_above(0.0) for t in family]), alpha)
        better = holm(np.array([t.estimate.p_below(0.0) for t in family]), alpha)
        pooled = [t for t in family if t.pooled]
        level = SURE / 2 if first else SURE
        fine = dict(
            zip(
                map(id, pooled),
                holm(np.array([t.estimate.p_below(_threshold(t.limit)) for t in pooled]), level),
                strict=True,
            )
        )
        for test, is_worse, is_better in zip(family, worse, better, strict=True):
            bad, good = _enough(test, 1) and is_worse, _enough(test, -1) and is_better
            if bad or good:
                found.append(_finding(test, REGRESSED if bad else IMPROVED))
            elif test.pooled:
                sure = fine[id(test)]
                more = None
                if not sure:
                    # The level of the first test that Holm's procedure does not reject.
                    strict = level / max(1, len(pooled) - sum(fine.values()))
                    more = test.estimate.more_pairs(_threshold(test.limit), strict)
                found.append(_finding(test, SAME if sure else CANNOT_TELL, more))
    return found


def _threshold(limit: Limit) -> float:
    """Return the effect that is the limit."""
    if limit.kind == "quality":
        return max(limit.margin, RANDOM_BUILD_MARGIN)
    return math.log1p(limit.margin)


def _enough(test: Tested, sign: int) -> bool:
    """Return whether the effect is, as measured, of the limit's size or more."""
    least = _threshold(test.limit)
    if test.limit.kind == "quality" and all(trial.same_versions for trial in test.members):
        least = test.limit.margin + SAME_VERSIONS_TOLERANCE
    return sign * test.estimate.mean >= least


def _finding(test: Tested, answer: Answer, more: int | None = None) -> Finding:
    limit = test.limit
    values = np.array([np.median(_values(t, limit.column), axis=0) for t in test.members])
    base, head = np.median(values, axis=0).tolist()
    ends = (limit.sign * end for end in (test.estimate.mean, *test.estimate.interval()))
    mean, *bounds = ends if limit.kind == "quality" else map(math.expm1, ends)
    return Finding(
        test.subject,
        limit.column,
        answer,
        base,
        head,
        mean,
        min(bounds),
        max(bounds),
        _threshold(limit) if limit.kind == "quality" else limit.margin,
        len(test.members),
        more,
        backend="" if test.pooled else test.members[0].backend,
    )
