"""A graph of nearest neighbours with PyNNDescent."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from bench.backends import Backend, padded


class Pynndescent(Backend):
    """A pruned graph of nearest neighbours, compiled as it runs. Source: Dong et al. 2011; McInnes, PyNNDescent."""

    name = "pynndescent"
    module = "pynndescent"
    install = "pip install pynndescent"
    licence = "BSD-2-Clause"
    summary = "nearest-neighbour graph (PyNNDescent); compiles for half a minute at first"
    build_grid = {"n_neighbors": [30], "seed": [42]}
    search_grid = {"epsilon": [0.0, 0.1, 0.2, 0.3, 0.4]}

    def build(self, vectors: np.ndarray, *, n_neighbors: int, seed: int) -> None:
        import pynndescent

        self.n = len(vectors)
        self.vectors = vectors if self.n < _LEAST else None
        if self.vectors is None:
            self.index = pynndescent.NNDescent(
                vectors,
                metric="dot",
                n_neighbors=n_neighbors,
                random_state=seed,
                n_jobs=self.threads,
            )
            self.index.prepare()

    def configure(self, *, epsilon: float) -> None:
        self.epsilon = epsilon

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if self.vectors is not None:
            return padded(np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")[:, :k], k)
        return padded(self.index.query(queries, k=min(k, self.n), epsilon=self.epsilon)[0], k)

    def save(self, folder: Path) -> None:
        held = self.index if self.vectors is None else self.vectors
        (folder / "index").write_bytes(pickle.dumps((self.n, held)))

    def restore(self, folder: Path) -> None:
        self.n, held = pickle.loads((folder / "index").read_bytes())
        self.vectors = held if self.n < _LEAST else None
        if self.vectors is None:
            self.index = held


_LEAST = 100
"""Fewer vectors than a few neighbourhoods make no graph; they are compared one by one."""
