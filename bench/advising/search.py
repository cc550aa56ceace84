"""Search for the best configuration: quality first, then only the indexes that could still win.

The exact pass tells what every reducer and dimension finds, and exhaustive search what each
precision and rescore leaves of it. No index over them finds more. So indexes are built in the order
of how good they could still be, and the search ends when none left could beat the best so far, or
when the time is over. Everything is an ordinary trial of an ordinary study.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.advising.adaptors import ready_adaptor, trained_adaptor
from bench.advising.candidates import (
    Candidate,
    Cell,
    Prospects,
    best_first,
    candidates,
    cells,
    exhaustive,
    one_each,
)
from bench.advising.decision import worth_testing
from bench.advising.evidence import Evidence
from bench.advising.growing import measured_growth
from bench.advising.plan import earlier_tables, untimed_tables, write_plan
from bench.advising.rungs import Prospect, between, sure_scan
from bench.advising.value import Value
from bench.advising.wanted import Wanted
from bench.analysis.at_size import AtSize, Change
from bench.analysis.money import Prices
from bench.analysis.sizing import Growth, growth, outgrown, rescoring, slowed
from bench.backends import REFERENCE
from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.errors import UsageError
from bench.measuring.bisection import ROOM
from bench.measuring.executor import Executor
from bench.measuring.runner import run
from bench.reducers import PLAIN
from bench.results.rows import exact_rows, timed
from bench.results.store import load, load_queries
from bench.study.plan import EXACT, parameters
from bench.study.schema import BISECT, DISK, VECTORS, Study

_UNTIMED_SHARE = 0.4
"""Most of the time that quality without an index may take."""
_PASSAGES = "passages:"
"""A stand-in that overrates whitened maps (`python -m tests.experiments.stand_ins`)."""
_TRAINED_SECONDS = 240.0
"""Least time of a search that trains an adaptor, and ranks truncation among random subsets."""
_SUBSETS = 199
_LARGE = 3e8
"""Pairs of queries and documents from which fewer precisions and dimensions are tried."""
_QUERIES = 1000
"""Most queries of the sample."""
_AT_ONCE = 3
"""Indexes measured between one look at the results and the next."""
_APART = 1.5
"""What they promise may differ by so much."""
_READ_SECONDS = 0.01
"""Least time of an index whose rescore reads from disk, s per query; each is asked twice."""
_SPREAD_SHARE = 0.1
"""Part of the time that is kept for further processes, which show how far times differ."""
_GAIN = 0.97
"""An index must promise at most this share of the best value to be worth building."""

Say = Callable[[str], None]


class Search:
    """One search over one dataset and encoder, in one results folder."""

    def __init__(
        self,
        dataset: str,
        encoder: str | None,
        wanted: Wanted,
        out: Path,
        names: Sequence[str],
        seconds: float,
        prices: Prices,
        say: Say,
        executor: Executor,
    ) -> None:
        """`names` are the backends to try; `seconds` the time that all of it may take."""
        self.run = partial(run, progress=False, executor=executor)
        self.begun, self.seconds = time.monotonic(), seconds
        self.dataset, self.encoder, self.wanted, self.out = dataset, encoder, wanted, out
        self.names, self.say = list(names), say
        self.tables = earlier_tables(out, wanted.keep)
        elsewhere = executor.encoding()
        self.embeddings: Embeddings = embed(
            dataset, encoder, max_queries=_QUERIES, progress=False, encode_with=elsewhere
        )
        n, self.full_dim = self.embeddings.corpus.shape
        self.documents = wanted.documents or n
        self.value, self.evidence = Value(wanted, self.documents, prices), Evidence()
        self.ended = ""
        """Why the search ended before nothing was left to try; empty if nothing was."""
        self.frame = pd.DataFrame()
        self._changes: dict[str, Change] = {}
        self.measuring = seconds
        """Seconds that were left when the vectors and the reducers were there."""
        self.grown: Mapping[str, Growth] = growth(None)
        """How the latency of each backend grows with the corpus."""
        self._taken: dict[tuple[str, str], float] = {}
        """Seconds that an index took, by backend and by where a rescore reads."""

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.seconds - (time.monotonic() - self.begun)

    @cached_property
    def is_large(self) -> bool:
        """Whether each exhaustive search takes seconds."""
        return len(self.embeddings.corpus) * len(self.embeddings.query_ids) > _LARGE

    @cached_property
    def dimensions(self) -> list[int]:
        """Dimensions that are searched, up to the full one."""
        full = self.full_dim
        powers = [2**i for i in range(3, 14) if max(8, full // 64) <= 2**i < full]
        between = [] if self.is_large else [p * 3 // 2 for p in powers if p * 3 // 2 < full]
        return sorted({*powers, *between, full})

    @cached_property
    def subsets(self) -> int:
        """Random subsets that truncation is ranked among: none if there is little time for it."""
        try:
            known = int(load(self.out)["subsets"].max())
        except (UsageError, ValueError):  # nothing measured so far
            known = 0
        return known or (_SUBSETS if self.seconds >= _TRAINED_SECONDS else 0)

    @cached_property
    def reducers(self) -> list[str | dict[str, Any]]:
        """Reducers that are compared, as a study names them."""
        found: list[str | dict[str, Any]] = [PLAIN, "pca", {"name": "pca", "whiten": True}]
        if self.dataset.startswith(_PASSAGES):
            found.pop()
        trains = min(self.seconds, 2 * self.left) >= _TRAINED_SECONDS and not self.is_large
        adaptor = ready_adaptor(self.encoder or "", self.full_dim, self.out)
        if not adaptor and trains:
            adaptor = trained_adaptor(self.dataset, self.encoder or "", self.out, self.say)
        return [*found, adaptor] if adaptor else found

    # ------------------------------------------------------------------------------- measuring

    def go(self) -> None:
        """Measure until nothing left could win, or the time is over."""
        n, q = len(self.embeddings.corpus), len(self.embeddings.query_ids)
        self.say(
            f"{n:,} documents, {q:,} queries, {self.full_dim} dimensions; "
            f"{len(self.reducers)} reducers at {len(self.dimensions)} dimensions, exactly"
        )
        self.measuring = self.left
        self._measure([self._full_table()])
        rows = exact_rows(self.frame)
        shares = [self.evidence.searched(trial).share for trial in rows["trial_id"]]
        # The time for what follows may end before the last of them.
        self.reducers = best_first(self.reducers, rows, shares)
        tables = untimed_tables(rows, self.evidence, self.wanted.keep, self.is_large)
        if tables:
            self.say("precisions and rescores, exhaustively and without a clock")
            end = self.begun + self.seconds - (1 - _UNTIMED_SHARE) * self.measuring
            self._measure(tables, end)
        if self.documents != n:
            self.say("how the indexes grow, in parts of the corpus")
            self.grown = measured_growth(self)
        while chosen := self._affordable(self._next() or self._between()):
            self.say(f"{'; '.join(map(str, chosen))} ({self.left:.0f} s left)")
            begun, before = time.monotonic(), len(self.frame)
            self._measure([candidate.table() for candidate in chosen])
            for candidate in chosen:
                taken = (time.monotonic() - begun) / len(chosen)
                self._taken[candidate.backend, candidate.place] = taken
            if len(self.frame) == before:
                break
        if remaining := len(self._worth_building()):
            self.ended = (
                f"The time was over before {remaining} more indexes that could have won were tried."
            )
        timed_tables = [table for table in self.tables if table["backend"] != EXACT]
        self._measure(timed_tables, again=True)

    def study(self, tables: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the study with these tables, as its file holds it."""
        return {
            "name": self.out.name,
            "dataset": self.dataset,
            **({"encoder": self.encoder} if self.encoder else {}),
            "dimensions": self.dimensions,
            "reducers": self.reducers,
            "queries": _QUERIES,
            "subsets": self.subsets,
            "sweep": BISECT,
            "keep": self.wanted.keep,
            "configurations": list(tables),
        }

    def _measure(
        self, tables: list[dict[str, Any]], deadline: float | None = None, again: bool = False
    ) -> None:
        self.tables += [table for table in tables if table not in self.tables]
        end = self.begun + self.seconds if deadline is None else deadline
        write_plan(self.out, self.study(self.tables))
        # Of earlier tables some may be unfinished, and no longer worth their time.
        study = Study.model_validate(self.study(tables))
        self.run(study, self.out, deadline=end, again=again)
        self.frame = load(self.out)
        self.evidence.read(self.frame, load_queries(self.out))

    def _full_table(self) -> dict[str, Any]:
        """Return the table of exact search at the full dimension: the surest of all."""
        return {"backend": REFERENCE, "reducer": PLAIN, "dimensions": self.full_dim}

    # -------------------------------------------------------------------------------- choosing

    def need(self, trial_id: str) -> float:
        """Return the share that a trial must keep here, to keep what is wanted at the size wanted.

        Infinite if the projection to that size is refused.
        """
        if self.documents == len(self.embeddings.corpus):
            return self.wanted.keep
        change = self.change(trial_id)
        return np.inf if change.refused else self.wanted.keep / min(1.0, change.factor)

    def change(self, trial_id: str) -> Change:
        """Return what the size wanted does to the share that a trial keeps."""
        if trial_id not in self._changes:
            row = self.frame.loc[self.frame["trial_id"] == trial_id].iloc[-1]
            self._changes[trial_id] = self._at_size.change(row)
        return self._changes[trial_id]

    @cached_property
    def _at_size(self) -> AtSize:
        return AtSize(self.frame, load_queries(self.out), self.documents)

    def slower(self, backend: str) -> float:
        """Return how many times as long a query takes at the size wanted."""
        if self.documents == len(self.embeddings.corpus) or backend not in self.grown:
            return 1.0
        return self.grown[backend].at(1.0, len(self.embeddings.corpus), self.documents)

    def rows(self) -> pd.DataFrame:
        """Return the timed rows that keep to every limit, with the column `value`."""
        found = timed(self.frame)
        found = self.valued(found[found["caution"].fillna("") == ""])
        return found[self.within_limits(found)]

    def valued(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return timed rows with the column `value`, which is minimised.

        Their latencies are those at the size wanted.
        """
        slower = np.array([self.slower(backend) for backend in rows["backend"]], dtype=float)
        slower *= outgrown(rows, self.documents)
        rescored = rescoring(rows)
        rows = rows.assign(
            **{
                name: slowed(rows[name], rescored, slower)
                for name in ("latency_ms_p50", "latency_ms_p95")
            }
        )
        sizes, stages, times = rows["bytes_per_vector"], rows["stages"], rows["latency_ms_p50"]
        return rows.assign(
            value=[
                self.value.of(size, self.disk_of(each), ms)
                for size, each, ms in zip(sizes, stages, times, strict=True)
            ]
        )

    def within_limits(self, rows: pd.DataFrame) -> pd.Series:
        """Return which rows keep to the limits of latency and memory, bool."""
        fit = pd.Series(True, index=rows.index)
        if self.wanted.max_p95_ms is not None:
            fit &= rows["latency_ms_p95"] <= self.wanted.max_p95_ms
        if self.wanted.max_memory is not None:
            fit &= rows["bytes_per_vector"] * self.documents <= self.wanted.max_memory
        return fit

    def disk_of(self, stages: object) -> float:
        """Return the bytes per vector that a rescore reads from disk."""
        return 4.0 * self.full_dim if parameters(stages).get(VECTORS) == DISK else 0.0

    def _next(self) -> list[Candidate]:
        """Return the indexes to build next, the most promising first."""
        left = [(c, v) for c, v in self._worth_building() if self._expected(c) <= self._usable]
        # What a backend adds to its vectors shows in any index: first in one that is soon measured.
        tried = set(self.frame["backend"])
        new = [c for c, _ in left if c.place != DISK and c.backend not in tried]
        if firsts := [*self._first(), *one_each(new)]:
            return firsts[:_AT_ONCE]
        near = [c for c, value in left if value <= _APART * left[0][1]]
        # Reads from disk take long, and one index shows how long: it is measured alone.
        held = list(itertools.takewhile(lambda c: c.place != DISK, near))
        firsts = one_each(held)
        others = [c for c in held if c not in firsts]
        return [*firsts, *others][:_AT_ONCE] or near[:1]

    def _first(self) -> list[Candidate]:
        """Return an exhaustive search to fall back on, if only the full dimension was timed."""
        if len(timed(self.frame)) > 1:
            return []
        least = _GAIN * self._best(self.rows(), ROOM[0])
        return sure_scan([p for p in self._prospects() if p.value < least])

    @property
    def _usable(self) -> float:
        """Seconds that are left for further indexes."""
        return self.left - _SPREAD_SHARE * self.measuring

    def _affordable(self, chosen: Sequence[Candidate]) -> list[Candidate]:
        """Return the first of them, as many as the time is enough for."""
        usable = self._usable
        ends = itertools.accumulate(map(self._expected, chosen))
        return [candidate for candidate, end in zip(chosen, ends, strict=True) if end <= usable]

    def _expected(self, candidate: Candidate) -> float:
        """Return the seconds that an index takes, by those alike; 0 if nothing tells."""
        reads = candidate.place == DISK
        alike = [s for (_, place), s in self._taken.items() if (place == DISK) == reads]
        first = _READ_SECONDS * len(self.embeddings.query_ids) if reads else 0.0
        return self._taken.get((candidate.backend, candidate.place), min(alike, default=first))

    def _between(self) -> list[Candidate]:
        """Return an index to fall back on, if the time allows one and the sequence needs it."""
        tests = worth_testing(self.rows(), self.evidence, self.need)
        fit = [p for p in self._prospects() if self._expected(p.candidate) <= self._usable]
        chosen = between(tests, fit, self.need)
        return [chosen] if chosen else []

    def _worth_building(self) -> list[tuple[Candidate, float]]:
        """Return the indexes that could beat the best so far, with the least they could cost."""
        rows = self.rows()
        # Exhaustive searches are held against each other only, as in the decision.
        scans = rows[rows["trial_id"].isin(exhaustive(rows))]
        best = [{r: self._best(of, r) for r in ROOM} for of in (rows, scans)]
        found: dict[tuple[Any, ...], tuple[Candidate, float]] = {}
        for p in self._prospects():
            to_beat = best[p.scans]
            if any(p.searched.surely(r) >= p.need and p.value < _GAIN * to_beat[r] for r in ROOM):
                found.setdefault(p.candidate.key, (p.candidate, p.value))
        return sorted(found.values(), key=lambda pair: pair[1])

    def _prospects(self) -> list[Prospect]:
        """Return the indexes that were not tried and could keep to the limits."""
        prospects = Prospects(self.frame, self.full_dim)
        tried = self._tried()
        found = []
        for candidate in self._candidates():
            if candidate.key in tried:
                continue
            size = prospects.bytes(candidate)
            ms = prospects.ms(candidate, self.slower(candidate.backend))
            if not self._could_fit(size, ms):
                continue
            value = self.value.of(size, prospects.disk(candidate), ms)
            cell = candidate.cell.trial_id
            found.append(Prospect(candidate, value, self.evidence.searched(cell), self.need(cell)))
        return found

    def _could_fit(self, size: float, ms: float) -> bool:
        wanted = self.wanted
        if wanted.max_p95_ms is not None and ms > wanted.max_p95_ms:
            return False
        return wanted.max_memory is None or size * self.documents <= wanted.max_memory

    def _best(self, rows: pd.DataFrame, room: float) -> float:
        """Return the least value among rows that surely keep enough, with so much room."""
        values = [
            value
            for trial_id, value in zip(rows["trial_id"], rows["value"], strict=True)
            if self.evidence.searched(trial_id).surely(room) >= self.need(trial_id)
        ]
        return min(values, default=np.inf)

    def _candidates(self) -> list[Candidate]:
        found = [cell for cell in cells(self.frame) if self._is_sure(cell)]
        return candidates(found, self.names, self.full_dim)

    def _is_sure(self, cell: Cell) -> bool:
        return self.evidence.searched(cell.trial_id).surely() >= self.need(cell.trial_id)

    def _tried(self) -> set[tuple[Any, ...]]:
        columns = ["reducer", "reducer_params", "dim", "backend", "precision", "build_params"]
        rows = self.frame[[*columns, "stages"]].fillna("").drop_duplicates()
        return {tuple(row) for row in rows.itertuples(index=False)}
