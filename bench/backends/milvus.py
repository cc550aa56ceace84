"""Milvus behind a server's URL, and Milvus Lite, its interface over a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, folder_bytes, padded
from bench.backends._servers import Server, fresh_name, leftovers, named

_KEY = "MATRYOSHKA_BENCH_MILVUS_KEY"
_BATCH = 1000


class Milvus(Server):
    """HNSW of Milvus over a prefix. Source: Wang et al. 2021; Malkov & Yashunin 2018.

    Its own rescore is a second request, over the full vectors of the shortlist's ids: it has none in one.
    """

    name = "milvus"
    variable = "MATRYOSHKA_BENCH_MILVUS"
    own_threads = True  # those of the client's connection
    module = "pymilvus"
    install = f"pip install pymilvus, and the URL of a server in {variable} (a token in {_KEY})"
    licence = "Apache-2.0"
    summary = (
        "Milvus by URL: HNSW over a prefix, the full vectors for a rescore in a second request"
    )
    precisions = ("float32", "int8")
    full_width = True
    native_stages = True
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}

    def reconnect(self) -> None:
        from pymilvus import MilvusClient

        self.connection = MilvusClient(named(self.variable), token=named(_KEY))

    def ping(self) -> object:
        return self.connection.list_collections()

    def server_version(self) -> str:
        return f"milvus {self.connection.get_server_version()}"

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        from pymilvus import DataType, MilvusClient

        self.reconnect()
        for name in leftovers(self.connection.list_collections()):
            self.connection.drop_collection(name)
        self.collection = fresh_name()
        self.dimension, full = self.dimension or vectors.shape[1], vectors.shape[1]
        self.rescored = "full" if self.dimension < full else "prefix"
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("prefix", DataType.FLOAT_VECTOR, dim=self.dimension)
        index = MilvusClient.prepare_index_params()
        graph: dict[str, Any] = {"M": M, "efConstruction": ef_construction}
        if self.precision == "int8":
            graph |= {"sq_type": "SQ8", "refine": False}
        kind = "HNSW" if self.precision == "float32" else "HNSW_SQ"
        index.add_index("prefix", index_type=kind, metric_type="COSINE", params=graph)
        if self.rescored == "full":
            schema.add_field("full", DataType.FLOAT_VECTOR, dim=full)
            index.add_index("full", index_type="FLAT", metric_type="COSINE")
        self.connection.create_collection(self.collection, schema=schema, index_params=index)
        for start in range(0, len(vectors), _BATCH):
            rows: list[dict[str, Any]] = [
                {"id": i, "prefix": vector[: self.dimension]}
                for i, vector in enumerate(vectors[start : start + _BATCH], start)
            ]
            if self.rescored == "full":
                for row in rows:
                    row["full"] = vectors[row["id"]]
            self.connection.insert(self.collection, rows)
        # Sealed and indexed before anything is asked: what grows is searched without an index.
        self.connection.flush(self.collection)
        self.connection.load_collection(self.collection)

    def configure(self, *, ef: int) -> None:
        self.ef = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        # One at a time, as an application asks; its answer to many is cut to the shortest.
        return padded((self._ids(query, k) for query in queries), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        rows = []
        for query in queries:
            near = {
                "filter": f"id in {self._ids(query, shortlist)}",
                "limit": k,
                "anns_field": self.rescored,
            }
            found = self.connection.search(self.collection, [query[: self._width()]], **near)
            rows.append([hit["id"] for hit in found[0]])
        return padded(rows, k)

    def _width(self) -> int | None:
        return self.dimension if self.rescored == "prefix" else None

    def _ids(self, query: np.ndarray, k: int) -> list[int]:
        asked = {"metric_type": "COSINE", "params": {"ef": max(self.ef, k)}}
        prefix = [query[: self.dimension]]
        found = self.connection.search(
            self.collection, prefix, limit=k, anns_field="prefix", search_params=asked
        )
        return [hit["id"] for hit in found[0]]

    def size_bytes(self) -> int | None:
        """Bytes of the segments as they are loaded; its interface does not tell those on the disk."""
        try:
            segments = self.connection.list_loaded_segments(self.collection)
        except Exception:  # not every server tells
            return None
        return sum(int(segment.mem_size) for segment in segments) or None

    def close(self) -> None:
        self.connection.drop_collection(self.collection)
        self.connection.close()


class MilvusLite(Backend):
    """Flat or inverted lists behind Milvus's client. Slower than a plain scan: of use as a function. Source: Wang et al. 2021."""

    name = "milvus-lite"
    kind = DATABASE
    own_threads = True
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
            "items",
            list(queries),
            limit=k,
            search_params={"metric_type": "IP", "params": {"nprobe": self.nprobe}},
        )
        return padded(([hit["id"] for hit in row] for row in found), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name))

    def close(self) -> None:
        self.client.close()
        self.folder.cleanup()
