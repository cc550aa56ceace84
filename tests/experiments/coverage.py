"""Intervals of the quality: how often they hold the truth.

Promise tested: the 95 % interval of a mean and of a share kept holds the truth in at least 93 % of
samples, from 50 to 1,000 queries, whether 28 %, 3 % or 0.7 % of the queries differ from exact
search, with one relevant document a query or several, and for fidelity. The population is a study's
own per-query results where a folder is given, and made otherwise; its truth is known, since samples
of queries are drawn from it.

``python -m tests.experiments.coverage [--samples 400] [--results DIR]``
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from bench.quality.intervals import Bootstrap
from bench.results.rows import exact_rows, plain, timed
from bench.results.store import load, load_queries

SIZES = (50, 100, 300, 1000)
POPULATION = 100_000
DIFFER = {"28 % differ": 0.28, "3 % differ": 0.03, "0.7 % differ": 0.007}

Case = tuple[str, np.ndarray, np.ndarray | None]
"""Name, (n,) values, and the reference of a ratio; None for a mean."""


def made() -> Iterator[Case]:
    """Yield populations whose losses are as rare and as large as those of real indexes."""
    rng = np.random.default_rng(0)
    one = np.where(
        rng.random(POPULATION) < 0.45, 0, 1 / np.log2(rng.geometric(0.45, POPULATION) + 1)
    )
    one[one < 1 / np.log2(11)] = 0
    several = np.where(rng.random(POPULATION) < 0.1, 0, rng.beta(1.2, 1.2, POPULATION))
    for kind, full in (("one relevant", one), ("several relevant", several)):
        for words, share in DIFFER.items():
            differs = rng.random(POPULATION) < share
            # An index loses the document; a short vector moves it, to either side.
            lost = 0.0 if share < 0.1 else full * rng.choice([0, 0.5, 0.8, 1.3], POPULATION)
            values = np.where(differs, np.minimum(lost, 1), full)
            yield f"share kept, {kind}, {words}", values, full
        yield f"mean nDCG@10, {kind}", full, None
    for words, share in DIFFER.items():
        missed = rng.binomial(10, 0.25, POPULATION) * (rng.random(POPULATION) < share)
        yield f"mean fidelity@10, {words}", 1 - missed / 10, None


def measured(folder: Path) -> Iterator[Case]:
    """Yield trials of a study whose queries differ from exact search about as often as asked."""
    frame, queries = load(folder), load_queries(folder)
    wide = queries.pivot_table(
        index="query_id", columns="trial_id", values="ndcg_at_10", sort=False
    )
    full_rows = plain(exact_rows(frame))
    full_id = full_rows[full_rows["dim"] == full_rows["full_dim"]]["trial_id"].iloc[-1]
    full = wide[full_id].to_numpy(float)
    rows = timed(frame)
    differ = {i: float((wide[i].to_numpy(float) != full).mean()) for i in rows["trial_id"]}
    for share in DIFFER.values():
        near = min(
            (i for i in differ if differ[i] > 0), key=lambda i: abs(np.log(differ[i] / share))
        )
        yield f"share kept, measured, {differ[near]:.1%} differ", wide[near].to_numpy(float), full


def coverage(case: Case, size: int, samples: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the share of intervals that hold the truth, and that lie above it."""
    _, values, reference = case
    truth = values.mean() if reference is None else values.mean() / reference.mean()
    held = above = 0
    for seed in range(samples):
        drawn = rng.integers(0, len(values), size)
        bootstrap = Bootstrap(size, seed)
        found: Callable = bootstrap.mean if reference is None else bootstrap.ratio
        sides = (values[drawn],) if reference is None else (values[drawn], reference[drawn])
        _, low, high = found(*sides)
        held += low - 1e-12 <= truth <= high + 1e-12
        above += low - 1e-12 > truth
    return held / samples, above / samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--results", type=Path, help="a results folder of real queries")
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    cases = [*made(), *(measured(given.results) if given.results else ())]
    print(
        f"{given.samples} samples each: % of 95 % intervals that hold the truth; % that lie above it"
    )
    print(f"{'':48}" + "".join(f"{size:>14,} q" for size in SIZES))
    for case in cases:
        cells = [coverage(case, size, given.samples, rng) for size in SIZES]
        print(f"{case[0]:48}" + "".join(f"{100 * a:9.1f}; {100 * b:4.1f}" for a, b in cells))


if __name__ == "__main__":
    main()
