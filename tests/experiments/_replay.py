"""A measured grid that samplers search again: each evaluation pays what the grid paid for it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bench.advising.decision import Decision, decide, worth_testing
from bench.advising.evidence import Evidence
from bench.advising.value import Value
from bench.analysis.certainty import Certainty, keeps_all
from bench.results.rows import timed
from bench.results.store import TASKS, load, load_queries
from bench.study.plan import parameters
from bench.study.schema import DISK, MEMORY, SHORTLIST, VECTORS

INDEX = ["backend", "reducer", "reducer_params", "dim", "precision", "build_params"]
"""Columns that the rows over one index share."""
_START_SECONDS, _TRIAL_SECONDS = 1.0, 0.1
"""Shares of a worker's time: its start, and what a trial takes beside its searches."""
_BATCH_SECONDS = 0.05
_DULL = 10
"""Suggestions in a row that bring nothing new, before a random one is made."""


class Grid:
    """The timed rows of a full grid, what each costs, keeps and took."""

    def __init__(self, folder: Path, value: Value, full_dim: int) -> None:
        """`value` is what is minimised."""
        frame, queries = load(folder), load_queries(folder)
        self.evidence = Evidence()
        self.evidence.read(frame, queries)
        rows = timed(frame)
        rows = rows[rows["caution"].fillna("") == ""].fillna(
            {"reducer_params": "", "build_params": "", "search_params": "", "stages": ""}
        )
        self.rows = valued(rows, value, full_dim).reset_index(drop=True)
        self.shares = shares(frame, queries, self.rows["trial_id"])
        self.settings = [settings(row) for row in self.rows.to_dict("records")]
        self.tasks = [json.loads(line) for line in (folder / TASKS).read_text().splitlines()]

    @property
    def seconds(self) -> float:
        """Time of the measurements, s; encoding and the forecast do not count."""
        return float(sum(t["seconds"] for t in self.tasks if t["task"] not in ("embed", "probes")))

    @property
    def baseline(self) -> int:
        """Position of exact search at the full dimension."""
        return int(np.flatnonzero(keeps_all(self.rows))[0])

    @cached_property
    def price(self) -> tuple[np.ndarray, np.ndarray]:
        """Seconds of the index and of the trial of each row, two of (K,) float64.

        A worker measures one index with its trials, and its time is known; it is divided by what
        its parts are known to take.
        """
        rows = self.rows
        searches = rows["repeats_done"] * rows["n_queries"] / rows["qps"]
        together = np.maximum(rows["n_queries"] / rows["batch_qps"], _BATCH_SECONDS)
        trial = (_TRIAL_SECONDS + searches + together).to_numpy(float, copy=True)
        index = (_START_SECONDS + rows["build_seconds"]).to_numpy(float, copy=True)
        jobs = sorted((t for t in self.tasks if t["task"] == "build"), key=lambda t: t["begun"])
        begun = np.array([job["begun"] for job in jobs])
        # In whole seconds, so a trial may have begun up to a second later.
        started = pd.to_datetime(rows["started_at"]).map(pd.Timestamp.timestamp) + 0.3
        for positions in rows.groupby(INDEX, sort=False).indices.values():
            job = jobs[max(0, int(np.searchsorted(begun, started.iloc[positions].max())) - 1)]
            scale = job["seconds"] / (trial[positions].sum() + index[positions].mean())
            trial[positions] *= scale
            index[positions] *= scale
        return index, trial

    def best(self, keep: float) -> int:
        """Return the position of the least value that keeps the share on all queries."""
        values = self.rows["value"].to_numpy(float, copy=True)
        return int(np.where(self.shares >= keep, values, np.inf).argmin())

    def decided(self, keep: float, positions: Iterable[int] | None = None) -> Decision:
        """Decide among rows, all by default, as `bench.advising` does."""
        rows = self.rows if positions is None else self.rows.iloc[list(positions)]
        tests = worth_testing(rows, self.evidence, lambda _: keep)
        return decide(tests, self.evidence.confirmed, lambda _: keep)

    def position(self, trial_id: str) -> int:
        """Return the position of a trial."""
        return int(np.flatnonzero(self.rows["trial_id"] == trial_id)[0])

    def short_by(self, position: int, keep: float) -> float:
        """Return how much a row lacks of surely keeping the share; at most 0 if it keeps it."""
        return keep - self.evidence.searched(self.rows["trial_id"].iloc[position]).surely()

    def nearest(self, row: pd.Series) -> int:
        """Return the position of the same configuration, or of one at the nearest settings."""
        own = settings(row)

        def far(other: dict[str, Any]) -> tuple[float, ...]:
            fixed = sum(own[name] != other[name] for name in ("family", "reducer", "precision"))
            steps = ("dim", "shortlist", "width")
            return fixed, *(abs(math.log((1 + own[s]) / (1 + other[s]))) for s in steps)

        return min(range(len(self.settings)), key=lambda i: far(self.settings[i]))


def valued(rows: pd.DataFrame, value: Value, full_dim: int) -> pd.DataFrame:
    """Return timed rows with the column `value`, as `bench.advising` minimises it."""
    found = []
    for row in rows.itertuples():
        disk = 4.0 * full_dim if parameters(row.stages).get(VECTORS) == DISK else 0.0
        found.append(value.of(row.bytes_per_vector, disk, row.latency_ms_p50))
    return rows.assign(value=found)


def shares(frame: pd.DataFrame, queries: pd.DataFrame, trial_ids: Iterable[str]) -> np.ndarray:
    """Return the share of the full dimension's quality that each keeps on all queries, (K,)."""
    known = Certainty(frame, queries)
    return known.values(trial_ids).mean(axis=1) / known.full.mean()


def settings(row: Any) -> dict[str, Any]:
    """Return a configuration as a sampler sees it."""
    stages, widths = parameters(row["stages"]), parameters(row["search_params"])
    place = stages.get(VECTORS, MEMORY) if stages else ""
    built = row["build_params"] if isinstance(row["build_params"], str) else ""
    of_reducer = row["reducer_params"] if isinstance(row["reducer_params"], str) else ""
    return {
        "family": " ".join(filter(None, [row["backend"], built, place])),
        "reducer": row["reducer"] + of_reducer,
        "precision": row["precision"],
        "dim": int(row["dim"]),
        "width": next(iter(widths.values()), 0),
        "shortlist": stages.get(SHORTLIST, 0),
    }


@dataclass
class Replay:
    """A search of the grid that ends when its time is spent."""

    grid: Grid
    seconds: float
    spent: float = 0.0
    seen: list[int] = field(default_factory=list)
    """Positions of the rows that were evaluated, in their order."""
    is_over: bool = False
    _built: set[Any] = field(default_factory=set)

    def take(self, position: int) -> bool:
        """Evaluate a row and pay for it; return False if the time is too short for it.

        The search is over then: it would have measured that one when its time came to an end.
        """
        index, trial = self.grid.price
        key = tuple(self.grid.rows[INDEX].iloc[position])
        paid = trial[position] + (0.0 if key in self._built else index[position])
        if self.spent + paid > self.seconds:
            self.is_over = True
            return False
        self.spent += paid
        self._built.add(key)
        self.seen.append(position)
        return True


class Seen(NamedTuple):
    """What a sampler evaluated."""

    positions: list[int]
    seconds: float


Sampler = Callable[[Grid, float, float, int], Seen]
"""Searches a grid for a share to keep, in so many seconds, with a seed."""


def at_random(grid: Grid, keep: float, seconds: float, seed: int) -> Seen:
    """Evaluate the rows in random order, after exact search at the full dimension."""
    replay = Replay(grid, seconds)
    replay.take(grid.baseline)
    order = np.random.default_rng(seed).permutation(len(grid.rows))
    for position in order.tolist():
        if position != grid.baseline and not replay.take(position):
            break
    return Seen(replay.seen, replay.spent)


def by_optuna(grid: Grid, keep: float, seconds: float, seed: int) -> Seen:
    """Evaluate what Optuna's TPE suggests, after exact search at the full dimension.

    It minimises the value under the constraint that the queries searched with show enough quality.
    A suggestion outside the grid, or a second time, costs nothing and teaches nothing. Source:
    Bergstra et al. 2011; the constraint, Watanabe & Hutter 2023.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    places = {tuple(each.values()): i for i, each in enumerate(grid.settings)}
    space = Space(grid.settings)
    replay = Replay(grid, seconds)
    replay.take(grid.baseline)
    rng, dull = np.random.default_rng(seed), 0
    while not replay.is_over and len(replay.seen) < len(grid.rows):
        if dull >= _DULL:
            left = np.setdiff1d(np.arange(len(grid.rows)), replay.seen)
            study.enqueue_trial(space.parameters(grid.settings[rng.choice(left)]))
        trial = study.ask()
        position = places.get(space.suggested(trial))
        if position is None or position in replay.seen:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
            dull += 1
            continue
        dull = 0
        if replay.take(position):
            trial.set_constraint("short", grid.short_by(position, keep))
            study.tell(trial, math.log(grid.rows["value"].iloc[position]))
    return Seen(replay.seen, replay.spent)


class Space:
    """The settings of a grid as parameters of Optuna.

    What only some families of indexes have is suggested for them alone. Dimensions, shortlists and
    widths are ordered.
    """

    def __init__(self, found: Sequence[dict[str, Any]]) -> None:
        """`found` are the `settings` of the grid's rows."""
        self._all = {name: sorted({each[name] for each in found}) for name in found[0]}
        self._of = {
            (family, name): sorted({s[name] for s in found if s["family"] == family})
            for family in self._all["family"]
            for name in found[0]
        }

    def suggested(self, trial: Any) -> tuple[Any, ...]:
        """Return what a trial of Optuna suggests, in the order of `settings`."""
        own = {"family": trial.suggest_categorical("family", self._all["family"])}
        for name in ("reducer", "precision", "dim", "width", "shortlist"):
            values = self._of[own["family"], name]
            if len(values) == 1:
                own[name] = values[0]
            elif isinstance(values[0], str):
                own[name] = trial.suggest_categorical(self._named(own["family"], name), values)
            else:
                step = trial.suggest_int(self._named(own["family"], name), 0, len(values) - 1)
                own[name] = values[step]
        return tuple(own.values())

    def parameters(self, own: dict[str, Any]) -> dict[str, Any]:
        """Return settings as Optuna holds them."""
        found: dict[str, Any] = {"family": own["family"]}
        for name in own:
            values = self._of[own["family"], name]
            if name != "family" and len(values) > 1:
                value = own[name] if isinstance(values[0], str) else values.index(own[name])
                found[self._named(own["family"], name)] = value
        return found

    def _named(self, family: str, name: str) -> str:
        """Return the name of a parameter: one for all families that have the same values."""
        values = self._of[family, name]
        return name if values == self._all[name] else f"{name} among {values}"
