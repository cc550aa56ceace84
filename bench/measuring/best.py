"""The cheapest configuration so far that keeps enough quality, while a study is measured."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from bench.reducers import PLAIN
from bench.results.rows import FIDELITY, NDCG, UNCOMPRESSED
from bench.study.plan import CLOSED, Trial, parameters

KEEP = 0.98
"""Share of the full dimension's quality that counts as enough, as in a recommendation's default."""


class Best:
    """Keeps the cheapest of the rows offered: fewest bytes per vector, then fastest.

    A row counts if the lower bound of its own interval is enough. A recommendation asks for more:
    its bounds hold for all configurations at once.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[float, float, str]] = {}
        """By dataset and encoder: bytes per vector, median latency in ms, what it is."""
        self._last: tuple[str, str] | None = None

    def offer(self, row: Mapping[str, Any], trial: Trial) -> None:
        """Take a row of the table of trials into account."""
        self._last = where = row["dataset"], row.get("encoder") or ""
        low = row.get(NDCG.retained_low)
        low = row.get(FIDELITY.low) if low is None else low
        size, latency = row.get("bytes_per_vector"), row.get("latency_ms_p50")
        if row["status"] != "ok" or trial.clients != 1 or trial.arrival != CLOSED:
            return
        if row.get("caution") or low is None or size is None or latency is None:
            return
        cheapest = self._found.get(where, (math.inf, math.inf, ""))
        if low >= KEEP and (size, latency) < cheapest[:2]:
            self._found[where] = (size, latency, _words(trial))

    @property
    def text(self) -> str:
        """The cheapest of the dataset and encoder of the last row; empty if none keeps enough."""
        if self._last not in self._found:
            return ""
        size, latency, words = self._found[self._last]
        return f"cheapest so far that keeps {KEEP:.0%}: {words}, {size:,.0f} B, {latency:.3f} ms"


def _words(trial: Trial) -> str:
    parts = [f"{trial.backend} {trial.dim} d"]
    parts += [trial.reducer] if trial.reducer != PLAIN else []
    parts += [trial.precision] if trial.precision != UNCOMPRESSED else []
    given = parameters(trial.search_params)
    parts += [f"{name}={json.dumps(value)}" for name, value in given.items()]
    parts += ["rescored"] if trial.stages else []
    return " ".join(parts)
