"""The answer: one configuration, how sure it is, why not another, and what was not tried."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bench.advising.decision import Decision, Tested, decide, sequence
from bench.advising.evidence import Evidence, Kept
from bench.advising.search import Search, Value
from bench.advising.wanted import Wanted
from bench.analysis.at_size import Change
from bench.analysis.certainty import keeps_all, queries_text
from bench.analysis.labels import label
from bench.analysis.money import cost
from bench.analysis.recommendation import to_json
from bench.files import whole
from bench.results.rows import quality_of, timed, untimed
from bench.study.plan import canonical, parameters
from bench.study.schema import DISK, VECTORS

ADVICE = "advice.json"
"""The answer, beside the tables that it was made from."""
_RUNNERS_UP = 2
_SHOWN = (
    "latency_ms_p50",
    "latency_ms_p95",
    "speedup_vs_exact",
    "bytes_per_vector",
    "build_seconds",
    "encode_ms_p50",
)


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
    quality: str
    """The measure of quality, in words."""
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the answer as sentences."""
        return list(filter(None, [*self._first(), *self._rest()]))

    def _first(self) -> list[str]:
        base, choice = self.baseline, self.choice
        if choice is None:
            return [f"Nothing measured fits. {self.binding}"]
        times = _ratio(base.latency_ms_p50, choice.latency_ms_p50, "as fast", "as slow")
        less = _ratio(base.bytes_per_vector, choice.bytes_per_vector, "less", "more")
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
            f"{self.documents:,} documents take {_gib(choice.memory_bytes)} of memory; at "
            f"{self.wanted.queries_per_second:g} queries per second it costs "
            f"{choice.per_month:,.2f} per month, and {choice.per_million_queries:.3g} per million "
            f"queries of processor time ({self.prices}).",
            self.binding,
        ]

    def _rest(self) -> list[str]:
        lines = [f"Not {other.configuration}: {other.why}." for other in self.runners_up]
        if self.fell_short:
            other = self.fell_short
            lines.append(f"Cheaper, but not enough: {other.configuration} {other.why}.")
        lines.append(self.guarantee)
        return [*lines, *self.notes, *self.not_tried]

    def to_json(self) -> dict[str, Any]:
        """Return the answer for JSON."""
        return {**asdict(self), "sentences": self.lines()}

    def save(self, folder: Path) -> Path:
        """Write it into a results folder."""
        path = folder / ADVICE
        with whole(path) as partial:
            text = json.dumps(_finite(self.to_json()), indent=1, default=str, allow_nan=False)
            partial.write_text(text + "\n", encoding="utf-8")
        return path


def answer(search: Search) -> Advice:
    """Decide by what a search measured; see `bench.advising.decision` for the guarantee."""
    return _Answer(search).advice()


class _Answer:
    def __init__(self, search: Search) -> None:
        self.search = search
        self.evidence: Evidence = search.evidence
        self.wanted: Wanted = search.wanted
        self.value: Value = search.value
        self.rows = search.rows()
        pairs = zip(self.rows["trial_id"], self.rows["value"], strict=True)
        tests = sequence(
            [(trial, value, self.evidence.searched(trial)) for trial, value in pairs], search.need
        )
        self.decision: Decision = decide(tests, self.evidence.confirmed, search.need)
        self.by_id = self.rows.set_index("trial_id", drop=False)

    @property
    def is_beyond(self) -> bool:
        """Whether the size wanted is not the one measured."""
        return self.search.documents != len(self.search.embeddings.corpus)

    def advice(self) -> Advice:
        search, frame = self.search, self.search.frame
        chosen = self.decision.chosen
        full = frame[keeps_all(frame) & frame["latency_ms_p50"].notna()]
        if full.empty:
            full = frame[keeps_all(frame)]
        base = self.search.valued(full).iloc[-1]
        return Advice(
            dataset=search.dataset,
            encoder=search.encoder or "",
            wanted=self.wanted,
            documents=search.documents,
            choice=self._choice(self.by_id.loc[chosen.trial_id], chosen) if chosen else None,
            baseline=self._choice(base, None),
            runners_up=tuple(self._runners_up()),
            fell_short=self._fell_short(),
            binding=self._binding(),
            not_tried=tuple(self._not_tried()),
            guarantee=self._guarantee(),
            growth=self._growth(chosen),
            prices=f"{self.value.prices.name}, {self.value.prices.date}",
            quality=quality_of(frame).label,
            notes=tuple(dict.fromkeys("\n".join(frame["notes"].dropna().unique()).splitlines())),
        )

    def _choice(self, row: pd.Series, tested: Tested | None) -> Choice:
        trial_id = str(row["trial_id"])
        size, disk = float(row["bytes_per_vector"]), self.search.disk_of(row["stages"])
        ms = float(row["latency_ms_p50"])
        money = cost(
            self.value.prices,
            self.search.documents,
            size,
            disk,
            ms,
            self.wanted.queries_per_second,
        )
        kept = tested.confirmed if tested else self.evidence.confirmed(trial_id)
        expected, beyond = None, ""
        if self.is_beyond:
            change = self.search.change(trial_id)
            expected, beyond = _expected(kept, change) if kept else None, change.caution
        return Choice(
            trial_id=trial_id,
            configuration=label(row),
            kept=kept,
            expected=expected,
            beyond=beyond,
            searched=self.evidence.searched(trial_id),
            value=self.value.of(size, disk, ms),
            latency_ms_p50=ms,
            latency_ms_p95=float(row["latency_ms_p95"]),
            bytes_per_vector=size,
            disk_bytes_per_vector=disk,
            memory_bytes=size * self.search.documents,
            per_month=money.monthly,
            per_million_queries=money.per_million_queries,
            trial={name: value for name, value in to_json(row).items() if value is not None},
        )

    # ---------------------------------------------------------------------------- the others

    def _runners_up(self) -> list[Other]:
        """Return the next best that keep enough and share neither index nor vectors."""
        chosen = self.decision.chosen
        if chosen is None:
            return []
        own = self.by_id.loc[chosen.trial_id]
        seen = {self._kind(own)}
        found: list[Other] = []
        failed = self.decision.failed
        if failed:
            row = self.by_id.loc[failed.trial_id]
            seen.add(self._kind(row))
            why = (
                f"on the queries that it was found with it {failed.searched}, but on the others it "
                f"{failed.confirmed}{self._power(failed.trial_id)}"
            )
            found.append(Other(failed.trial_id, label(row), why))
        for _, row in self.rows.sort_values("value").iterrows():
            trial_id = row["trial_id"]
            enough = self.evidence.searched(trial_id).surely() >= self.search.need(trial_id)
            if len(found) == _RUNNERS_UP or not enough:
                continue
            if row["value"] < chosen.value or self._kind(row) in seen:
                continue
            seen.add(self._kind(row))
            found.append(Other(trial_id, label(row), self._why(row, own)))
        return found

    @staticmethod
    def _kind(row: pd.Series) -> tuple[Any, ...]:
        return row["backend"], row["reducer"], row["precision"], bool(row["stages"])

    def _why(self, row: pd.Series, own: pd.Series) -> str:
        size = _ratio(row["bytes_per_vector"], own["bytes_per_vector"], "the bytes", "")
        speed = own["latency_ms_p50"] / row["latency_ms_p50"]
        text = f"{size} ({row['bytes_per_vector']:,.0f})"
        return f"{text} and {_count(speed)} times as fast ({row['latency_ms_p50']:.3g} ms)"

    def _fell_short(self) -> Other | None:
        """Return the best in quality of the cheaper ones, timed or not, that keep too little."""
        chosen = self.decision.chosen
        limit = chosen.value if chosen else float("inf")
        rows = pd.concat([timed(self.search.frame), self._from_disk(untimed(self.search.frame))])
        best: tuple[float, pd.Series, Kept] | None = None
        passed = {test.trial_id for test in self.decision.tested}
        for _, row in rows.iterrows():
            trial_id = row["trial_id"]
            shown = self.evidence.searched(trial_id)
            if trial_id in passed or shown.surely() >= self.search.need(trial_id):
                continue
            disk = self.search.disk_of(row["stages"])
            ms = row["latency_ms_p50"]
            # Without a time, only the size can be compared: that of an index is never less.
            value = self.value.of(row["bytes_per_vector"], disk, ms)
            cheaper = value < limit
            if ms != ms:
                own = self.by_id.loc[chosen.trial_id]["bytes_per_vector"] if chosen else limit
                cheaper = row["bytes_per_vector"] < own
            if cheaper and (best is None or shown.share > best[0]):
                best = shown.share, row, shown
        if best is None:
            return None
        _, row, shown = best
        trial_id = str(row["trial_id"])
        why = f"({row['bytes_per_vector']:,.0f} bytes) {shown}{self._power(trial_id)}"
        return Other(trial_id, label(row).replace("exact ", "exhaustive search at "), why)

    def _from_disk(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return untimed rows, whose rescore finds the same from disk, at that smaller size."""
        held = rows["stages"].fillna("") != ""
        stages = [canonical({**parameters(text), VECTORS: DISK}) for text in rows["stages"][held]]
        rows = rows.copy()
        rows.loc[held, "stages"] = stages
        rows.loc[held, "bytes_per_vector"] -= 4.0 * self.search.full_dim
        return rows

    def _power(self, trial_id: str) -> str:
        needed = self.evidence.needed(trial_id, self.search.need(trial_id))
        return f"; {queries_text(needed)} queries would probably show enough" if needed else ""

    # ------------------------------------------------------------------------------- the frame

    def _binding(self) -> str:
        if self.decision.chosen is None:
            return self._nothing()
        chosen = self.by_id.loc[self.decision.chosen.trial_id]
        parts = []
        if (limit := self.wanted.max_p95_ms) is not None:
            parts.append(f"p95 is {chosen['latency_ms_p95'] / limit:.0%} of the limit")
        if (limit := self.wanted.max_memory) is not None:
            used = chosen["bytes_per_vector"] * self.search.documents / limit
            parts.append(f"memory is {used:.0%} of the limit")
        room = self.decision.chosen.confirmed
        if room and room.low < 1:
            parts.append(
                f"the lower bound of its quality is {room.low - self.wanted.keep:.1%} above the "
                f"{self.wanted.keep:.1%} asked for"
            )
        return f"{'; '.join(parts).capitalize()}." if parts else ""

    def _nothing(self) -> str:
        """Say which limits cannot be kept together, and by how much they are missed."""
        every = self.search.valued(timed(self.search.frame))
        enough = every[
            [
                self.evidence.searched(trial).surely() >= self.search.need(trial)
                for trial in every["trial_id"]
            ]
        ]
        if enough.empty:
            return "No configuration is certain to keep enough."
        texts = []
        if (limit := self.wanted.max_p95_ms) is not None:
            best = enough.loc[enough["latency_ms_p95"].idxmin()]
            over = best["latency_ms_p95"] / limit - 1
            if over > 0:
                texts.append(
                    f"the fastest that keeps enough, {label(best)}, has a p95 of "
                    f"{best['latency_ms_p95']:.3g} ms, {over:.0%} above the limit of {limit:g} ms"
                )
        if (limit := self.wanted.max_memory) is not None:
            best = enough.loc[enough["bytes_per_vector"].idxmin()]
            held = best["bytes_per_vector"] * self.search.documents
            if held > limit:
                texts.append(
                    f"the smallest that keeps enough, {label(best)}, takes {_gib(held)} for "
                    f"{self.search.documents:,} documents, {held / limit - 1:.0%} above the limit "
                    f"of {_gib(limit)}"
                )
        if not texts:
            texts.append("each limit can be kept, but no configuration measured keeps them all")
        return f"{'; '.join(texts)}.".capitalize()

    def _growth(self, chosen: Tested | None) -> str:
        if chosen is None or not self.is_beyond:
            return ""
        backend = str(self.by_id.loc[chosen.trial_id]["backend"])
        grown = self.search.grown[backend]
        n = len(self.search.embeddings.corpus)
        text = f"Latencies at {self.search.documents:,} documents are not measured: those of "
        text += f"{backend} at {n:,} grow with n to the power of {grown.power:.2f}, "
        if not grown.is_measured:
            return text + "which is assumed."
        sizes = " and ".join(f"{size:,}" for size in (grown.sizes[0], grown.sizes[-1]))
        return text + (
            f"fitted between {sizes} documents, where the largest is off by "
            f"{math.expm1(grown.error):.0%}."
        )

    def _guarantee(self) -> str:
        tests, first = self.decision.tested, self.evidence
        done = [test for test in tests if test.confirmed is not None]
        part = f"{first.search.size:,} queries"
        other = f"{first.confirm.size:,} others"
        if first.search.units != first.search.size:
            part += f" in {first.search.units:,} groups"
            other += f" in {first.confirm.units:,}"
        return (
            f"Found among {len(self.search.frame):,} rows by {part}, confirmed by {other} in "
            f"{len(done)} {'test' if len(done) == 1 else 'tests'}. In at most 2.5 % of such "
            f"samples of queries does this recommend one that truly keeps less than "
            f"{self.wanted.keep:.1%}."
        )

    def _not_tried(self) -> list[str]:
        from bench.backends import LIBRARY, backends

        lines = [self.search.ended] if self.search.ended else []
        others = [
            name
            for name, backend in backends().items()
            if name not in self.search.names and backend.kind == LIBRARY and backend.available()
        ]
        if others:
            lines.append(
                f"Not tried: {', '.join(others)} (--backends all), databases and servers "
                "(--backends NAME)."
            )
        return lines


def _expected(kept: Kept, change: Change) -> Kept:
    """Return the share kept at another size; the errors of both parts add up in squares."""
    share = kept.share * change.factor
    low, high = (
        share
        * (
            1
            + sign
            * math.hypot(
                getattr(kept, end) / kept.share - 1, getattr(change, end) / change.factor - 1
            )
        )
        if share > 0
        else share
        for sign, end in ((-1, "low"), (1, "high"))
    )
    return Kept(share, max(0.0, low), high)


def _ratio(first: float, second: float, above: str, below: str) -> str:
    """Return how many times as large one figure is, in words."""
    ratio = first / second
    if not below:
        return f"{_count(ratio)} times {above}"
    word, ratio = (above, ratio) if ratio >= 1 else (below, 1 / ratio)
    return f"{_count(ratio)} times {word}"


def _count(ratio: float) -> str:
    return f"{ratio:.2g}" if ratio < 99.5 else f"{ratio:,.0f}"


def _gib(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < 1024 or unit == "GiB":
            break
        count /= 1024
    return f"{count:,.3g} {unit}"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and value - value != 0 else value
