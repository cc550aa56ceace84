"""Speed of two results measured at different times: by the ratio to an anchor they share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.analysis.regression.effects import Estimate
from bench.analysis.regression.findings import Finding
from bench.analysis.regression.limits import PRIMARY, Limit
from bench.analysis.regression.pairs import Tested, decided
from bench.analysis.regression.trials import Matched
from bench.results.spread import SPEEDUP

_QUANTILE = 1.96
_KNOWN = 1e9
"""Degrees of freedom: the spread behind an interval is pooled over all indexes of a run."""


def anchored(
    trials: Sequence[Matched], limits: Mapping[str, Limit]
) -> tuple[list[Finding], list[str]]:
    """Return the findings of the speed-up over exact search, and what they cannot see.

    The error of a configuration follows from the 95 % intervals of both runs. A backend's is that
    of a mean over its indexes: configurations over one index share its processes.
    """
    timed = [trial for trial in trials if not math.isnan(_number(trial.rows[0][0], SPEEDUP))]
    timed = [trial for trial in timed if not math.isnan(_number(trial.rows[0][1], SPEEDUP))]
    if not timed or PRIMARY not in limits:
        return [], []
    limit = replace(limits[PRIMARY], column=SPEEDUP)
    estimates = {trial: _estimate(trial) for trial in timed}
    tested = [Tested(limit, trial.name, (trial,), False, each) for trial, each in estimates.items()]
    by_backend: dict[str, list[Matched]] = {}
    for trial in timed:
        by_backend.setdefault(trial.backend, []).append(trial)
    tested += [
        Tested(limit, backend, tuple(members), True, _mean(members, estimates))
        for backend, members in by_backend.items()
    ]
    findings = [replace(each, more_pairs=None) for each in decided(tested)]
    exact = [_exact_times(trial) for trial in timed if _is_anchor(trial)]
    seen = f" (it took {exact[0]})" if exact else ""
    return findings, [
        "the two were measured at different times, so speed is compared by the ratio to exact "
        "search at the full dimension, measured beside each configuration: what slows exact search"
        f"{seen} or everything alike cannot be seen, nor can tails, build times and memory; "
        "compare --run measures both together"
    ]


def _estimate(trial: Matched) -> Estimate:
    base, head = trial.rows[0]
    widths = [
        math.log(row[f"{SPEEDUP}_high"] / row[f"{SPEEDUP}_low"]) / 2 / _QUANTILE
        for row in (base, head)
    ]
    return Estimate(math.log(base[SPEEDUP] / head[SPEEDUP]), math.hypot(*widths), _KNOWN, 1)


def _mean(members: Sequence[Matched], estimates: Mapping[Matched, Estimate]) -> Estimate:
    mean = sum(estimates[trial].mean for trial in members) / len(members)
    largest: dict[object, float] = {}
    for trial in members:
        largest[trial.index] = max(largest.get(trial.index, 0.0), estimates[trial].error)
    error = math.sqrt(sum(each**2 for each in largest.values())) / len(largest)
    return Estimate(mean, error, _KNOWN, 1)


def _is_anchor(trial: Matched) -> bool:
    row = trial.rows[0][0]
    return trial.exact and row["dim"] == row["full_dim"] and not isinstance(row["stages"], str)


def _exact_times(trial: Matched) -> str:
    before, after = (row[PRIMARY] for row in trial.rows[0])
    return f"{before:.3g} ms, then {after:.3g} ms"


def _number(row: Mapping[str, object], column: str) -> float:
    value = row.get(column)
    return float(value) if isinstance(value, int | float) else math.nan
