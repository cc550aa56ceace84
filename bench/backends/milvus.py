"""Milvus Lite: Milvus's interface over a file, in a process of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bench.backends import DATABASE, Backend, folder_bytes, padded


class MilvusLite(Backend):
    """Flat or inverted lists behind Milvus's client. Slower than a plain scan: of use as a function. Source: Wang et al. 2021."""

    name = "milvus-lite"
    kind = DATABASE
    module = "milvus_lite"
    install = "pip install pymilvus milvus-lite"
    licence = "Apache-2.0"
    summary = "Milvus Lite: Milvus's interface over a file, not to be timed against others"
    returns_memory = False
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 4, 16, 64]}

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        from pymilvus import DataType, MilvusClient

        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.client = MilvusClient(str(Path(self.folder.name) / "milvus.db"))
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        index = MilvusClient.prepare_index_params()
        lists = max(1, round(lists_per_sqrt_n * len(vectors) ** 0.5))
        index.add_index("vector", index_type="IVF_FLAT", metric_type="IP", params={"nlist": lists})
        self.client.create_collection("items", schema=schema, index_params=index)
        for start in range(0, len(vectors), 1000):
            rows = enumerate(vectors[start : start + 1000], start)
            self.client.insert("items", [{"id": i, "vector": vector} for i, vector in rows])

    def configure(self, *, nprobe: int) -> None:
        self.nprobe = nprobe

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        found = self.client.search(
            "items", list(queries), limit=k, search_params={"metric_type": "IP", "params": {"nprobe": self.nprobe}}
        )
        return padded(([hit["id"] for hit in row] for row in found), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name))

    def close(self) -> None:
        self.client.close()
        self.folder.cleanup()
