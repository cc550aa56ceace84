"""How much worse each figure may get before the gate calls it a regression."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from bench.errors import UsageError, near_miss
from bench.results.schema import COLUMNS

Kind = Literal["quality", "noisy", "fixed"]


@dataclass(frozen=True)
class Limit:
    """The limit of one figure."""

    column: str
    kind: Kind
    """How it is decided: `quality` exactly or over builds, `noisy` by a test over process pairs,
    `fixed` by its median over the pairs."""
    margin: float
    """Largest change that is no regression: a share, 0.1 for 10 %; of quality a difference."""
    least: float = 0.0
    """A change smaller than this, in the figure's own unit, is none."""

    @property
    def sign(self) -> int:
        """1 if a higher figure is worse, -1 if a lower one is."""
        column = COLUMNS.get(self.column)
        return -1 if column is not None and column.better == "higher" else 1


SAME_VERSIONS_TOLERANCE = 1e-6
"""Quality is deterministic; this is for the order of float summation."""
OTHER_VERSIONS_TOLERANCE = 1e-3
"""Another version, or another processor, sums in another order and so swaps documents that are all
but equally near."""
QUALITY = tuple(column.name for column in COLUMNS.values() if column.gate)
"""Figures of quality that are compared."""
RANDOM_BUILD_MARGIN = 0.002
"""Of quality, where builds depend on chance: a smaller loss is none."""

SUITE = {
    "import_seconds": "time to import the command line, s",
    "exact_pass_seconds": "time of the exact pass, s",  # nosec B105 # a pass, no password
    "study_seconds": "time of the whole study, s",
    "worker_bytes": "memory of the largest worker, bytes",
}
"""Figures of this suite itself, which are compared if the two sides are two versions of it."""
LIMITS = {
    limit.column: limit
    for limit in (
        *(Limit(name, "quality", 0.0) for name in QUALITY),
        Limit("latency_ms_p50", "noisy", 0.10),
        Limit("latency_ms_p95", "noisy", 0.25),
        Limit("batch_qps", "noisy", 0.30),
        Limit("build_seconds", "noisy", 0.30, least=0.05),
        Limit("memory_bytes", "noisy", 0.30, least=4 * 2**20),
        Limit("bytes_per_vector", "fixed", 0.01),
        Limit("disk_bytes", "fixed", 0.01),
        Limit("threads_started", "fixed", 0.0),
        Limit("import_seconds", "noisy", 0.20, least=0.02),
        Limit("exact_pass_seconds", "noisy", 0.20, least=0.05),
        Limit("study_seconds", "noisy", 0.20),
        Limit("worker_bytes", "noisy", 0.20, least=4 * 2**20),
    )
}
"""Figure → its limit by default."""
QUICK_OFF = ("latency_ms_p95", "batch_qps", "build_seconds", "memory_bytes", *SUITE)
"""Figures that few pairs of few indexes seldom tell, so that a quick comparison leaves them out."""
QUICK_MARGIN = 0.3
"""Limit of the median latency in a quick comparison: three pairs of an index tell no less."""
PRIMARY = "latency_ms_p50"
"""The figure whose tests get half of the error rate; all others share the rest."""


def limits(changed: Iterable[str] = (), quick: bool = False) -> dict[str, Limit]:
    """Return the limits, some of them changed: ``latency_ms_p95=15%``, ``ndcg_at_10=0.005``.

    ``FIGURE=off`` leaves a figure out. `quick` does so with those of `QUICK_OFF` that are not
    named, and allows the median latency more. Raises UsageError for an unknown figure or a bad
    value.
    """
    found = {k: v for k, v in LIMITS.items() if not quick or k not in QUICK_OFF}
    if quick:
        found[PRIMARY] = replace(found[PRIMARY], margin=QUICK_MARGIN)
    for text in changed:
        name, equals, value = text.partition("=")
        name = name.strip()
        if name not in LIMITS:
            raise UsageError(f"no limit for '{name}'{near_miss(name, LIMITS)}")
        if value.strip() == "off":
            found.pop(name, None)
            continue
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", value)
        if not equals or not match:
            raise UsageError(f"'{text}' is no limit: write {name}=15%, {name}=0.15, or {name}=off")
        margin = float(match[1]) / (100 if match[2] else 1)
        found[name] = replace(LIMITS[name], margin=margin)
    if not found:
        raise UsageError("every figure is turned off, so there is nothing to compare")
    return found
