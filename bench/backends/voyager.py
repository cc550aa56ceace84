"""HNSW with Voyager."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend, batches, needs_vectors, padded
from bench.backends.precisions import FLOAT32, INT8
from bench.source import Code, Deployment, written

_ROWS = 65_536


class Voyager(Backend):
    """HNSW graph of float32 or int8, Spotify's successor to Annoy. Source: Spotify 2023."""

    name = "voyager"
    module = "voyager"
    install = "pip install voyager"
    licence = "Apache-2.0"
    summary = "HNSW graph of float32 or int8 (Voyager)"
    precisions = (FLOAT32, INT8)
    build_grid = {"M": [16, 32], "ef_construction": [200], "seed": [1]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int, seed: int) -> None:
        from voyager import Index, Space, StorageDataType

        needs_vectors(vectors)
        plain = self.precision == "float32"
        kind = StorageDataType.Float32 if plain else StorageDataType.Float8
        self.index = Index(
            Space.InnerProduct,
            vectors.shape[1],
            M=M,
            ef_construction=ef_construction,
            random_seed=seed,
            max_elements=len(vectors),
            storage_data_type=kind,
        )
        # Float8 divides -1…1 into 127 steps each way, for every component alike.
        # Stretch the vectors to use the whole range.
        largest = max(float(vectors.max()), -float(vectors.min()), 1e-9)
        self.scale = np.float32(1.0 if plain else 1 / largest)
        for _, block in batches(vectors, _ROWS):
            self.index.add_items(block * self.scale, num_threads=self.threads)

    def configure(self, *, ef: int) -> None:
        self.ef = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = min(k, len(self.index))
        if self.precision == "int8":
            queries = np.clip(queries * self.scale, -1, 1)
        settings = {"num_threads": self.threads, "query_ef": max(self.ef, asked)}
        found = self.index.query(queries, asked, **settings)[0]
        return padded(np.atleast_2d(found), k)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))
        np.save(folder / "scale.npy", self.scale)

    def restore(self, folder: Path) -> None:
        from voyager import Index

        self.index = Index.load(str(folder / "index"))
        self.scale = np.load(folder / "scale.npy", allow_pickle=False)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("from voyager import Index, Space, StorageDataType",),
            ("voyager",),
            deployment.parameters(),
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    index = Index(
        Space.InnerProduct,
        DIMENSION,
        M=M,
        ef_construction=EF_CONSTRUCTION,
        random_seed=SEED,
        max_elements=len(vectors),
        storage_data_type=StorageDataType.{{ "Float8" if precision == "int8" else "Float32" }},
    )
{% if precision == "int8" %}
    # Float8 has 127 steps from 0 to 1 and from 0 to -1: stretch the vectors to use them all.
    scale = np.float32(1 / np.abs(vectors).max())
    index.add_items(vectors * scale, num_threads=THREADS)
    return index, scale
{% else %}
    index.add_items(vectors, num_threads=THREADS)
    return index
{% endif %}


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% if precision == "int8" %}
    index, scale = index
    queries = np.clip(queries * scale, -1, 1)
{% endif %}
    found = index.query(queries, k, num_threads=THREADS, query_ef=max(EF, k))[0]
    return np.atleast_2d(found).astype(np.int64)
'''
