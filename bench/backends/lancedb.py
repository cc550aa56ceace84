"""LanceDB: inverted lists in columnar files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, folder_bytes, padded


class Lancedb(Backend):
    """IVF-Flat over a table in the Lance format, on disk. Source: LanceDB; Jégou et al. 2011."""

    name = "lancedb"
    kind = DATABASE
    own_threads = True
    module = "lancedb"
    install = "pip install lancedb"
    licence = "Apache-2.0"
    summary = "LanceDB: IVF-Flat in columnar files (runs 55 to 120 threads of its own)"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        import lancedb
        import pyarrow as pa

        n, d = vectors.shape
        self.folder = tempfile.TemporaryDirectory()
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), d)
        data = pa.table({"id": pa.array(np.arange(n)), "vector": column})
        self.table = lancedb.connect(self.folder.name).create_table("items", data)
        if n >= _LEAST:
            self.table.create_index(
                metric="cosine",
                index_type="IVF_FLAT",
                num_partitions=max(1, round(lists_per_sqrt_n * n**0.5)),
            )

    def configure(self, *, nprobe: int) -> None:
        self.nprobe = nprobe

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded((self._ids(query, k) for query in queries), k)

    def _ids(self, query: np.ndarray, k: int) -> np.ndarray:
        search: Any = self.table.search(query)
        found = search.metric("cosine").nprobes(self.nprobe).limit(k).select(["id"]).to_arrow()
        return np.asarray(found["id"])

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name))

    def close(self) -> None:
        self.folder.cleanup()


_LEAST = 256
"""Fewer vectors are scanned without an index."""
