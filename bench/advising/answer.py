"""The answer: one configuration, how sure it is, why not another, and what was not tried."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.advising.advice import Advice, Choice, Other, speed_as
from bench.advising.decision import Contender, Decision, decide, worth_testing
from bench.advising.evidence import ALL, Evidence, Kept
from bench.advising.search import Search
from bench.advising.value import Value
from bench.advising.wanted import Wanted
from bench.analysis.certainty import keeps_all, queries_text
from bench.analysis.labels import label
from bench.analysis.money import cost
from bench.analysis.recommendation import to_json
from bench.analysis.sizing import bytes_text
from bench.results.rows import quality_of, timed, untimed
from bench.study.plan import canonical, parameters
from bench.study.schema import DISK, VECTORS

_RUNNERS_UP = 2
_ALIKE = 0.05
"""Sizes that differ by less are called equal."""


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
        tests = worth_testing(self.rows, self.evidence, search.need)
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
            currency=self.value.prices.currency,
            quality=quality_of(frame).label,
            notes=tuple(dict.fromkeys("\n".join(frame["notes"].dropna().unique()).splitlines())),
        )

    def _choice(self, row: pd.Series, tested: Contender | None) -> Choice:
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
        kept = tested.confirmed if tested else self.evidence.confirmed([trial_id])[0]
        expected, beyond = None, ""
        if self.is_beyond:
            change = self.search.change(trial_id)
            if kept:
                expected = Kept(*change.applied(kept.share, kept.low, kept.high))
            beyond = change.caution
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
        more = row["bytes_per_vector"] / own["bytes_per_vector"]
        size = f"{more:.2g} times the bytes" if abs(more - 1) >= _ALIKE else "as many bytes"
        speed = speed_as(own["latency_ms_p50"], row["latency_ms_p50"])
        text = f"{size} ({row['bytes_per_vector']:,.0f}), {speed} ({row['latency_ms_p50']:.3g} ms)"
        kept = self.evidence.searched(row["trial_id"])
        return f"{text}, and it {kept} in the search"

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
                cheaper = row["bytes_per_vector"] < (1 - _ALIKE) * own
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
        return _sentence(parts) if parts else ""

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
                    f"the smallest that keeps enough, {label(best)}, takes {bytes_text(held)} for "
                    f"{self.search.documents:,} documents, {held / limit - 1:.0%} above the limit "
                    f"of {bytes_text(limit)}"
                )
        if not texts:
            texts.append("each limit can be kept, but no configuration measured keeps them all")
        return _sentence(texts)

    def _growth(self, chosen: Contender | None) -> str:
        if chosen is None or not self.is_beyond:
            return ""
        backend = str(self.by_id.loc[chosen.trial_id]["backend"])
        grown = self.search.grown[backend]
        n = len(self.search.embeddings.corpus)
        return (
            f"Latencies at {self.search.documents:,} documents are not measured: those of "
            f"{backend} at {n:,} grow with n to the power of {grown.power:.2f}, {grown.basis}."
        )

    def _guarantee(self) -> str:
        tests, first = self.decision.tested, self.evidence
        done = [test for test in tests if test.confirmed != ALL]
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


def _sentence(parts: list[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."
