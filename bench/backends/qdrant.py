"""Qdrant by URL, and its client's in-process mode, a Python imitation for trying the interface."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, padded
from bench.backends._servers import PrefixAndFull, Server, named, take_name
from bench.backends.precisions import BINARY, FLOAT16, FLOAT32, INT8
from bench.source import Code, Deployment, Expression, written

_BATCH = 500
_IMITATION = ":memory:"
"""Instead of a URL, for tests: the client's imitation, without requests or snapshots."""


class Qdrant(PrefixAndFull, Server):
    """HNSW of Qdrant over a prefix, with a rescore ("prefetch") in the same request.

    Source: Malkov & Yashunin 2018.
    """

    name = "qdrant"
    variable = "MATRYOSHKA_BENCH_QDRANT"
    key_variable = "MATRYOSHKA_BENCH_QDRANT_KEY"
    module = "qdrant_client"
    install = (
        "pip install qdrant-client,"
        f" and the URL of a server in {variable} (a key in {key_variable})"
    )
    licence = "Apache-2.0"
    summary = "Qdrant by URL: HNSW over a prefix, own rescore in the same request"
    precisions = (FLOAT32, FLOAT16, INT8, BINARY)
    build_grid = {"M": [16, 32], "ef_construction": [100]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def reconnect(self) -> None:
        from qdrant_client import QdrantClient

        url = named(self.variable)
        key = named(self.key_variable) or None
        where = {"location": url} if url == _IMITATION else {"url": url, "api_key": key}
        self.connection = QdrantClient(**where, timeout=600)

    def ping(self) -> object:
        return self.connection.get_collections()

    def server_version(self) -> str:
        return f"qdrant {self.connection.info().version}"

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        from qdrant_client import models

        self.reconnect()
        there = self.connection.get_collections().collections
        self.collection = take_name((c.name for c in there), self.connection.delete_collection)
        dimension = self.set_dimensions(vectors)
        quantised: Any = None
        if self.precision == "int8":
            scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            quantised = models.ScalarQuantization(scalar=scalar)
        elif self.precision == "binary":
            signs = models.BinaryQuantizationConfig(always_ram=True)
            quantised = models.BinaryQuantization(binary=signs)
        graph = models.HnswConfigDiff(m=M, ef_construct=ef_construction, full_scan_threshold=10)
        schema = {
            "prefix": models.VectorParams(
                size=dimension,
                distance=models.Distance.COSINE,
                datatype=models.Datatype.FLOAT16 if self.precision == "float16" else None,
                quantization_config=quantised,
                hnsw_config=graph,
            )
        }
        if self.rescored == "full":
            # Only read for the shortlist, so it needs no graph.
            schema["full"] = models.VectorParams(
                size=self.full_dimension,
                distance=models.Distance.COSINE,
                hnsw_config=models.HnswConfigDiff(m=0),
            )
        # One segment, indexed however small it is.
        tuned = models.OptimizersConfigDiff(default_segment_number=1, indexing_threshold=1)
        self.connection.create_collection(
            self.collection, vectors_config=schema, optimizers_config=tuned
        )
        points = {name: np.ascontiguousarray(part) for name, part in self.fields(vectors).items()}
        self.connection.upload_collection(
            self.collection, vectors=points, ids=range(len(vectors)), batch_size=_BATCH, wait=True
        )
        # The server builds the graph in the background and reports "yellow" until it is done.
        status = models.CollectionStatus
        while self.connection.get_collection(self.collection).status == status.YELLOW:
            time.sleep(0.1)

    def configure(self, *, ef: int) -> None:
        from qdrant_client import models

        plain = models.QuantizationSearchParams(rescore=False)
        self.parameters = models.SearchParams(hnsw_ef=ef, quantization=plain)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ask = self.connection.query_points
        rows = (ask(self.collection, **self._nearest(query, k)).points for query in queries)
        return padded(([point.id for point in row] for row in rows), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        from qdrant_client import models

        # Rescore with the vectors themselves, not with their quantised form.
        unquantised = models.QuantizationSearchParams(ignore=True)
        exact = models.SearchParams(quantization=unquantised)
        rows = []
        for query in queries:
            first = self._nearest(query, shortlist)
            prefetch = models.Prefetch(
                query=first["query"], using="prefix", limit=shortlist, params=self.parameters
            )
            found = self.connection.query_points(
                self.collection,
                prefetch=prefetch,
                query=query.tolist(),
                using=self.rescored,
                limit=k,
                search_params=exact,
                with_payload=False,
            )
            rows.append([point.id for point in found.points])
        return padded(rows, k)

    def _nearest(self, query: np.ndarray, k: int) -> dict[str, Any]:
        prefix = {"query": query[: self.dimension].tolist(), "using": "prefix"}
        return {**prefix, "limit": k, "search_params": self.parameters, "with_payload": False}

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        from qdrant_client import models

        if named(self.variable) == _IMITATION:
            return None
        ask, taken = self.connection.http.search_api.query_points, []
        for query in queries:
            prefix = query[: self.dimension].tolist()
            request = models.QueryRequest(
                query=prefix, using="prefix", limit=k, params=self.parameters, with_payload=False
            )
            seconds = ask(self.collection, query_request=request).time
            taken.append(1e3 * float(seconds or 0))
        return np.array(taken)

    def size_bytes(self) -> int | None:
        if named(self.variable) == _IMITATION:
            return None
        # A snapshot is the collection as stored on disk, in one file.
        snapshot = self.connection.create_snapshot(self.collection)
        if snapshot is None:
            return None
        self.connection.delete_snapshot(self.collection, snapshot.name)
        return int(snapshot.size)

    def close(self) -> None:
        self.connection.delete_collection(self.collection)
        self.connection.close()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import os", "import time", "from qdrant_client import QdrantClient, models"),
            ("qdrant-client",),
            {
                "URL": Expression('os.environ.get("QDRANT_URL", "http://localhost:6333")'),
                "API_KEY": Expression('os.environ.get("QDRANT_API_KEY")'),
                "COLLECTION": "items",
                **deployment.parameters(),
            },
        )


class QdrantLocal(Backend):
    """Qdrant's whole interface over a numpy scan, to try the interface, not to time it."""

    name = "qdrant-local"
    kind = DATABASE
    module = "qdrant_client"
    install = "pip install qdrant-client"
    licence = "Apache-2.0"
    summary = "Qdrant's in-process mode: a Python imitation of the server, not for timing"
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        from qdrant_client import QdrantClient, models

        self.client = QdrantClient(":memory:")
        size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        self.client.create_collection("items", vectors_config=size)
        self.vectors = vectors
        ids = range(len(vectors))
        self.client.upload_collection("items", vectors=vectors, ids=ids, batch_size=_BATCH)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ask = self.client.query_points
        rows = (ask("items", query=query, limit=k, with_payload=False).points for query in queries)
        return padded(([point.id for point in row] for row in rows), k)

    def size_bytes(self) -> int:
        # It holds only the array and has no serialised form.
        return int(self.vectors.nbytes)

    def close(self) -> None:
        self.client.close()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_LOCAL_CODE, deployment),
            ("from qdrant_client import QdrantClient, models",),
            ("qdrant-client",),
            {},
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    client = QdrantClient(URL, api_key=API_KEY, timeout=600)
{% if precision == "int8" %}
    scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    quantised = models.ScalarQuantization(scalar=scalar)
{% elif precision == "binary" %}
    signs = models.BinaryQuantizationConfig(always_ram=True)
    quantised = models.BinaryQuantization(binary=signs)
{% endif %}
    schema = models.VectorParams(
        size=DIMENSION,
        distance=models.Distance.COSINE,
{% if precision == "float16" %}
        datatype=models.Datatype.FLOAT16,
{% elif precision != "float32" %}
        quantization_config=quantised,
{% endif %}
        hnsw_config=models.HnswConfigDiff(
            m=M, ef_construct=EF_CONSTRUCTION, full_scan_threshold=10
        ),
    )
{% if prefixed %}
    # Only read for the shortlist, so it needs no graph.
    full = models.VectorParams(
        size=FULL_DIMENSION,
        distance=models.Distance.COSINE,
        hnsw_config=models.HnswConfigDiff(m=0),
    )
{% endif %}
    # One segment, indexed however small it is, as in the trial.
    tuned = models.OptimizersConfigDiff(default_segment_number=1, indexing_threshold=1)
    client.create_collection(
        COLLECTION,
        vectors_config={{ '{"prefix": schema, "full": full}' if prefixed else "schema" }},
        optimizers_config=tuned,
    )
{% if prefixed %}
    vectors = {"prefix": vectors[:, :DIMENSION].copy(), "full": vectors}
    ids = range(len(vectors["full"]))
{% else %}
    ids = range(len(vectors))
{% endif %}
    client.upload_collection(COLLECTION, vectors=vectors, ids=ids, wait=True)
    while client.get_collection(COLLECTION).status == models.CollectionStatus.YELLOW:
        time.sleep(0.1)  # it builds the graph in the background
    return client


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% if precision in ("int8", "binary") %}
    plain = models.QuantizationSearchParams(rescore=False)
    near = models.SearchParams(hnsw_ef=EF, quantization=plain)
{% else %}
    near = models.SearchParams(hnsw_ef=EF)
{% endif %}
{% if native %}
    # Rescored with the vectors themselves, not with their quantised form.
    unquantised = models.QuantizationSearchParams(ignore=True)
    exact = models.SearchParams(quantization=unquantised)
{% endif %}
    rows = []
    for query in queries.tolist():
{% if native %}
        first = models.Prefetch(
{% if prefixed %}
            query=query[:DIMENSION],
            using="prefix",
{% else %}
            query=query,
{% endif %}
            limit=SHORTLIST,
            params=near,
        )
        found = index.query_points(
            COLLECTION,
            prefetch=first,
            query=query,
{% if prefixed %}
            using="full",
{% endif %}
            limit=k,
            search_params=exact,
            with_payload=False,
        )
{% else %}
        found = index.query_points(
            COLLECTION, query=query, limit=k, search_params=near, with_payload=False
        )
{% endif %}
        rows.append([point.id for point in found.points])
    return padded(rows, k)
'''
_LOCAL_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    client = QdrantClient(":memory:")
    size = models.VectorParams(size=DIMENSION, distance=models.Distance.COSINE)
    client.create_collection("items", vectors_config=size)
    client.upload_collection("items", vectors=vectors, ids=range(len(vectors)))
    return client


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    ask = index.query_points
    found = (ask("items", query=query, limit=k).points for query in queries)
    return padded(([point.id for point in points] for points in found), k)
'''
