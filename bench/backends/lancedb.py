"""LanceDB: inverted lists in columnar files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, cells, folder_bytes, padded
from bench.source import Code, Deployment, written


class Lancedb(Backend):
    """IVF-Flat over a table in the Lance format, on disk. Source: LanceDB; Jégou et al. 2011."""

    name = "lancedb"
    kind = DATABASE
    own_threads = True
    deterministic = False  # its k-means starts at random
    module = "lancedb"
    install = "pip install lancedb"
    licence = "Apache-2.0"
    summary = "LanceDB: IVF-Flat in columnar files (starts 55 to 120 threads)"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    label_parameters = ("nprobe",)

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        import lancedb
        import pyarrow as pa

        n, d = vectors.shape
        self.folder = tempfile.TemporaryDirectory()
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), d)
        data = pa.table({"id": pa.array(np.arange(n)), "vector": column})
        self.table = lancedb.connect(self.folder.name).create_table("items", data)
        if n >= _LEAST:
            lists = cells(n, lists_per_sqrt_n)
            self.table.create_index(metric="cosine", index_type="IVF_FLAT", num_partitions=lists)

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

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment, indexed=deployment.n >= _LEAST),
            ("import lancedb", "import pyarrow as pa"),
            ("lancedb", "pyarrow"),
            {"FOLDER": "lance", **deployment.parameters()},
        )


_LEAST = 256
"""Below this number of vectors it cannot build an index, and scans."""

_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION)
    data = pa.table({"id": np.arange(len(vectors)), "vector": column})
    table = lancedb.connect(FOLDER).create_table("items", data, mode="overwrite")
{% if indexed %}
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
    table.create_index(metric="cosine", index_type="IVF_FLAT", num_partitions=lists)
{% endif %}
    return table


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    rows = []
    for query in queries:
        asked = index.search(query).metric("cosine"){{ ".nprobes(NPROBE)" if indexed }}
        rows.append(asked.limit(k).select(["id", "_distance"]).to_arrow()["id"].to_pylist())
    return padded(rows, k)
'''
