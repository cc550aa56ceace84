"""Milvus by URL, and Milvus Lite, the same interface over a file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, batches, cells, folder_bytes, padded
from bench.backends._servers import PrefixAndFull, Server, named, take_name
from bench.backends.precisions import FLOAT32, INT8
from bench.source import Code, Deployment, Expression, written

_BATCH = 1000


class Milvus(PrefixAndFull, Server):
    """HNSW of Milvus over a prefix. Source: Wang et al. 2021; Malkov & Yashunin 2018.

    Milvus cannot rescore in the same request. A second request searches the full vectors of the
    shortlist's ids.
    """

    name = "milvus"
    variable = "MATRYOSHKA_BENCH_MILVUS"
    key_variable = "MATRYOSHKA_BENCH_MILVUS_KEY"
    own_threads = True  # the client's connection pool
    module = "pymilvus"
    install = (
        f"pip install pymilvus, and the URL of a server in {variable} (a token in {key_variable})"
    )
    licence = "Apache-2.0"
    summary = "Milvus by URL: HNSW over a prefix, own rescore in a second request"
    precisions = (FLOAT32, INT8)
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def reconnect(self) -> None:
        from pymilvus import MilvusClient

        self.connection = MilvusClient(named(self.variable), token=named(self.key_variable))

    def ping(self) -> object:
        return self.connection.list_collections()

    def server_version(self) -> str:
        return f"milvus {self.connection.get_server_version()}"

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        from pymilvus import DataType, MilvusClient

        self.reconnect()
        there = self.connection.list_collections()
        self.collection = take_name(there, self.connection.drop_collection)
        self.set_dimensions(vectors)
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
            schema.add_field("full", DataType.FLOAT_VECTOR, dim=self.full_dimension)
            index.add_index("full", index_type="FLAT", metric_type="COSINE")
        self.connection.create_collection(self.collection, schema=schema, index_params=index)
        for start, block in batches(vectors, _BATCH):
            rows = [{"id": i, **self.fields(vector)} for i, vector in enumerate(block, start)]
            self.connection.insert(self.collection, rows)
        # Growing segments are searched without an index, so seal and index all before any search.
        self.connection.flush(self.collection)
        self.connection.load_collection(self.collection)

    def configure(self, *, ef: int) -> None:
        self.ef = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        # One query per request, as an application does; results of a batch have the same length.
        return padded((self._ids(query, k) for query in queries), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        rows = []
        for query in queries:
            near = {"filter": f"id in {self._ids(query, shortlist)}", "limit": k}
            vector = self.fields(query)[self.rescored]
            found = self.connection.search(
                self.collection, [vector], anns_field=self.rescored, **near
            )
            rows.append([hit["id"] for hit in found[0]])
        return padded(rows, k)

    def _ids(self, query: np.ndarray, k: int) -> list[int]:
        asked = {"metric_type": "COSINE", "params": {"ef": max(self.ef, k)}}
        prefix = [query[: self.dimension]]
        found = self.connection.search(
            self.collection, prefix, limit=k, anns_field="prefix", search_params=asked
        )
        return [hit["id"] for hit in found[0]]

    def size_bytes(self) -> int | None:
        """Return the bytes of the loaded segments; sizes on disk are not reported."""
        try:
            segments = self.connection.list_loaded_segments(self.collection)
        except Exception:  # not every server supports it
            return None
        return sum(int(segment.mem_size) for segment in segments) or None

    def close(self) -> None:
        self.connection.drop_collection(self.collection)
        self.connection.close()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import os", "from pymilvus import DataType, MilvusClient"),
            ("pymilvus",),
            {
                "URI": Expression('os.environ.get("MILVUS_URL", "http://localhost:19530")'),
                "TOKEN": Expression('os.environ.get("MILVUS_TOKEN", "")'),
                "COLLECTION": "items",
                **deployment.parameters(),
            },
        )


class MilvusLite(Backend):
    """Inverted lists behind Milvus's client, to try the interface. Source: Wang et al. 2021.

    It is slower than a plain scan, so its times say nothing about Milvus.
    """

    name = "milvus-lite"
    kind = DATABASE
    own_threads = True
    module = "milvus_lite"
    install = "pip install pymilvus milvus-lite"
    licence = "Apache-2.0"
    summary = "Milvus Lite: Milvus's interface over a file, not for timing"
    returns_memory = False
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 4, 16, 64]}
    label_parameters = ("nprobe",)

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        from pymilvus import DataType, MilvusClient

        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.client = MilvusClient(str(Path(self.folder.name) / "milvus.db"))
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=vectors.shape[1])
        index = MilvusClient.prepare_index_params()
        lists = {"nlist": cells(len(vectors), lists_per_sqrt_n)}
        index.add_index("vector", index_type="IVF_FLAT", metric_type="IP", params=lists)
        self.client.create_collection("items", schema=schema, index_params=index)
        for start, block in batches(vectors, _BATCH):
            rows = [{"id": i, "vector": vector} for i, vector in enumerate(block, start)]
            self.client.insert("items", rows)

    def configure(self, *, nprobe: int) -> None:
        self.nprobe = nprobe

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = {"metric_type": "IP", "params": {"nprobe": self.nprobe}}
        found = self.client.search("items", list(queries), limit=k, search_params=asked)
        return padded(([hit["id"] for hit in row] for row in found), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name))

    def close(self) -> None:
        self.client.close()
        self.folder.cleanup()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_LITE_CODE, deployment),
            ("from pymilvus import DataType, MilvusClient",),
            ("pymilvus", "milvus-lite"),
            {"FILE": "milvus.db", **deployment.parameters()},
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    client = MilvusClient(URI, token=TOKEN)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("prefix", DataType.FLOAT_VECTOR, dim=DIMENSION)
    indexes = MilvusClient.prepare_index_params()
    indexes.add_index(
        "prefix",
        index_type="{{ "HNSW_SQ" if precision == "int8" else "HNSW" }}",
        metric_type="COSINE",
{% if precision == "int8" %}
        params={"M": M, "efConstruction": EF_CONSTRUCTION, "sq_type": "SQ8", "refine": False},
{% else %}
        params={"M": M, "efConstruction": EF_CONSTRUCTION},
{% endif %}
    )
{% if prefixed %}
    schema.add_field("full", DataType.FLOAT_VECTOR, dim=FULL_DIMENSION)
    indexes.add_index("full", index_type="FLAT", metric_type="COSINE")
{% endif %}
    client.create_collection(COLLECTION, schema=schema, index_params=indexes)
    for start in range(0, len(vectors), 1000):
        block = enumerate(vectors[start : start + 1000], start)
{% if prefixed %}
        rows = [{"id": i, "prefix": each[:DIMENSION], "full": each} for i, each in block]
{% else %}
        rows = [{"id": i, "prefix": each} for i, each in block]
{% endif %}
        client.insert(COLLECTION, rows)
    # Growing segments are searched without an index, so seal them.
    client.flush(COLLECTION)
    client.load_collection(COLLECTION)
    return client


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% set wanted = "SHORTLIST" if native else "k" %}
    params = {"metric_type": "COSINE", "params": {"ef": max(EF, {{ wanted }})}}
    rows = []
    for query in queries:
        found = index.search(
            COLLECTION,
            [query{{ "[:DIMENSION]" if prefixed }}],
            limit={{ wanted }},
            anns_field="prefix",
            search_params=params,
        )
{% if native %}
        ids = [hit["id"] for hit in found[0]]
        found = index.search(
            COLLECTION,
            [query],
            limit=k,
            anns_field="{{ "full" if prefixed else "prefix" }}",
            filter=f"id in {ids}",
        )
{% endif %}
        rows.append([hit["id"] for hit in found[0]])
    return padded(rows, k)
'''
_LITE_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    client = MilvusClient(FILE)
    schema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=DIMENSION)
    lists = {"nlist": round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)}
    indexes = MilvusClient.prepare_index_params()
    indexes.add_index("vector", index_type="IVF_FLAT", metric_type="IP", params=lists)
    client.create_collection("items", schema=schema, index_params=indexes)
    for start in range(0, len(vectors), 1000):
        block = enumerate(vectors[start : start + 1000], start)
        client.insert("items", [{"id": i, "vector": vector} for i, vector in block])
    return client


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    params = {"metric_type": "IP", "params": {"nprobe": NPROBE}}
    found = index.search("items", list(queries), limit=k, search_params=params)
    return padded(([hit["id"] for hit in row] for row in found), k)
'''
