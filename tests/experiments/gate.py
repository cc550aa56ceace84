"""Error rates of the gate, counted on process pairs that `tests.experiments.gate_pairs` measured.

A comparison is made of as many consecutive rounds as it has pairs. *False alarms*: the two sides ran
the same code, so every comparison that says `regressed` is wrong; each is made twice, with the sides
as measured and swapped. *Found*: the head's rows of one backend come from the copy of it that spins.
Losses that are not of time are planted into the head's tables: of one configuration, all pairs.

``python -m tests.experiments.gate FOLDER… [--pairs 2,3,5,8,10]``
"""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bench import load
from bench.analysis.regression import Comparison, compare_pairs
from bench.gate.duet import PAIRS

Pair = tuple[pd.DataFrame, pd.DataFrame]
TIMES = ("latency_ms_p50", "latency_ms_p95")


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
        return [*dict.fromkeys(frame.loc[frame["latency_ms_p50"].notna(), "backend"])]


def rounds(folder: Path) -> Rounds:
    """Read the rounds that are whole."""
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    sides = [
        [load(folder / side / str(line["round"])) for line in lines] for side in ("base", "head")
    ]
    third = [load(folder / line["third"] / str(line["round"])) for line in lines]
    return Rounds(*sides, third, [float(line["third"].split("-")[1]) for line in lines])


def windows(count: int, pairs: int) -> Iterator[range]:
    """Yield every run of consecutive rounds."""
    return (range(start, start + pairs) for start in range(count - pairs + 1))


def spun(found: Rounds, window: range, backend: str) -> list[Pair]:
    """Return pairs whose head has one backend from the slower copy."""
    made = []
    for i in window:
        rows = found.head[i], found.third[i]
        head = pd.concat(
            [rows[0][rows[0]["backend"] != backend], rows[1][rows[1]["backend"] == backend]]
        )
        made.append((found.base[i], head))
    return made


def planted(found: Rounds, window: range, plant: Callable[[pd.DataFrame], None]) -> list[Pair]:
    """Return pairs whose head lost something."""
    made = []
    for i in window:
        head = found.head[i].copy()
        plant(head)
        made.append((found.base[i], head))
    return made


def _one(frame: pd.DataFrame, backend: str) -> pd.Index:
    rows = frame.index[(frame["backend"] == backend) & frame["latency_ms_p50"].notna()]
    return rows[:1]


def loss(column: str, change: Callable[[pd.Series], pd.Series], backend: str):
    """Return a plant of one configuration of a backend."""

    def plant(frame: pd.DataFrame) -> None:
        rows = _one(frame, backend)
        frame.loc[rows, column] = change(frame.loc[rows, column])

    return plant


def share(found: list[bool]) -> str:
    """Return a share with the counts behind it."""
    return f"{sum(found)} of {len(found)} ({np.mean(found):.1%})" if found else "–"


def undecided(result: Comparison, figure: str) -> bool:
    """Return whether any backend's figure cannot be told."""
    return any(f.figure == figure for f in result.of("cannot tell"))


def table(found: Rounds, pairs: list[int]) -> None:
    """Print the rates for each number of pairs."""
    count = len(found.base)
    print(f"{count} rounds")
    print(
        "| pairs | false alarms, runs | p50 undecided | p95 undecided | "
        + " | ".join(f"{f:g}× found" for f in sorted(set(found.factors)))
        + " |"
    )
    print("| --- |" + " --- |" * (3 + len(set(found.factors))))
    for n in pairs:
        alarms, unsure = [], {figure: [] for figure in TIMES}
        said = []
        for window in windows(count, n):
            both = [(found.base[i], found.head[i]) for i in window]
            for made in (both, [(b, a) for a, b in both]):
                result = compare_pairs(made)
                alarms.append(not result.ok)
                said += [(f.figure, f.subject) for f in result.of("regressed")]
                for figure in TIMES:
                    unsure[figure].append(undecided(result, figure))
        cells = [share(alarms), *(f"{np.mean(unsure[f]):.0%}" for f in TIMES)]
        for factor in sorted(set(found.factors)):
            seen = []
            for window in windows(count, n):
                if {found.factors[i] for i in window} != {factor}:
                    continue
                for backend in found.backends:
                    result = compare_pairs(spun(found, window, backend))
                    named = [f for f in result.of("regressed") if f.subject.startswith(backend)]
                    seen.append(bool(named))
            cells.append(share(seen))
        print(f"| {n} | " + " | ".join(cells) + " |", flush=True)
        if said:
            print("  alarms:", *sorted(set(said))[:8], sep="\n    ")


def losses(found: Rounds, n: int = PAIRS) -> None:
    """Print how often what is no time is found, in one configuration of each backend."""
    queries = int(found.base[0]["n_queries"].iloc[0])
    document = 1 / (10 * queries)
    plants = {
        "nDCG@10 lower by 0.005": ("ndcg_at_10", lambda x: x - 0.005),
        "one document less, of all queries": ("ann_recall_at_10", lambda x: x - document),
        "5 % more bytes": ("bytes_per_vector", lambda x: x * 1.05),
    }
    for words, (column, change) in plants.items():
        seen = []
        for window in windows(len(found.base), n):
            for backend in found.backends:
                made = planted(found, window, loss(column, change, backend))
                seen.append(any(f.figure == column for f in compare_pairs(made).of("regressed")))
        print(f"{words}: found in {share(seen)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--pairs", default="2,3,5,8,10")
    given = parser.parse_args()
    for folder in given.folders:
        found = rounds(folder)
        gc.freeze()  # statsmodels collects garbage at every test
        print(f"\n{folder.name}: ", end="")
        table(found, [int(n) for n in given.pairs.split(",") if int(n) <= len(found.base)])
        losses(found, min(PAIRS, len(found.base)))


if __name__ == "__main__":
    main()
