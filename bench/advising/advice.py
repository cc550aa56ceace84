"""The answer as data and as sentences."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.advising.evidence import Kept
from bench.advising.wanted import Wanted
from bench.analysis.recommendation import finite
from bench.analysis.sizing import bytes_text
from bench.files import whole, writing
from bench.results.store import ADVICE


@dataclass(frozen=True)
class Choice:
    """One configuration with its figures."""

    trial_id: str
    configuration: str
    kept: Kept | None
    """Share of the quality kept, on the queries that confirmed it."""
    searched: Kept
    """The same on the queries that it was found with."""
    expected: Kept | None
    """The same in a corpus of the size wanted; None if that is the size measured."""
    beyond: str
    """What `expected` rests on."""
    value: float
    """What is minimised: see `Wanted.objective`."""
    latency_ms_p50: float
    latency_ms_p95: float
    bytes_per_vector: float
    disk_bytes_per_vector: float
    memory_bytes: float
    """Memory of all documents."""
    per_month: float
    """Memory, disk and processor time, in the currency of the price list."""
    per_million_queries: float
    """Processor time alone."""
    trial: dict[str, Any] = field(repr=False, default_factory=dict)
    """Its row of the trials table."""

    @property
    def size(self) -> str:
        """Its size in words."""
        if self.bytes_per_vector != self.bytes_per_vector:
            return "size unknown (the server does not report it)"
        text = f"{self.bytes_per_vector:,.0f} bytes per vector"
        if self.disk_bytes_per_vector:
            text += f" in memory and {self.disk_bytes_per_vector:,.0f} on disk"
        return text

    @property
    def speed(self) -> str:
        """Its latency in words."""
        return f"p50 {self.latency_ms_p50:.3g} ms, p95 {self.latency_ms_p95:.3g} ms"


@dataclass(frozen=True)
class Other:
    """A configuration that was not chosen, and why."""

    trial_id: str
    configuration: str
    why: str


@dataclass(frozen=True)
class Advice:
    """The answer to what was asked for, on one dataset with one encoder."""

    dataset: str
    encoder: str
    wanted: Wanted
    documents: int
    """Number of documents that the figures of memory and money are for."""
    choice: Choice | None
    """None if nothing measured keeps enough within the limits."""
    baseline: Choice
    """Exact search at the full dimension, which keeps all."""
    runners_up: tuple[Other, ...]
    fell_short: Other | None
    """The best in quality of those that are cheaper than the choice and do not keep enough."""
    binding: str
    """Which limit decides, and by how much."""
    not_tried: tuple[str, ...]
    guarantee: str
    growth: str
    """How the latency was carried over to the size wanted; empty if that was measured."""
    prices: str
    """Name and date of the price list."""
    currency: str
    quality: str
    """The measure of quality, in words."""
    notes: tuple[str, ...] = ()
    code: str = ""
    """Path of the program that deploys it, within the results folder; empty for none."""

    def lines(self) -> list[str]:
        """Return the answer as sentences."""
        return list(filter(None, [*self._first(), *self._rest()]))

    def _first(self) -> list[str]:
        base, choice = self.baseline, self.choice
        if choice is None:
            return [f"Nothing measured fits. {self.binding}"]
        times = speed_as(base.latency_ms_p50, choice.latency_ms_p50)
        less = times_as(base.bytes_per_vector, choice.bytes_per_vector, "less", "more", "as much")
        compared = f"Exact search of float32 at the full dimension: {base.size}, {base.speed}; "
        own = f"this takes {less} memory and is {times}."
        same = choice.trial_id == base.trial_id
        return [
            f"Use {choice.configuration}: {choice.size}, {choice.speed}.",
            f"It {choice.kept} of the {self.quality} of exact search at the full dimension, on the "
            "queries that had no part in the search."
            if choice.kept and not same
            else "It is what all others are compared with.",
            "" if same else compared + own,
            f"Among {self.documents:,} documents expect that it {choice.expected}: {choice.beyond}"
            if choice.expected and choice.beyond
            else "",
            self.growth,
            f"{self.documents:,} documents take {bytes_text(choice.memory_bytes)} of memory; at "
            f"{self.wanted.queries_per_second:g} queries per second it costs "
            f"{self.currency}{choice.per_month:,.2f} per month, and {self.currency}"
            f"{choice.per_million_queries:.3g} per million queries of processor time "
            f"({self.prices}).",
            self.binding,
        ]

    def _rest(self) -> list[str]:
        lines = [f"Not {other.configuration}: {other.why}." for other in self.runners_up]
        if self.fell_short:
            other = self.fell_short
            lines.append(f"Cheaper, but not enough: {other.configuration} {other.why}.")
        lines.append(self.guarantee)
        return [*lines, *(f"{note[:1].upper()}{note[1:]}." for note in self.notes), *self.not_tried]

    def to_json(self) -> dict[str, Any]:
        """Return the answer for JSON."""
        return {**asdict(self), "sentences": self.lines()}

    def save(self, folder: Path) -> Path:
        """Write it into a results folder."""
        path = folder / ADVICE
        with writing(path), whole(path) as partial:
            text = json.dumps(finite(self.to_json()), indent=1, default=str, allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")
        return path


def times_as(first: float, second: float, above: str, below: str, equal: str) -> str:
    """Return how many times as large one figure is as another, in words."""
    ratio = first / second
    word, ratio = (above, ratio) if ratio >= 1 else (below, 1 / ratio)
    count = f"{ratio:.2g}" if ratio < 99.5 else f"{ratio:,.0f}"
    return equal if count == "1" else f"{count} times {word}"


def speed_as(first: float, second: float) -> str:
    """Return how many times as fast the second latency is as the first, in words; both in ms."""
    return times_as(first, second, "as fast", "as slow", "about as fast")
