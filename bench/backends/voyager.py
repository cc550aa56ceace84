"""A navigable small-world graph with Voyager."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend, needs_vectors, padded


class Voyager(Backend):
    """HNSW graph, Spotify's successor to Annoy; int8 and a small float besides float32. Source: Spotify, Voyager, 2023."""

    name = "voyager"
    module = "voyager"
    install = "pip install voyager"
    licence = "Apache-2.0"
    summary = "HNSW graph of float32 or int8 (Voyager)"
    precisions = ("float32", "int8")
    build_grid = {"M": [16, 32], "ef_construction": [200], "seed": [1]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int, seed: int) -> None:
        from voyager import Index, Space, StorageDataType

        needs_vectors(vectors)
        kind = StorageDataType.Float32 if self.precision == "float32" else StorageDataType.Float8
        self.index = Index(
            Space.InnerProduct,
            vectors.shape[1],
            M=M,
            ef_construction=ef_construction,
            random_seed=seed,
            storage_data_type=kind,
        )
        # Its float8 holds -1…1 in 127 steps each way, the same for every component: unit vectors fill more of it when stretched.
        self.scale = np.float32(
            1.0 if self.precision == "float32" else 1 / max(float(np.abs(vectors).max()), 1e-9)
        )
        self.index.add_items(vectors * self.scale, num_threads=self.threads)

    def configure(self, *, ef: int) -> None:
        self.ef = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = min(k, len(self.index))
        clipped = np.clip(queries * self.scale, -1, 1) if self.precision == "int8" else queries
        found = self.index.query(
            clipped, asked, num_threads=self.threads, query_ef=max(self.ef, asked)
        )[0]
        return padded(np.atleast_2d(found), k)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))
        np.save(folder / "scale.npy", self.scale)

    def restore(self, folder: Path) -> None:
        from voyager import Index

        self.index = Index.load(str(folder / "index"))
        self.scale = np.load(folder / "scale.npy")
