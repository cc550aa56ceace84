"""What a configuration costs per month: memory, disk and processor time at a price list."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import UsageError

_GIB = 2**30
_HOURS = 730.0
"""Hours per month."""
_SHIPPED = resources.files("bench.analysis") / "prices.toml"


class Prices(BaseModel):
    """A price list, in one currency."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What the prices are of."""
    date: str
    """When they were looked up, ISO 8601."""
    currency: str = "$"
    memory_gib_month: float = Field(ge=0)
    """One GiB of memory for a month."""
    disk_gib_month: float = Field(ge=0)
    """One GiB of solid-state disk for a month."""
    vcpu_hour: float = Field(ge=0)
    """One virtual processor for an hour."""
    utilisation: float = Field(default=0.5, gt=0, le=1)
    """Share of a processor's time that is planned for: the rest is for peaks."""


@dataclass(frozen=True)
class Cost:
    """Money per month, and per million queries."""

    memory: float
    disk: float
    processors: float
    per_million_queries: float
    """Processor time alone."""
    currency: str

    @property
    def monthly(self) -> float:
        """All of it, per month."""
        return self.memory + self.disk + self.processors


def load_prices(path: str | Path | None = None) -> Prices:
    """Return a price list from a TOML file; the example that ships by default.

    Raises UsageError for a file that cannot be read or lacks a price.
    """
    source = Path(path) if path else Path(str(_SHIPPED))
    try:
        return Prices.model_validate(tomllib.loads(source.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(f"{source}: {where}: {first['msg'].lower()}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{source} is not TOML: {error}") from error


def cost(
    prices: Prices,
    documents: float,
    bytes_per_vector: float,
    disk_bytes_per_vector: float,
    ms: float,
    queries_per_second: float,
) -> Cost:
    """Return what one copy of an index costs.

    `ms` is the processor time of a query. A part of a processor is paid in part: other work can
    use the rest. Nothing is added for copies, traffic, or whatever else runs on the machine.
    """
    if math.isnan(bytes_per_vector):  # a server that does not tell its size
        bytes_per_vector = 0.0
    processor_second = prices.vcpu_hour / 3600 / prices.utilisation
    busy = queries_per_second * ms / 1e3
    return Cost(
        memory=documents * bytes_per_vector / _GIB * prices.memory_gib_month,
        disk=documents * disk_bytes_per_vector / _GIB * prices.disk_gib_month,
        processors=busy * processor_second * 3600 * _HOURS,
        per_million_queries=ms / 1e3 * processor_second * 1e6,
        currency=prices.currency,
    )


def cost_per_month(rows: pd.DataFrame, prices: Prices, queries_per_second: float) -> pd.Series:
    """Return what each timed row costs per month with as many documents as it has."""
    disk = (rows["disk_bytes"].fillna(0) / rows["n_corpus"]).astype(float)
    return pd.Series(
        [
            cost(prices, n, size, more, ms, queries_per_second).monthly
            for n, size, more, ms in zip(
                rows["n_corpus"],
                rows["bytes_per_vector"],
                disk,
                rows["latency_ms_p50"],
                strict=True,
            )
        ],
        index=rows.index,
        dtype=float,
    )
