"""Measure the gain of trained adaptors on real collections: per loss, and across collections.

``python -m tests.benchmarks.adaptors ENCODER --train pydoc [--train beir:…] --score pydoc …``
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from bench.embeddings import embed
from bench.exact.one_pass import exact_topk
from bench.quality.intervals import Bootstrap
from bench.quality.measures import relevance
from bench.reducers import get_reducer
from bench.training.adaptor import train
from bench.training.fitting import Settings
from bench.vectors import normalise


def main() -> None:
    """Print nDCG@10 per method and dimension, and each adaptor's gain with a paired interval.

    The gain is over the best other method.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("encoder")
    parser.add_argument("--train", action="append", required=True)
    parser.add_argument("--score", action="append", required=True)
    parser.add_argument("--losses", default="infonce,passages,kl")
    parser.add_argument("--forms", default="linear")
    parser.add_argument("--dimensions", default="16,32,64,128,384")
    parser.add_argument("--steps", type=int, default=1500)
    asked = parser.parse_args()
    dimensions = [int(d) for d in asked.dimensions.split(",")]
    adaptors = {}
    for dataset in asked.train:
        for loss in asked.losses.split(","):
            for form in asked.forms.split(","):
                name = f"{form} {loss} of {Path(dataset).name}"
                folder = tempfile.mkdtemp()
                settings = Settings(form=form, loss=loss, steps=asked.steps)
                found = train(dataset, asked.encoder, folder, settings)
                print(f"{name}: {found.steps} steps, {found.seconds:.0f} s", flush=True)
                adaptors[name] = get_reducer("adaptor")(asked.encoder, path=folder)
    for dataset in asked.score:
        _score(dataset, asked.encoder, dimensions, adaptors)


def _score(dataset, encoder, dimensions, adaptors) -> None:
    data = embed(dataset, encoder)
    methods = {"truncate": get_reducer("truncate")(), "pca": get_reducer("pca")()}
    methods |= {f"subset {seed}": get_reducer("random_subset")(seed=seed) for seed in range(5)}
    values = {}
    for name, reducer in {**methods, **adaptors}.items():
        reducer.fit(data.corpus)
        found = exact_topk(
            data.queries,
            data.corpus,
            dimensions,
            10,
            transform=lambda block, r=reducer: r.map(normalise(block)),
        )
        values[name] = {
            d: relevance(ids, data.query_ids, data.qrels, 10)["ndcg_at_10"]
            for d, (ids, _) in found.items()
        }
    subsets = [values.pop(f"subset {seed}") for seed in range(5)]
    values["random subset"] = {d: np.mean([s[d] for s in subsets], axis=0) for d in dimensions}
    print(f"\n{dataset}, {len(data.query_ids)} queries; nDCG@10 at {dimensions}")
    for name, curve in values.items():
        print(f"  {name:32}", "  ".join(f"{curve[d].mean():.3f}" for d in dimensions))
    bootstrap = Bootstrap(len(data.query_ids))
    for name in adaptors:
        gains = []
        for d in dimensions:
            best = max(
                ("truncate", "pca", "random subset"), key=lambda other, d=d: values[other][d].mean()
            )
            gains.append(
                "{:+.3f} [{:+.3f}, {:+.3f}]".format(
                    *bootstrap.mean(values[name][d] - values[best][d])
                )
            )
        print(f"  gain of {name} over the best other:", "  ".join(gains), flush=True)


if __name__ == "__main__":
    main()
