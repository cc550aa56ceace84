"""Random-projection trees with Annoy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend, padded


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
