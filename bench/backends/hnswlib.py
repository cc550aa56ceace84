"""HNSW with hnswlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, padded
from bench.source import Code, Deployment, written


class Hnswlib(Backend):
    """HNSW graph over float32 vectors, by its inventors. Source: Malkov & Yashunin 2018."""

    name = "hnswlib"
    module = "hnswlib"
    install = "pip install hnswlib"
    licence = "Apache-2.0"
    summary = "HNSW graph (hnswlib)"
    build_grid = {"M": [16, 32], "ef_construction": [200], "seed": [100]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")
    index: Any = None

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int, seed: int) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        self.index.init_index(len(vectors), ef_construction=ef_construction, M=M, random_seed=seed)
        self.index.set_num_threads(self.threads)
        self.index.add_items(vectors)

    def built(self) -> int | None:
        return self.index.get_current_count() if self.index else None

    def configure(self, *, ef: int) -> None:
        self.ef = ef
        self.index.set_ef(ef)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        count = self.index.get_current_count()
        if self.ef < k:
            self.ef = k
            self.index.set_ef(k)
        asked = min(k, count)
        return padded(self.index.knn_query(queries, k=asked, num_threads=self.threads)[0], k)

    def save(self, folder: Path) -> None:
        self.index.save_index(str(folder / "index"))

    def restore(self, folder: Path) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=self.dimension)
        self.index.load_index(str(folder / "index"))
        self.index.set_num_threads(self.threads)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import hnswlib",),
            ("hnswlib",),
            deployment.parameters(),
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    index = hnswlib.Index(space="ip", dim=DIMENSION)
    index.init_index(len(vectors), M=M, ef_construction=EF_CONSTRUCTION, random_seed=SEED)
    index.set_num_threads(THREADS)
    index.add_items(vectors)
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    index.set_ef(max(EF, k))
    return index.knn_query(queries, k)[0].astype(np.int64)
'''
