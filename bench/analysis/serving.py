"""What a configuration takes, and keeps, at the number of documents that it will serve."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

from bench.analysis.at_size import AtSize
from bench.analysis.labels import label
from bench.analysis.money import Prices, cost, load_prices
from bench.analysis.sizing import (
    BUILD,
    LATENCY,
    MOST_FITTED,
    Growth,
    Growths,
    at_size,
    bytes_text,
    digits,
    outgrown,
    seconds_text,
)
from bench.errors import UsageError

QUERIES_PER_SECOND = 10.0
"""Load that money is for unless another is given."""
NEED, REFUSED, MEMORY = "need", "refused", "memory_of_all"
"""Columns that `Target.rows` adds."""


@dataclass(frozen=True)
class Served:
    """What a configuration will serve, and with how much."""

    documents: float | None = None
    """Number of documents; those measured by default."""
    max_memory: float | None = None
    """Most memory for all of them, bytes."""
    prices: Prices = field(default_factory=load_prices)
    """Price list; the example that ships by default."""
    queries_per_second: float = QUERIES_PER_SECOND
    """Load that the money is for."""

    def __post_init__(self) -> None:
        """Raise UsageError for a value out of range."""
        for name, value in (
            ("documents", self.documents),
            ("max_memory", self.max_memory),
            ("queries_per_second", self.queries_per_second),
        ):
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} is a number above 0, not {value:g}")


@dataclass(frozen=True)
class Sizing:
    """What one configuration takes at a number of documents. NaN is unknown."""

    trial_id: str
    configuration: str
    documents: int
    measured: int
    """Number of documents that the figures come from."""
    times_beyond: float
    """`documents` over `measured`."""
    need: float
    """Share of the quality that it must keep as measured, to keep what is asked for; infinite if
    nothing can be said."""
    kept: float
    """Share of the quality that it is expected to keep."""
    kept_low: float
    kept_high: float
    refused: str
    """Why nothing is said of that share."""
    caution: str
    """What it rests on; empty at the size measured, and of the full dimension."""
    memory_bytes: float
    """Memory of all documents."""
    disk_bytes: float
    build_seconds: float
    latency_ms_p50: float
    latency_ms_p95: float
    latency_growth: Growth
    build_growth: Growth
    queries_per_second: float
    per_month: float
    """Memory, disk and processor time, in `currency`."""
    per_million_queries: float
    """Processor time alone."""
    currency: str
    prices: str
    """Name and date of the price list."""

    @property
    def is_beyond(self) -> bool:
        """Whether the figures are of another number of documents than measured."""
        return self.documents != self.measured

    def lines(self) -> list[str]:
        """Return it as sentences."""
        lines = [self._takes()]
        if self.is_beyond:
            lines += [self._growth(), self._keeps()]
        return [line for line in lines if line]

    def _takes(self) -> str:
        held = "an unknown amount" if math.isnan(self.memory_bytes) else ""
        held = f"{held or bytes_text(self.memory_bytes)} of memory"
        if self.disk_bytes:
            held += f", {bytes_text(self.disk_bytes)} of disk"
        money = f"{self.currency}{self.per_month:,.2f} per month"
        return (
            f"{self.documents:,} documents{self._beyond()} take {held} and "
            f"{seconds_text(self.build_seconds)} to build. At {self.queries_per_second:g} queries "
            f"per second that costs {money}, and {self.currency}{self.per_million_queries:.3g} of "
            f"processor time per million queries ({self.prices})."
        )

    def _beyond(self) -> str:
        if not self.is_beyond:
            return ""
        if self.times_beyond < 1:
            return f", fewer than the {self.measured:,} measured,"
        return f", {digits(self.times_beyond)} times the {self.measured:,} measured,"

    def _growth(self) -> str:
        """Say by which powers the times were carried over, and what these rest on."""
        latency, build = self.latency_growth, self.build_growth
        if latency.sizes == build.sizes and len(latency.sizes) > MOST_FITTED:
            return (
                f"Times are carried over from {self.measured:,} documents: latency grows with n to "
                f"the power of {latency.power:.2f} and the build to that of {build.power:.2f}, "
                f"fitted {latency.span}, where the largest is {latency.missed} and {build.missed} "
                "off what the others foretell."
            )
        return (
            f"Times are carried over from {self.measured:,} documents: latency grows with n to the "
            f"power of {latency.power:.2f}, {latency.basis}; the build to that of "
            f"{build.power:.2f}, {build.basis}."
        )

    def _keeps(self) -> str:
        if self.refused:
            return f"Nothing is said of what it keeps there: {self.refused}."
        if self.kept_low == self.kept_high == 1:
            return ""
        caution = f": {self.caution}" if self.caution else "."
        return (
            f"There expect that it keeps {self.kept:.1%} [{self.kept_low:.1%}, "
            f"{self.kept_high:.1%}]{caution}"
        )

    def record(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "sentences": self.lines()}


class Target:
    """One dataset and encoder at the number of documents that it will serve."""

    def __init__(
        self, served: Served, frame: pd.DataFrame, queries: pd.DataFrame | None, grown: Growths
    ) -> None:
        """`frame` holds its trials, `queries` their per-query rows.

        Raises UsageError without `queries` at another number of documents than measured.
        """
        self.served = served
        self.measured = int(frame["n_corpus"].max())
        self.documents = int(served.documents or self.measured)
        self._grown = grown
        if queries is None and self.is_beyond:
            raise UsageError("another number of documents needs the per-query rows: load_queries")
        self._at_size = None if queries is None else AtSize(frame, queries, self.documents)

    @property
    def is_beyond(self) -> bool:
        """Whether the documents are not as many as measured."""
        return self.documents != self.measured

    def rows(self, rows: pd.DataFrame, retain: float) -> pd.DataFrame:
        """Return timed rows at that size, with the columns `NEED`, `REFUSED` and `MEMORY`.

        `NEED` is the share that must be kept as measured so that `retain` is kept there.
        """
        found = at_size(rows, self.documents, self._grown) if self.is_beyond else rows.copy()
        found[NEED], found[REFUSED] = retain, ""
        if self.is_beyond and self._at_size:
            changes = [self._at_size.change(row) for row in rows.to_dict("records")]
            # A comparison with NaN, the factor of what is refused, is false.
            found[NEED] = [
                retain / min(1.0, change.factor) if change.factor > 0 else math.inf
                for change in changes
            ]
            found[REFUSED] = [change.refused for change in changes]
        found[MEMORY] = found["bytes_per_vector"] * self.documents
        return found

    def sizing(self, row: pd.Series, kept: tuple[float, float, float], need: float) -> Sizing:
        """Return what a timed row, as measured, takes there.

        `kept` is the share that it keeps as measured, with its bounds.
        """
        return sizing(
            row,
            self.documents,
            self._grown,
            self.served.prices,
            self.served.queries_per_second,
            kept=kept,
            need=need,
            at=self._at_size if self.is_beyond else None,
        )


def sizing(
    row: pd.Series | Mapping[Any, Any],
    documents: float,
    grown: Growths,
    prices: Prices,
    queries_per_second: float = QUERIES_PER_SECOND,
    *,
    kept: tuple[float, float, float] = (math.nan, math.nan, math.nan),
    need: float = math.nan,
    at: AtSize | None = None,
) -> Sizing:
    """Return what a timed row takes at another number of documents.

    `kept` is the share of the quality that it keeps as measured, with its bounds; `at` carries it
    over.
    """
    n, backend = float(row["n_corpus"]), str(row["backend"])
    latency, build = grown[LATENCY][backend], grown[BUILD][backend]
    rescored = float(row["rescore_ms_p50"]) if row["rescore_ms_p50"] > 0 else 0.0
    cache = outgrown(pd.DataFrame([dict(row)]), documents)[0]
    p50, p95 = (
        latency.at(cache * max(0.0, row[c] - rescored), n, documents) + min(rescored, row[c])
        for c in ("latency_ms_p50", "latency_ms_p95")
    )
    disk = float(row["disk_bytes"]) / n if row["disk_bytes"] > 0 else 0.0
    money = cost(prices, documents, float(row["bytes_per_vector"]), disk, p50, queries_per_second)
    change = at.change(row) if at else None
    share, low, high = change.applied(*kept) if change else kept
    return Sizing(
        trial_id=str(row["trial_id"]),
        configuration=label(row),
        documents=int(documents),
        measured=int(n),
        times_beyond=documents / n,
        need=float(need),
        kept=share,
        kept_low=low,
        kept_high=high,
        refused=change.refused if change else "",
        caution=change.caution if change else "",
        memory_bytes=float(row["bytes_per_vector"]) * documents,
        disk_bytes=disk * documents,
        build_seconds=build.at(row["build_seconds"], n, documents),
        latency_ms_p50=float(p50),
        latency_ms_p95=float(p95),
        latency_growth=latency,
        build_growth=build,
        queries_per_second=queries_per_second,
        per_month=money.monthly,
        per_million_queries=money.per_million_queries,
        currency=money.currency,
        prices=f"{prices.name}, {prices.date}",
    )
