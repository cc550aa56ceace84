"""What an adaptor wins over the best untrained map, in three settings that must be told apart.

``python -m tests.experiments.adaptor --work DIR [--data ../shared/data/beir/scifact …]``

The promise: trained without the documents that the test queries ask for, an adaptor of wordllama
beats truncation, PCA and whitened PCA at 16 to 64 d. The settings:

- the corpus one has: documents of the test queries (not the queries) are trained on;
- documents it never saw: they are left out, the default of ``bench train``;
- a collection it never saw: a whole package is left out and then searched alone (its documents,
  its queries, untrained maps fitted on it), or a BEIR folder that shares nothing.

Beside each stands the control without the prefix objective: the same training with a loss at the
full dimension only, then PCA of the adapted corpus. A difference is paired by query; its 95 %
interval resamples modules, since the queries of a module are alike. Seeded; trainings are kept in
DIR, so that a second call prints at once.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.datasets import load_dataset
from bench.datasets.pydoc import PACKAGES
from bench.embeddings import embed
from bench.exact.one_pass import exact_topk
from bench.quality.measures import relevance
from bench.reducers.adaptor import Adaptor
from bench.reducers.pca import Pca
from bench.training.adaptor import learn
from bench.training.fitting import Settings
from bench.training.held_out import asked_documents
from bench.vectors import normalise

DIMENSIONS = [16, 32, 64, 128, 256]
LEFT_OUT = ("pandas", "scipy", "stdlib")
SUMMED = (
    "adaptor − best untrained",
    "adaptor − control",
    "control − best untrained",
    "adaptor − untrained 256 d",
)
"""The differences that are printed for all collections together."""
RESAMPLES = 5000
ENCODER = "wordllama"


@dataclass(frozen=True)
class Collection:
    """What is searched: vectors, queries, judgements by position, and the group of each query."""

    corpus: np.ndarray
    queries: np.ndarray
    query_ids: list[str]
    qrels: dict[str, dict[str, int]]
    groups: list[str]


def main() -> None:
    """Train what DIR lacks, then print one table per setting."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True, help="folder that keeps the trainings")
    parser.add_argument(
        "--data", action="append", default=[], help="a BEIR folder, never trained on"
    )
    parser.add_argument("--steps", type=int, default=1500)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    train, everything = embed("pydoc", ENCODER, split="train"), embed("pydoc", ENCODER, split="all")
    documents = load_dataset("pydoc", "train").documents
    names = train.doc_ids
    test = _collection("pydoc")
    nothing = np.zeros(len(names), bool)
    elsewhere = [(f"{Path(d).name}", _collection(f"beir:{d}")) for d in asked.data]
    settings = [
        ("own", nothing, [("own corpus", test)]),
        ("unseen", asked_documents("pydoc", names), [("unseen documents", test), *elsewhere]),
    ]
    for package in LEFT_OUT:
        inside = np.array([_package(name) == package for name in names])
        part = [(package, _part(everything, names, inside))]
        # All of the package's queries are new to it, so both splits of the others are trained on.
        settings.append((package, inside, part))
    lines = {name: [] for name in SUMMED}
    for key, hidden, collections in settings:
        data = train if key in ("own", "unseen") else everything
        maps = {}
        for kind, dimensions in (("adaptor", []), ("no prefix loss, PCA", [train.full_dim])):
            path = (
                asked.work / f"{key}-{'prefix' if kind == 'adaptor' else 'full'}-{asked.steps}.npy"
            )
            if not path.exists():
                chosen = Settings(form="linear", steps=asked.steps, dimensions=dimensions)
                found = learn(data, documents, chosen, hidden)
                np.save(path, found.adaptor.arrays["linear"])
                print(f"{key}, {kind}: {found.steps} steps", flush=True)
            maps[kind] = np.load(path)
        for name, collection in collections:
            for row, shown in _print(name, collection, maps).items():
                lines[row].append(f"| {name} | {' | '.join(shown)} |")
    for row, shown in lines.items():
        print(
            f"\n| {row} | {' | '.join(map(str, DIMENSIONS))} |\n| --- {'| --- ' * len(DIMENSIONS)}|"
        )
        print("\n".join(shown))


def _package(name: str) -> str:
    first = name.partition(".")[0]
    return first if first in PACKAGES else "stdlib"


def _collection(dataset: str) -> Collection:
    data = embed(dataset, ENCODER)
    groups = list(data.groups or data.query_ids)
    return Collection(data.corpus, data.queries, data.query_ids, data.qrels, groups)


def _part(data, names: list[str], inside: np.ndarray) -> Collection:
    """Return the documents `inside` (n,) bool as a collection with their own queries."""
    kept = np.flatnonzero(inside)
    position = {str(old): str(new) for new, old in enumerate(kept.tolist())}
    rows = [i for i, q in enumerate(data.query_ids) if set(data.qrels[q]) <= position.keys()]
    ids = [data.query_ids[i] for i in rows]
    qrels = {q: {position[d]: g for d, g in data.qrels[q].items()} for q in ids}
    groups = [data.groups[i] for i in rows]
    return Collection(data.corpus[kept], data.queries[rows], ids, qrels, groups)


def _print(title: str, data: Collection, maps: dict[str, np.ndarray]) -> dict[str, list[str]]:
    """Print the table of one collection; return its differences as text, by the names `SUMMED`."""
    quality = {"truncation": _scores(data, None)}
    for name, reducer in (("PCA", Pca()), ("whitened PCA", Pca(whiten=True))):
        reducer.fit(data.corpus)
        quality[name] = _scores(data, lambda block, r=reducer: r.map(normalise(block)))
    untrained = list(quality)
    for name, linear in maps.items():
        adaptor = Adaptor.of({"linear": linear})
        if name == "adaptor":
            quality[name] = _scores(data, lambda block, a=adaptor: a.map(normalise(block)))
            continue
        adapted = replace(data, corpus=adaptor.map(normalise(data.corpus)))
        adapted = replace(adapted, queries=adaptor.map(normalise(data.queries)))
        pca = Pca()
        pca.fit(adapted.corpus)
        quality[name] = _scores(adapted, lambda block, r=pca: r.map(normalise(block)))
    draw = Clusters(data.groups)
    print(
        f"\n{title}: {len(data.query_ids):,} queries in {draw.n} groups, {len(data.corpus):,} documents"
    )
    print(f"| nDCG@10 | {' | '.join(map(str, DIMENSIONS))} |\n| --- {'| --- ' * len(DIMENSIONS)}|")
    for name, found in quality.items():
        print(f"| {name} | {' | '.join(_short(found[d].mean()) for d in DIMENSIONS)} |")
    best = {d: max(untrained, key=lambda n, d=d: quality[n][d].mean()) for d in DIMENSIONS}
    adaptor, control = quality["adaptor"], quality["no prefix loss, PCA"]
    pairs = (
        (adaptor, {d: quality[best[d]][d] for d in DIMENSIONS}),
        (adaptor, control),
        (control, {d: quality[best[d]][d] for d in DIMENSIONS}),
        (adaptor, dict.fromkeys(DIMENSIONS, quality[best[256]][256])),
    )
    print(f"best untrained: {', '.join(f'{d} d {name}' for d, name in best.items())}", flush=True)
    return {
        name: [draw.shown(one[d] - other[d]) for d in DIMENSIONS]
        for name, (one, other) in zip(SUMMED, pairs, strict=True)
    }


def _scores(data: Collection, transform) -> dict[int, np.ndarray]:
    found = exact_topk(data.queries, data.corpus, DIMENSIONS, 10, transform=transform)
    return {
        d: relevance(ids, data.query_ids, data.qrels, 10)["ndcg_at_10"]
        for d, (ids, _) in found.items()
    }


class Clusters:
    """A bootstrap that draws whole groups of queries. Source: Davison & Hinkley 1997, 3.8."""

    def __init__(self, groups: list[str], seed: int = 0) -> None:
        names, self.of = np.unique(groups, return_inverse=True)
        self.n = len(names)
        rng = np.random.default_rng(seed)
        self.drawn = rng.multinomial(self.n, np.full(self.n, 1 / self.n), size=RESAMPLES)
        self.sizes = np.bincount(self.of, minlength=self.n)

    def means(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of (q,) `values` in each resample, (RESAMPLES,)."""
        sums = np.bincount(self.of, weights=values, minlength=self.n)
        return (self.drawn @ sums) / (self.drawn @ self.sizes)

    def shown(self, values: np.ndarray) -> str:
        """Return the mean of (q,) `values` with its 95 % interval."""
        low, high = np.quantile(self.means(values), [0.025, 0.975])
        return f"{_short(values.mean(), '+')} [{_short(low)}, {_short(high)}]"


def _short(value: float, sign: str = "") -> str:
    return f"{value:{sign}.3f}".replace("0.", ".", 1).replace("-", "−")


if __name__ == "__main__":
    main()
