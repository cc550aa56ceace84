"""Nearest-neighbour graph with PyNNDescent."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.backends import Backend, padded
from bench.source import Code, Deployment, written


class Pynndescent(Backend):
    """A pruned nearest-neighbour graph, compiled at run time. Source: Dong et al. 2011; McInnes.

    An index can only be saved by pickling, so it is not: unpickling a file can run anything.
    """

    name = "pynndescent"
    module = "pynndescent"
    install = "pip install pynndescent"
    licence = "BSD-2-Clause"
    summary = "nearest-neighbour graph (PyNNDescent); compiles for half a minute at first"
    build_grid = {"n_neighbors": [30], "seed": [42]}
    search_grid = {"epsilon": [0.0, 0.1, 0.2, 0.3, 0.4]}
    label_parameters = ("epsilon",)

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
            order = np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")
            return padded(order[:, :k], k)
        return padded(self.index.query(queries, k=min(k, self.n), epsilon=self.epsilon)[0], k)

    def size_bytes(self) -> int:
        # Its own way to save is to pickle this state. Beside the arrays that is 15 KB.
        state = self.index.__getstate__() if self.vectors is None else self.vectors
        return _array_bytes(state)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        small = deployment.n < _LEAST
        return Code(
            written(_CODE, deployment, small=small),
            () if small else ("from pynndescent import NNDescent",),
            () if small else ("pynndescent",),
            deployment.parameters(),
        )


def _array_bytes(value: Any) -> int:
    """Return the bytes of all arrays in a value: dense, sparse, and in containers."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return int(value.nbytes)
    if hasattr(value, "indptr"):
        value = [value.data, value.indices, value.indptr]
    inner = value.values() if isinstance(value, dict) else value
    return sum(map(_array_bytes, inner)) if isinstance(value, dict | list | tuple) else 0


_LEAST = 100
"""Below this number of vectors, a few neighbourhoods, there is no graph but a scan."""

_CODE = '''
{% if small %}
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    return vectors  # too few for a graph


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    return np.argsort(-(queries @ index.T), axis=1, kind="stable")[:, :k]
{% else %}
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    index = NNDescent(
        vectors, metric="dot", n_neighbors=N_NEIGHBORS, random_state=SEED, n_jobs=THREADS
    )
    index.prepare()
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    return index.query(queries, k, epsilon=EPSILON)[0].astype(np.int64)
{% endif %}
'''
