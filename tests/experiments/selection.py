"""The recommendation and the advice: how often what is named truly keeps less than was asked for.

Promise tested: `recommend` in at most 5 % of samples of queries, although the cheapest is chosen
among hundreds; `advise` in at most 2.5 %, however many it looks at ("parts": searched with a third
of the queries, confirmed by the others).
The first grid is made: 23 indexes with 16 settings each, near-exact, whose misses lose the relevant
document; a cheaper setting misses more. The others are a study's own configurations (`--results`),
whose queries are drawn again. "each alone" is the rule before: the interval of each configuration
by itself, without a correction for choosing and without the pseudo-query.

``python -m tests.experiments.selection [--samples 200] [--results DIR …]``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.advising.decision import decide, sequence
from bench.advising.evidence import ALL, Kept, Part
from bench.analysis.certainty import keeps_all
from bench.quality.intervals import Bootstrap
from bench.quality.parts import searching
from bench.results.rows import exact_rows, plain, timed
from bench.results.store import load, load_queries

Choose = Callable[[float], "int | None"]
"""Maps the share asked for to the configuration that is chosen."""
Rule = Callable[["Grid", np.ndarray, np.ndarray, int], Choose]
SIZES = (100, 300, 1000)
ASKED = (0.95, 0.98)
INDEXES, SETTINGS = 23, 16


@dataclass(frozen=True)
class Grid:
    """Configurations among which the cheapest is chosen."""

    name: str
    truth: np.ndarray
    """(K,) share that each truly keeps."""
    cost: np.ndarray
    """(K,) bytes, or any other order of cheapness."""
    draw: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    """Returns (K, n) values and (n,) values of exact search, of n new queries."""
    whole: np.ndarray
    """(K,) bool: exact search of whole vectors, which keeps all by definition."""


def near_exact() -> Grid:
    rng = np.random.default_rng(0)
    spread = np.exp(rng.normal(0, 0.3, INDEXES))
    misses = np.outer(spread, np.geomspace(0.12, 0.0004, SETTINGS)).ravel()
    index = np.repeat(np.arange(INDEXES), SETTINGS)
    return _missing(f"{INDEXES} indexes × {SETTINGS} settings, near-exact", misses, index)


def just_short(count: int = 50) -> Grid:
    """Return the worst case: independent indexes that all keep half a point less than 98 %."""
    misses, index = np.full(count, 0.025), np.arange(count)
    return _missing(f"{count} independent, all at 97.5 %", misses, index)


def _missing(name: str, misses: np.ndarray, index: np.ndarray) -> Grid:
    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        found = rng.random(n) < 0.5
        full = np.where(found, 1 / np.log2(np.minimum(rng.geometric(0.45, n), 10) + 1), 0)
        # The settings of an index miss the same queries, the wider ones fewer of them.
        difficulty = rng.random((index.max() + 1, n))
        return full * (difficulty[index] >= misses[:, None]), full

    return Grid(name, 1 - misses, 1 / misses, draw, np.zeros(len(misses), bool))


def of_study(folder: Path) -> Grid:
    frame, queries = load(folder), load_queries(folder)
    rows = timed(frame)
    wide = queries.pivot_table(
        index="query_id", columns="trial_id", values="ndcg_at_10", sort=False
    )
    full_rows = plain(exact_rows(frame))
    full_id = full_rows[full_rows["dim"] == full_rows["full_dim"]]["trial_id"].iloc[-1]
    values, full = wide[list(rows["trial_id"])].to_numpy(float).T, wide[full_id].to_numpy(float)

    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        drawn = rng.integers(0, len(full), n)
        return values[:, drawn], full[drawn]

    truth = values.mean(axis=1) / full.mean()
    whole = keeps_all(rows).to_numpy()
    return Grid(f"{folder.name}, its own {len(rows)}", truth, rows["bytes_per_vector"].to_numpy(float),
                draw, whole)  # fmt: skip


def simultaneous(values: np.ndarray, full: np.ndarray, seed: int) -> np.ndarray:
    return Bootstrap(len(full), seed).ratios(values, full).low


def alone(values: np.ndarray, full: np.ndarray, seed: int) -> np.ndarray:
    n = len(full)
    weights = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=1000)
    weights = weights.astype(np.float32)
    return np.quantile((weights @ values.T) / (weights @ full)[:, None], 0.025, axis=0)


def cheapest(bounds: Callable) -> Rule:
    """Return the rule that takes the cheapest whose lower bound is enough."""

    def choose(grid: Grid, values: np.ndarray, full: np.ndarray, seed: int) -> Choose:
        low = np.where(grid.whole, 1.0, 0.0)
        low[~grid.whole] = bounds(values[~grid.whole], full, seed)

        def of(asked: float) -> int | None:
            fit = np.flatnonzero(low >= asked)
            return int(fit[np.argmin(grid.cost[fit])]) if len(fit) else None

        return of

    return choose


def parts(grid: Grid, values: np.ndarray, full: np.ndarray, seed: int) -> Choose:
    """Choose as `bench.advising` does: by a third of the queries, confirmed by the others."""
    first = searching([str(i) for i in range(len(full))], None, seed)
    search, confirm = Part(first, full, None), Part(~first, full, None)

    def shown(trials: Sequence[str]) -> list[Kept]:
        tested = [i for i in map(int, trials) if not grid.whole[i]]
        found = dict(zip(tested, confirm.kept(values[tested], each=False), strict=True))
        return [found.get(int(i), ALL) for i in trials]

    searched = [ALL if w else kept for w, kept in zip(grid.whole, search.kept(values), strict=True)]
    rows = [(str(i), float(grid.cost[i]), kept) for i, kept in enumerate(searched)]

    def of(asked: float) -> int | None:
        tests = sequence(rows, lambda _: asked)
        chosen = decide(tests, shown, lambda _: asked).chosen
        return int(chosen.trial_id) if chosen else None

    return of


def short(grid: Grid, size: int, samples: int, rule: Rule) -> dict[float, tuple[int, int]]:
    """Return by what is asked: how often the chosen one falls short, and how often any is chosen."""
    rng = np.random.default_rng(size)
    found = dict.fromkeys(ASKED, (0, 0))
    for seed in range(samples):
        choose = rule(grid, *grid.draw(size, rng), seed)
        for asked, (wrong, chosen) in found.items():
            if (best := choose(asked)) is not None:
                is_short = not grid.whole[best] and grid.truth[best] < asked
                found[asked] = (wrong + is_short, chosen + 1)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--results", type=Path, nargs="*", default=[])
    given = parser.parse_args()
    print(
        f"{given.samples} samples each; % that recommend what truly falls short (% that recommend)"
    )
    print(f"{'':48}{'asked':>7}" + "".join(f"{size:>12,} q" for size in SIZES))
    for grid in [near_exact(), just_short(), *map(of_study, given.results)]:
        rules = {"": cheapest(simultaneous), ", parts": parts, ", each alone": cheapest(alone)}
        for name, rule in rules.items():
            by_size = [short(grid, size, given.samples, rule) for size in SIZES]
            for asked in ASKED:
                cells = [found[asked] for found in by_size]
                shares = ((100 * a / given.samples, 100 * b / given.samples) for a, b in cells)
                text = "".join(f"{a:7.1f} ({b:3.0f})" for a, b in shares)
                print(f"{grid.name + name:48}{asked:7.0%}{text}", flush=True)


if __name__ == "__main__":
    main()
