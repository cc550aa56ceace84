"""How often the verdict finds the trained dimensions of a model, and how often it finds others.

``python -m tests.experiments.trained_dimensions [--models 40] [--real DATASET ENCODER …]``

The promise: where nothing is trained, a step is shown at any dimension in 5 % of models at most.
The models are linear, so that what the Matryoshka loss leads to is known: the first m coordinates
hold the m directions that matter most, in a rotation of them that the loss does not tell apart. So
a model is a Gaussian with a falling spectrum, rotated at random within each block of coordinates
between two trained dimensions. ``none`` is one rotation of all; ``every`` is no rotation, as if
every dimension had been trained: there the worth falls everywhere. ``--real`` names a dataset and
an encoder, as in a study, on which the test is run as the exact pass runs it. Seeded.
"""

import argparse
from itertools import pairwise

import numpy as np

from bench.analysis.worth import Step, found_steps
from bench.embeddings import embed
from bench.exact.one_pass import exact_ranks
from bench.measuring.subsets import permutations, ranked, sample

FULL, DOCUMENTS, QUERIES = 128, 3_000, 300
DIMENSIONS = [8, 16, 24, 32, 48, 64, 96]
MODELS = {"none": (), "16": (16,), "32": (32,), "32 and 64": (32, 64), "every": range(1, FULL)}
REAL = [8, 16, 32, 64, 96, 128, 192]
COUNT = 199


def main() -> None:
    """Print how often a step is shown at each dimension, by model; then the real models."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", type=int, default=40)
    parser.add_argument("--real", action="append", nargs=2, default=[])
    parser.add_argument("--only", choices=MODELS, help="one of the models")
    asked = parser.parse_args()
    print(f"| trained at | {' | '.join(f'{d} d' for d in DIMENSIONS)} | at any |")
    print(f"| --- {'| --- ' * (len(DIMENSIONS) + 1)}|")
    for name, trained in MODELS.items():
        if asked.only not in (None, name):
            continue
        shown = np.array(
            [[s.shown for s in steps_of(*model(trained, seed))] for seed in range(asked.models)]
        )
        cells = [*shown.mean(axis=0), shown.any(axis=1).mean()]
        print(f"| {name} | {' | '.join(f'{cell:.0%}' for cell in cells)} |", flush=True)
    for dataset, encoder in asked.real:
        data = embed(dataset, encoder, max_queries=1000)
        drawn, full = sample(data, 0), data.full_dim
        dims = [d for d in REAL if d < full]
        orders = (None, *permutations(full, COUNT, 0))
        values = np.array([drawn.quality([*dims, full], order) for order in orders])
        print(f"\n{dataset.rpartition('/')[2]}, {len(drawn.rows)} pairs")
        print(
            "| d | worth | each before | each after | p | step |\n| --- | --- | --- | --- | --- | --- |"
        )
        for s in _steps(values, dims, full):
            word = "shown" if s.shown else ""
            print(
                f"| {s.dim} | {s.worth:.0f} | {s.before:.2f} | {s.after:.2f} | {s.p_value:.3f} "
                f"| {word} |"
            )


def model(trained, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return documents (n, D), queries (q, D) and the document that each query asks for (q,)."""
    rng = np.random.default_rng(seed)
    spread = np.arange(1, FULL + 1) ** -0.5
    documents = rng.standard_normal((DOCUMENTS, FULL)) * spread
    asked = rng.choice(DOCUMENTS, QUERIES, replace=False)
    noise = 4 * spread.mean() * rng.standard_normal((QUERIES, FULL))
    queries = documents[asked] + noise
    rotation, edges = np.zeros((FULL, FULL)), [0, *trained, FULL]
    for first, last in pairwise(edges):
        square = rng.standard_normal((last - first, last - first))
        rotation[first:last, first:last] = np.linalg.qr(square)[0]
    return (documents @ rotation).astype(np.float32), (queries @ rotation).astype(np.float32), asked


def steps_of(documents: np.ndarray, queries: np.ndarray, asked: np.ndarray) -> list[Step]:
    """Return the steps of a model, with as many random subsets as the exact pass draws."""
    pairs = np.arange(len(queries)), asked
    values = []
    for order in (np.arange(FULL), *permutations(FULL, COUNT, 0)):
        found = exact_ranks(
            np.ascontiguousarray(queries[:, order]),
            np.ascontiguousarray(documents[:, order]),
            [*DIMENSIONS, FULL],
            pairs,
        )
        gains = [
            np.where(r <= 10, 1 / np.log2(r + 1.0), 0).mean() for _, r in sorted(found.items())
        ]
        values.append(gains)
    return _steps(np.array(values), DIMENSIONS, FULL)


def _steps(values: np.ndarray, dims: list[int], full: int) -> list[Step]:
    rows = [ranked(column) for column in values.T[:-1]]
    best = values[0, -1]
    spread = [(row["subsets_high"] - row["subsets_low"]) / 3.92 for row in rows]
    return found_steps(
        np.array([*dims, full]),
        np.array([*(row["subsets_quality"] for row in rows), best]),
        np.array([*(row["subsets_median"] for row in rows), best]),
        np.array([*spread, 0.0]),
    )


if __name__ == "__main__":
    main()
