"""Vamana graph with Intel's Scalable Vector Search."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend, padded
from bench.source import Code, Deployment, written


class SvsVamana(Backend):
    """Vamana graph of float32 vectors.

    LVQ and LeanVec are left out: they crash on processors other than Intel's. Source: Jayaram
    Subramanya et al. 2019 (DiskANN); Aguerrebere et al. 2023.
    """

    name = "svs-vamana"
    module = "svs"
    install = "pip install scalable-vs"
    licence = "AGPL-3.0"
    summary = "Vamana graph (Intel Scalable Vector Search)"
    build_grid = {"degree": [32, 64], "window": [128]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("degree", "ef")

    def build(self, vectors: np.ndarray, *, degree: int, window: int) -> None:
        import svs

        self.n = len(vectors)
        settings = svs.VamanaBuildParameters(
            graph_max_degree=degree, window_size=window, alpha=0.95
        )
        self.index = svs.Vamana.build(
            settings, vectors, svs.DistanceType.MIP, num_threads=self.threads
        )
        self.index.num_threads = self.threads

    def configure(self, *, ef: int) -> None:
        self.ef = ef
        self.index.search_window_size = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = min(k, self.n)
        if self.ef < asked:
            self.configure(ef=asked)
        return padded(self.index.search(queries, asked)[0], k)

    def save(self, folder: Path) -> None:
        self.index.save(*(str(folder / part) for part in _PARTS))

    def restore(self, folder: Path) -> None:
        import svs

        config, graph, data = (str(folder / part) for part in _PARTS)
        vectors = svs.VectorDataLoader(data, svs.DataType.float32)
        self.index = svs.Vamana(
            config,
            svs.GraphLoader(graph),
            vectors,
            svs.DistanceType.MIP,
            num_threads=self.threads,
        )
        self.n = self.index.size

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import svs",),
            ("scalable-vs",),
            deployment.parameters(),
        )


_PARTS = ("config", "graph", "data")

_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    settings = svs.VamanaBuildParameters(graph_max_degree=DEGREE, window_size=WINDOW, alpha=0.95)
    index = svs.Vamana.build(settings, vectors, svs.DistanceType.MIP, num_threads=THREADS)
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    index.search_window_size = max(EF, k)
    return index.search(queries, k)[0].astype(np.int64)
'''
