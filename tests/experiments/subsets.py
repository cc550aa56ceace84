"""How often the test of truncation among random permutations is wrong, and what it says of wordllama.

``python -m tests.experiments.subsets [--count 199]``

The promise: a random permutation in truncation's place is called better (or worse) at one dimension
or more in 5 % of cases at most, after Holm. Each permutation takes truncation's place in turn among
the others, which is what would happen if the order of coordinates meant nothing. Beside it, the
rule that this test replaced: above the best of five. Seeded; quick-start queries and dimensions.
"""

import argparse
import time

import numpy as np
from statsmodels.stats.multitest import multipletests

from bench.embeddings import embed
from bench.measuring.subsets import permutations, ranked, sample
from tests.experiments.adaptor import ENCODER

DIMENSIONS = [8, 16, 32, 64, 96, 128, 192]
LEVEL = 0.05
DRAWS = 20_000


def main() -> None:
    """Print the error rates, then wordllama's table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=199)
    asked = parser.parse_args()
    data = embed("pydoc", ENCODER, max_queries=1000)
    drawn = sample(data, 0)
    begun = time.perf_counter()
    orders = (None, *permutations(data.full_dim, asked.count, 0))
    values = np.array([drawn.quality(DIMENSIONS, order) for order in orders])
    seconds = time.perf_counter() - begun
    print(f"{asked.count} permutations of {len(drawn.rows)} pairs in {seconds:.1f} s")
    others = values[1:]
    rates = {"better": [], "worse": []}
    for i in range(len(others)):
        turn = np.concatenate([others[i : i + 1], np.delete(others, i, axis=0)])
        for word, p in _corrected(turn).items():
            rates[word].append((p <= LEVEL).any())
    rng = np.random.default_rng(0)
    best_of_five = np.mean(
        [
            (others[chosen[0]] > others[chosen[1:]].max(axis=0)).any()
            for chosen in (rng.choice(len(others), 6, replace=False) for _ in range(DRAWS))
        ]
    )
    print(f"a random permutation is called, at one of {len(DIMENSIONS)} dimensions or more:")
    for word, found in rates.items():
        print(f"  {word} by rank, Holm: {np.mean(found):.1%} (nominal {LEVEL:.0%})")
    print(f"  better than the best of five, uncorrected: {best_of_five:.1%}")
    corrected = _corrected(values)
    print("| d | truncation | permutations, 2.5–97.5 % | p better | Holm | p worse | said |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for j, d in enumerate(DIMENSIONS):
        row = ranked(values[:, j])
        said = [f"shown {word}" for word, p in corrected.items() if p[j] <= LEVEL]
        print(
            f"| {d} | {row['subsets_quality']:.3f} "
            f"| {row['subsets_low']:.3f}–{row['subsets_high']:.3f} | {row['subsets_p_better']:.3f} "
            f"| {corrected['better'][j]:.3f} | {row['subsets_p_worse']:.3f} "
            f"| {said[0] if said else 'not distinguished'} |"
        )


def _corrected(values: np.ndarray) -> dict[str, np.ndarray]:
    """Return the p values of (1 + count, d) `values` at each dimension, Holm-corrected."""
    rows = [ranked(column) for column in values.T]
    return {
        word: multipletests([row[f"subsets_p_{word}"] for row in rows], method="holm")[1]
        for word in ("better", "worse")
    }


if __name__ == "__main__":
    main()
