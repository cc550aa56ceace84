"""How often a history raises a false alarm, and what it finds of planted steps and drifts.

Promises tested: of series without a change, of any noise here, at most 2 % have a false alarm; a
step of 10 % at a noise of 2 % is found in four of five series of 20 commits, at its commit or a
neighbour of it; a drift is called one. Beside them two public series, with what others say of them.

``python -m tests.experiments.history [--series 1000]``
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis.change_points import MIN_POINTS, Changes, changes

LEAST = float(np.log(1.05))
LENGTHS = (20, 50, 100)
NOISES = (0.02, 0.05)
STEPS = (0.05, 0.1, 0.2, 0.5)
DRIFTS = (0.1, 0.2, 0.5)
NEAR = 3
"""Commits within which a step counts as found."""
TIGERBEETLE = Path(__file__).parents[1] / "analysis" / "tigerbeetle.csv"


def autoregressive(n: int, rng: np.random.Generator, correlation: float) -> np.ndarray:
    fresh = rng.standard_normal(n)
    found = fresh.copy()
    for i in range(1, n):
        found[i] = correlation * found[i - 1] + np.sqrt(1 - correlation**2) * fresh[i]
    return found


def with_outliers(n: int, rng: np.random.Generator, sd: float) -> np.ndarray:
    """Return white noise in which one run in twenty is disturbed: 10 % to 170 % slower, or faster."""
    sizes = rng.uniform(0.1, 1.0, n) * rng.choice([-1, 1, 1, 1], n)
    return sd * rng.standard_normal(n) + (rng.random(n) < 0.05) * sizes


KINDS = {
    "white": lambda n, sd, rng: sd * rng.standard_normal(n),
    "correlated, .3": lambda n, sd, rng: sd * autoregressive(n, rng, 0.3),
    "correlated, .5": lambda n, sd, rng: sd * autoregressive(n, rng, 0.5),
    "heavy tails (t, 3)": lambda n, sd, rng: sd * rng.standard_t(3, n) / np.sqrt(3),
    "5 % outliers": lambda n, sd, rng: with_outliers(n, rng, sd),
}
"""Noise of log times, by what it is like: (n, standard deviation, generator) → (n,)."""


def found_in(values: np.ndarray, level: float = 0.01) -> Changes:
    return changes(values, range(len(values)), LEAST, level)


def false_alarms(kind: str, n: int, sd: float, count: int, seed: int = 0) -> float:
    """Return the share of series without a change in which one is found."""
    rng = np.random.default_rng(seed)
    found = [found_in(KINDS[kind](n, sd, rng)) for _ in range(count)]
    return float(np.mean([bool(each.steps or each.drifts) for each in found]))


def planted(
    kind: str, n: int, sd: float, step: float, count: int, seed: int = 1
) -> tuple[float, float, float]:
    """Return how often a step is found, the mean distance of those found, other changes a series."""
    rng = np.random.default_rng(seed)
    near, others = [], 0
    for _ in range(count):
        at = int(rng.integers(MIN_POINTS + 1, n - MIN_POINTS))
        found = found_in(KINDS[kind](n, sd, rng) + np.log1p(step) * (np.arange(n) >= at))
        away = sorted(abs(each.at - at) for each in found.steps)
        hit = bool(away) and away[0] <= NEAR
        near += away[:1] if hit else []
        others += len(found.steps) + len(found.drifts) - hit
    return len(near) / count, float(np.mean(near)) if near else np.nan, others / count


def drifting(n: int, sd: float, total: float, count: int, seed: int = 2) -> Counter[str]:
    """Return how often a drift by `total` is called a drift, steps, both or nothing."""
    rng = np.random.default_rng(seed)
    names = {(True, False): "drift", (False, True): "steps", (True, True): "both"}
    found = Counter[str]()
    for _ in range(count):
        values = sd * rng.standard_normal(n) + np.linspace(0, np.log1p(total), n)
        each = found_in(values)
        found[names.get((bool(each.drifts), bool(each.steps)), "nothing")] += 1
    return found


def family(series: int, n: int, sd: float, count: int, seed: int = 3) -> float:
    """Return how often so many series together, of every noise, have a false alarm or more."""
    rng = np.random.default_rng(seed)
    kinds = list(KINDS.values())
    alarms = []
    for _ in range(count):
        found = (found_in(kinds[i % len(kinds)](n, sd, rng), 0.01 / series) for i in range(series))
        alarms.append(any(each.steps or each.drifts for each in found))
    return float(np.mean(alarms))


def nile() -> np.ndarray:
    """Return the flow of the Nile at Aswan, 1871–1970 (public domain, in statsmodels)."""
    from statsmodels.datasets import nile as dataset

    return dataset.load_pandas().data["volume"].to_numpy(float)


def tigerbeetle() -> np.ndarray:
    """Return a performance figure of TigerBeetle over 365 commits; the file says whence."""
    return pd.read_csv(TIGERBEETLE, comment="#")["value"].to_numpy(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=1000)
    count = parser.parse_args().series
    print(f"{count} series each; % with a false alarm | % in which a step is found (commits away)")
    heads = " | ".join(f"{step:+.0%}" for step in STEPS)
    print(f"| noise | sd of the log | commits | false alarms | {heads} |")
    for kind in KINDS:
        for sd in NOISES:
            for n in LENGTHS:
                cells = []
                for step in STEPS:
                    share, away, _ = planted(kind, n, sd, step, count // 2)
                    cells.append(f"{share:.0%}" + (f" ({away:.1f})" if share else ""))
                alarms = f"{false_alarms(kind, n, sd, count):.1%}"
                print("|", " | ".join([kind, f"{sd:.2f}", str(n), alarms, *cells]), "|", flush=True)
    print("\n| drift in all | commits | called a drift | steps | both | nothing |")
    for total in DRIFTS:
        for n in LENGTHS:
            called = drifting(n, 0.02, total, count // 2)
            shares = [
                f"{called[x] / (count // 2):.0%}" for x in ("drift", "steps", "both", "nothing")
            ]
            print("|", " | ".join([f"{total:+.0%}", str(n), *shares]), "|", flush=True)
    print(
        f"\n200 series together, 30 commits: {family(200, 30, 0.03, count // 10):.1%} have an alarm"
    )
    for name, values in (("Nile", nile()), ("TigerBeetle", tigerbeetle())):
        found = found_in(np.log(values))
        steps = ", ".join(f"{s.at} ({np.expm1(s.shift.size):+.1%})" for s in found.steps)
        print(f"{name}: steps at {steps}; {len(found.drifts)} drifts")


if __name__ == "__main__":
    main()
