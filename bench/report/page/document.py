"""The data of a page, as a documented JSON document: `bench/report/page.schema.json`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from bench.analysis.money import Prices

VERSION = 1


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Texts(_Part):
    """A column of texts, each kept once."""

    values: list[str]
    """The different texts."""
    codes: list[int]
    """Row → place in `values`."""


class Axis(_Part):
    """A column of numbers that a chart or a table can show."""

    name: str
    """Its name in `Runs.numbers`, or ``memory_bytes_of_all`` and ``per_month``, which the page
    computes from the number of documents, the prices and the load."""
    label: str
    better: Literal["higher", "lower"] | None = None
    log: bool = False
    """Whether its axis is logarithmic."""


class Runs(_Part):
    """One row per configuration that was measured, column by column."""

    total: int
    """Rows of the results; above the number of rows here, dominated ones are left out."""
    texts: dict[str, Texts]
    """trial_id, label, dataset, encoder, backend, reducer, precision, stages, caution, settings."""
    numbers: dict[str, list[int | float | None]]
    """The columns of ``trials.parquet`` of these names. Besides: ``group`` (place in
    `Result.groups`), ``alike`` (place in `Group.factors`), ``timed`` (1 or 0), ``quality`` with its
    bounds, ``kept`` with ``kept_low`` and ``kept_high``: the share of the full dimension's quality,
    with bounds that hold for all timed rows of the group at once, and ``disk_bytes_per_vector``."""
    axes: list[Axis]


class Growth(_Part):
    """How the times of a backend grow with the number of documents n."""

    latency: float
    """Power of n."""
    build: float
    """Power of n."""
    latency_sizes: list[int]
    """Sizes that the power was fitted to; empty if it is assumed."""
    scans: bool
    """Whether it reads every vector, so that a cache which it outgrows slows it down."""


class Chart(_Part):
    """A chart with the data behind it."""

    name: str
    title: str
    caption: str
    headings: dict[str, str]
    """Column → heading, for the table behind the chart."""
    rows: list[dict[str, Any]]
    spec: dict[str, Any]
    """A Vega-Lite specification of the data set ``rows``."""


class LostQuery(_Part):
    """What becomes of one query when the vector gets shorter."""

    query: str
    text: str
    """Empty where it was not kept."""
    rank: int | None
    """Rank of its best relevant document at the full dimension."""
    rank_short: int | None
    """The same at the shorter one."""
    quality: float
    quality_short: float


class Group(_Part):
    """One dataset with one encoder."""

    dataset: str
    encoder: str
    title: str
    size: str
    """Documents, queries and dimensions, in words."""
    n_corpus: int
    full_dim: int
    quality: str
    """Name of the measure."""
    units: str
    """What the intervals resample, in words."""
    among: int
    """Timed rows, for all of which the bounds of `Runs` hold at once."""
    sizes: list[int]
    """Numbers of documents that the reader can choose, the measured one among them."""
    factors: list[list[float | None]]
    """For each class of rows that change alike, and each of `sizes`: the share kept there over the
    share kept as measured, at most 1; null where nothing is said."""
    refused: list[str]
    """For each of `sizes`, why nothing is said of some rows there; empty if something is of all."""
    growth: dict[str, Growth]
    """By backend."""
    lost: dict[int, list[LostQuery]]
    """Dimension → the queries that lose most by truncation to it."""
    charts: list[Chart]


class Result(_Part):
    """One results folder."""

    name: str
    retain: float
    """Share to keep at first."""
    prices: Prices
    queries_per_second: float
    cache_bytes: int
    """Last-level cache that a scan is taken to have."""
    groups: list[Group]
    runs: Runs
    programs: dict[str, str]
    """Trial → code that gives its results without this package, for those that may be chosen."""
    studies: dict[str, str]
    """File name → the study, TOML."""
    provenance: dict[str, str]
    cautions: list[str]
    """What a reader must know before relying on it."""


class Document(_Part):
    """All that a page shows."""

    format: Literal["matryoshka-bench page"] = "matryoshka-bench page"
    version: int = VERSION
    results: list[Result] = Field(min_length=1)
    colours: dict[str, dict[str, str]]
    """``backend``, ``reducer`` and ``precision`` → name → colour, ``#rrggbb``."""
