"""Error rates of the gate, counted on process pairs that `tests.experiments.gate_pairs` measured.

*False alarms*: both sides ran the same code, so every comparison that says `regressed` is wrong. Runs
of as many consecutive rounds as a comparison has pairs are compared, each also with the sides
swapped, and rounds drawn at random. *Found*: the head's rows of one backend come from the copy of it
that spins; each backend in turn. Losses that are not of time are planted into the head's tables, in
one configuration. A quick comparison is made of the same rounds, with the trials it would measure.

``python -m tests.experiments.gate FOLDER… [--out results/gate]`` prints Markdown; `--out` keeps it as
``error-rates.md`` and draws ``power.png``.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench import load
from bench.analysis.palette import COLOURS
from bench.analysis.regression import Comparison, compare_pairs, trials
from bench.analysis.regression.limits import LIMITS, PRIMARY, limits
from bench.docs import markdown_table
from bench.figures._style import panels, set_title, styled
from bench.gate.duet import PAIRS, QUICK_PAIRS
from bench.gate.slices import slices
from bench.results.schema import CONFIGURATION
from bench.study.plan import plan
from bench.study.reader import load_study
from bench.study.schema import Study
from tests.experiments.gate_pairs import FACTORS

Pair = tuple[pd.DataFrame, pd.DataFrame]
COUNTS = (2, 3, 5, 8)
DRAWS = 100
DRAWS_OF_FACTOR = 10
NEEDED = ["status", "error", "machine", "library_versions", "dataset_fingerprint", "full_dim"]
NEEDED += ["n_queries", "reducer_kind", *CONFIGURATION, *(c for c in LIMITS if "seconds" not in c)]
NEEDED += ["build_seconds"]


@dataclass(frozen=True)
class Rounds:
    """What one folder of `gate_pairs` holds."""

    base: list[pd.DataFrame]
    head: list[pd.DataFrame]
    third: list[pd.DataFrame]
    factors: list[float]

    @property
    def backends(self) -> list[str]:
        frame = self.base[0]
        return [*dict.fromkeys(frame.loc[frame[PRIMARY].notna(), "backend"])]

    def quick(self) -> Rounds:
        """Return the rounds with the trials that a quick comparison measures."""
        parts = slices(load_study("regress"), quick=True)[1:]
        kept = {(t.backend, t.dim) for part in parts for t in plan(Study(**part.table))}

        def few(frame: pd.DataFrame) -> pd.DataFrame:
            return frame[
                [pair in kept for pair in zip(frame["backend"], frame["dim"], strict=True)]
            ]

        sides = ([few(f) for f in frames] for frames in (self.base, self.head, self.third))
        return Rounds(*sides, self.factors)


def read(folder: Path) -> Rounds:
    """Read the rounds that are whole."""
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]

    def frames(side: Callable[[dict], str]) -> list[pd.DataFrame]:
        found = (load(folder / side(line) / str(line["round"])) for line in lines)
        return [frame[[c for c in NEEDED if c in frame]] for frame in found]

    sides = (frames(lambda _, s=side: s) for side in ("base", "head"))
    third = frames(lambda line: line["third"])
    return Rounds(*sides, third, [float(line["third"].split("-")[1]) for line in lines])


def windows(count: int, pairs: int) -> Iterator[list[int]]:
    """Yield every run of consecutive rounds."""
    return ([*range(start, start + pairs)] for start in range(count - pairs + 1))


def draws(rounds: Sequence[int], pairs: int, rng: np.random.Generator, n: int) -> list[list[int]]:
    """Return rounds drawn at random, each draw without repetition; none if there are too few."""
    if len(rounds) < pairs:
        return []
    return [rng.choice(rounds, pairs, replace=False).tolist() for _ in range(n)]


def alike(found: Rounds, chosen: Sequence[int], swap: Sequence[bool]) -> list[Pair]:
    """Return pairs of the same code, some with their sides swapped."""
    pairs = [(found.base[i], found.head[i]) for i in chosen]
    return [(b, a) if swapped else (a, b) for (a, b), swapped in zip(pairs, swap, strict=True)]


def once_each(function):
    """Return a function that computes its answer for a frame once: comparisons share them."""
    kept = {}

    def cached(frame):
        if id(frame) not in kept:
            kept[id(frame)] = frame, function(frame)
        return kept[id(frame)][1]

    return cached


_SPUN: dict[tuple[int, str], tuple[pd.DataFrame, pd.DataFrame]] = {}


def spun(found: Rounds, chosen: Sequence[int], backend: str) -> list[Pair]:
    """Return pairs whose head has one backend from the slower copy."""
    made = []
    for i in chosen:
        head, third = found.head[i], found.third[i]
        key = id(head), backend
        if key not in _SPUN:
            rows = [head[head["backend"] != backend], third[third["backend"] == backend]]
            _SPUN[key] = head, pd.concat(rows)
        made.append((found.base[i], _SPUN[key][1]))
    return made


def planted(found: Rounds, chosen: Sequence[int], backend: str, column: str, change) -> list[Pair]:
    """Return pairs whose head lost something in one configuration of a backend."""
    made = []
    for i in chosen:
        head = found.head[i].copy()
        own = head[(head["backend"] == backend) & head[PRIMARY].notna()]
        row = own.sort_values(["dim", "search_params", "stages"]).index[-1]
        head.loc[row, column] = change(head.loc[row, column])
        made.append((found.base[i], head))
    return made


def share(found: Sequence[bool]) -> str:
    """Return a share with the counts behind it."""
    return f"{sum(found)} of {len(found)}" if found else "–"


def is_found(result: Comparison, backend: str) -> bool:
    """Return whether a backend is said to have regressed."""
    return any(f.subject.startswith(backend) for f in result.of("regressed"))


def undecided(result: Comparison) -> bool:
    """Return whether the median latency of any backend cannot be told."""
    return any(f.figure == PRIMARY for f in result.of("cannot tell"))


def rates(found: Rounds, pairs: int, rng: np.random.Generator, quick: bool = False) -> list[str]:
    """Return the cells of one row."""
    chosen, everything = limits(quick=quick), range(len(found.base))
    results = [
        compare_pairs(alike(found, window, [swap] * pairs), chosen)
        for window in windows(len(found.base), pairs)
        for swap in (False, True)
    ]
    drawn = [
        compare_pairs(alike(found, rounds, rng.random(pairs) < 0.5), chosen)
        for rounds in draws(everything, pairs, rng, DRAWS)
    ]
    for result in (*results, *drawn):
        for finding in result.of("regressed"):
            print(f"    alarm: {finding.figure} of {finding.subject}, {finding.change:+.1%}")
    cells = [share([not r.ok for r in part]) for part in (results, drawn)]
    cells.append(f"{np.mean([undecided(r) for r in results]):.0%}")
    for factor in sorted(set(found.factors)):
        rounds = [i for i in everything if found.factors[i] == factor]
        parts = draws(rounds, pairs, rng, DRAWS_OF_FACTOR) if len(rounds) > pairs else [rounds]
        seen = [
            is_found(compare_pairs(spun(found, part, backend), chosen), backend)
            for part in parts
            if len(part) == pairs
            for backend in found.backends
        ]
        cells.append(share(seen))
    return cells


def slowed(found: Rounds, chosen: Sequence[int], backend: str, factor: float) -> list[Pair]:
    """Return pairs whose head took longer in every search of a backend, by computation."""
    made = []
    for i in chosen:
        head = found.head[i].copy()
        rows = head["backend"] == backend
        head.loc[rows, ["latency_ms_p50", "latency_ms_p95"]] *= factor
        head.loc[rows, "batch_qps"] /= factor
        made.append((found.base[i], head))
    return made


def computed(found: Rounds, pairs: int) -> dict[float, list[bool]]:
    """Return whether each backend is found, its times multiplied by each factor."""
    return {
        factor: [
            is_found(compare_pairs(slowed(found, window, backend, factor)), backend)
            for window in windows(len(found.base), pairs)
            for backend in found.backends
        ]
        for factor in FACTORS
    }


def losses(found: Rounds) -> list[tuple[str, str]]:
    """Return how often a loss that is no time is found, in the usual number of pairs."""
    document = 1 / (10 * int(found.base[0]["n_queries"].iloc[0]))
    plants = {
        "nDCG@10 lower by 0.005": ("ndcg_at_10", lambda x: x - 0.005),
        "one document less among all results": ("ann_recall_at_10", lambda x: x - document),
        "5 % more bytes": ("bytes_per_vector", lambda x: x * 1.05),
    }
    rows = []
    for words, (column, change) in plants.items():
        seen = []
        for window in windows(len(found.base), PAIRS):
            for backend in found.backends:
                result = compare_pairs(planted(found, window, backend, column, change))
                seen.append(any(f.figure == column for f in result.of("regressed")))
        rows.append((words, share(seen)))
    return rows


def draw(power: dict[str, dict[int, dict[float, list[bool]]]], path: Path) -> None:
    """Draw the share found, by computation, against the number of pairs, a panel per condition."""
    with styled("screen"), panels(len(power), 3) as (figure, axes):
        for axis, (condition, by_pairs) in zip(axes, power.items(), strict=True):
            for colour, factor in zip(COLOURS, FACTORS, strict=False):
                counts = [*by_pairs]
                shares = [100 * np.mean(by_pairs[n][factor]) for n in counts]
                name = f"{factor:g} times as slow"
                axis.plot(counts, shares, marker="o", color=colour, label=name)
            set_title(axis, condition)
            axis.set(xlabel="process pairs", ylabel="found, %", ylim=(0, 104), xticks=COUNTS)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    trials.by_configuration = once_each(trials.by_configuration)
    text, power = [], {}
    for folder in given.folders:
        found, rng = read(folder), np.random.default_rng(0)
        factors = [f"{factor:g}×" for factor in sorted(set(found.factors))]
        head = ["pairs", "false alarms", "the same, drawn", "p50 undecided", *factors]
        rows, by_pairs = [], {}
        text = text or [str(found.base[0]["machine"].iloc[0])]
        for n in (n for n in COUNTS if n <= len(found.base)):
            cells, by_pairs[n] = rates(found, n, rng), computed(found, n)
            rows.append([str(n), *cells])
            print(rows[-1], flush=True)
        cells = rates(found.quick(), QUICK_PAIRS, rng, quick=True)
        rows.append([f"{QUICK_PAIRS}, quick", *cells])
        power[folder.name] = by_pairs
        text.append(f"\n{folder.name}, {len(found.base)} rounds:\n{markdown_table(head, rows)}")
        rows = [
            (f"a backend {factor:g} times as slow, computed", share(seen))
            for factor, seen in by_pairs[PAIRS].items()
        ]
        rows += losses(found)
        text.append(f"Found in {PAIRS} pairs:\n{markdown_table(('loss', 'found'), rows)}")
    page = re.sub(r"\n{3,}", "\n\n", "\n".join(text)).rstrip() + "\n"
    print(page)
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "error-rates.md").write_text(page, encoding="utf-8")
        draw(power, given.out / "power.png")


if __name__ == "__main__":
    main()
