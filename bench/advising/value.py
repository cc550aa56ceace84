"""What a configuration costs in what is minimised."""

from __future__ import annotations

from dataclasses import dataclass

from bench.advising.wanted import LATENCY, MEMORY, Wanted
from bench.analysis.money import Prices, cost

_SLOWER = 0.041
"""Ten times the latency counts as a tenth more bytes: 10 ** 0.041 = 1.1. And the reverse."""


@dataclass(frozen=True)
class Value:
    """What a configuration costs in what is minimised; less is better."""

    wanted: Wanted
    documents: int
    prices: Prices

    def of(self, size: float, disk: float, ms: float) -> float:
        """Return it from bytes per vector in memory and on disk, and the median latency, ms."""
        if self.wanted.objective == MEMORY:
            return float(size * ms**_SLOWER)
        if self.wanted.objective == LATENCY:
            return float(ms * (size if size == size else 1.0) ** _SLOWER)
        return cost(
            self.prices, self.documents, size, disk, ms, self.wanted.queries_per_second
        ).monthly
