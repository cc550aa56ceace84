"""The gate: both sides of a change measured together, and whether the change lost anything."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from bench.analysis.regression import Comparison, compare_pairs
from bench.analysis.regression.limits import Limit
from bench.analysis.regression.queries import with_queries
from bench.analysis.selection import where
from bench.errors import UsageError
from bench.gate.duet import PAIRS, QUICK_PAIRS, Progress, measure_pairs, measured_pairs
from bench.gate.itself import suite_figures
from bench.gate.sides import BASE, HEAD, Wanted, prepared
from bench.results.store import load
from bench.study.schema import Study

__all__ = ["PAIRS", "QUICK_PAIRS", "Progress", "Wanted", "compare_folder", "measure_and_compare"]


def measure_and_compare(
    study: Study,
    base: Wanted,
    head: Wanted,
    out: Path,
    *,
    pairs: int = PAIRS,
    seconds: float = math.inf,
    limits: Mapping[str, Limit] | None = None,
    condition: str | None = None,
    requirements_file: str | None = None,
    quick: bool = False,
    anew: bool = False,
    told: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """Measure `pairs` process pairs of two sides into `out`, and compare them.

    Pairs that `out` holds already are kept; those of other sides are removed if `anew`, or an
    error. After `seconds` no further pair begins. `condition` chooses the trials that are compared,
    as `bench.analysis.selection.where` takes it. `quick` measures one index per backend, with the
    vectors and exact results that the usual cache has. Raises UsageError for a revision or package
    that is not there, and if a side cannot measure.
    """
    deadline = time.monotonic() + seconds
    with prepared(base, head, out, requirements_file) as (one, other):
        measure_pairs(study, one, other, out, pairs, deadline, quick, anew, told)
    return compare_folder(out, limits, condition)


def compare_folder(
    out: Path, limits: Mapping[str, Limit] | None = None, condition: str | None = None
) -> Comparison:
    """Compare the whole process pairs that `out` holds; raises UsageError if there is none."""
    labels, numbers = measured_pairs(out)
    frames = [
        tuple(_load(out / side / str(n), condition) for side in (BASE, HEAD)) for n in numbers
    ]
    if not frames:
        raise UsageError(f"{out} holds no whole process pair: give it more time")
    pairs = [(base, head) for base, head in frames]
    found = compare_pairs(pairs, limits, labels, suite_figures(out, numbers))
    first = str(numbers[0])
    return with_queries(found, pairs[0], (out / BASE / first, out / HEAD / first))


def _load(folder: Path, condition: str | None) -> pd.DataFrame:
    frame = load(folder)
    return frame if condition is None else where(frame, condition)
