"""Random-projection trees with Annoy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend, padded
from bench.source import Code, Deployment, written


class Annoy(Backend):
    """A forest of random hyperplane splits. Source: Bernhardsson, Annoy, 2013."""

    name = "annoy"
    module = "annoy"
    install = "pip install annoy (needs a C++ compiler)"
    licence = "Apache-2.0"
    summary = "random-projection trees (Annoy)"
    build_grid = {"n_trees": [10, 50, 200], "seed": [42]}
    search_grid = {"search_k": [100, 400, 1600, 6400, 25600, 102400]}
    label_parameters = ("n_trees", "search_k")

    def build(self, vectors: np.ndarray, *, n_trees: int, seed: int) -> None:
        from annoy import AnnoyIndex

        self.index = AnnoyIndex(vectors.shape[1], "angular")
        self.index.set_seed(seed)
        for position, vector in enumerate(vectors):
            self.index.add_item(position, vector)
        self.index.build(n_trees, n_jobs=1)

    def configure(self, *, search_k: int) -> None:
        self.search_k = search_k

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ask = self.index.get_nns_by_vector
        return padded((ask(query, k, self.search_k) for query in queries), k)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def restore(self, folder: Path) -> None:
        from annoy import AnnoyIndex

        self.index = AnnoyIndex(int(self.dimension or 0), "angular")
        self.index.load(str(folder / "index"))

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("from annoy import AnnoyIndex",),
            ("annoy",),
            deployment.parameters(),
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    index = AnnoyIndex(DIMENSION, "angular")
    index.set_seed(SEED)
    for position, vector in enumerate(vectors):
        index.add_item(position, vector)
    index.build(N_TREES, n_jobs=1)
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    return padded((index.get_nns_by_vector(query, k, SEARCH_K) for query in queries), k)
'''
