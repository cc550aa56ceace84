"""Qdrant behind a server's URL, and the in-process mode of its client, an imitation in Python for trying things out."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, padded
from bench.backends._servers import Server, fresh_name, leftovers, named

_KEY = "MATRYOSHKA_BENCH_QDRANT_KEY"
_IMITATION = ":memory:"
"""In place of a URL: the client's own imitation of a server, which makes no requests and no snapshots. Of use for a test."""


class Qdrant(Server):
    """HNSW of Qdrant over a prefix; its prefetch narrows the shortlist with the full vectors in the same request.

    Source: Malkov & Yashunin 2018.
    """

    name = "qdrant"
    variable = "MATRYOSHKA_BENCH_QDRANT"
    module = "qdrant_client"
    install = f"pip install qdrant-client, and the URL of a server in {variable} (a key in {_KEY})"
    licence = "Apache-2.0"
    summary = "Qdrant by URL: HNSW over a prefix, the full vectors for its own rescore in the same request"
    precisions = ("float32", "float16", "int8", "binary")
    full_width = True
    native_stages = True
    build_grid = {"M": [16, 32], "ef_construction": [100]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}

    def reconnect(self) -> None:
        from qdrant_client import QdrantClient

        url = named(self.variable)
        where = (
            {"location": url} if url == _IMITATION else {"url": url, "api_key": named(_KEY) or None}
        )
        self.connection = QdrantClient(**where, timeout=600)

    def ping(self) -> object:
        return self.connection.get_collections()

    def server_version(self) -> str:
        return f"qdrant {self.connection.info().version}"

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        from qdrant_client import models

        self.reconnect()
        for name in leftovers(
            found.name for found in self.connection.get_collections().collections
        ):
            self.connection.delete_collection(name)
        self.collection = fresh_name()
        self.dimension, full = self.dimension or vectors.shape[1], vectors.shape[1]
        self.rescored = "full" if self.dimension < full else "prefix"
        quantised: Any = None
        if self.precision == "int8":
            scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
            quantised = models.ScalarQuantization(scalar=scalar)
        elif self.precision == "binary":
            quantised = models.BinaryQuantization(
                binary=models.BinaryQuantizationConfig(always_ram=True)
            )
        fields = {
            "prefix": models.VectorParams(
                size=self.dimension,
                distance=models.Distance.COSINE,
                datatype=models.Datatype.FLOAT16 if self.precision == "float16" else None,
                quantization_config=quantised,
                hnsw_config=models.HnswConfigDiff(
                    m=M, ef_construct=ef_construction, full_scan_threshold=10
                ),
            )
        }
        points = {"prefix": np.ascontiguousarray(vectors[:, : self.dimension])}
        if self.rescored == "full":
            # No graph: it is only ever read for the shortlist.
            none = models.HnswConfigDiff(m=0)
            fields["full"] = models.VectorParams(
                size=full, distance=models.Distance.COSINE, hnsw_config=none
            )
            points["full"] = vectors
        # Every collection is indexed, however small, in one segment.
        tuned = models.OptimizersConfigDiff(default_segment_number=1, indexing_threshold=1)
        self.connection.create_collection(
            self.collection, vectors_config=fields, optimizers_config=tuned
        )
        self.connection.upload_collection(
            self.collection, vectors=points, ids=range(len(vectors)), batch_size=500, wait=True
        )
        while (
            self.connection.get_collection(self.collection).status == models.CollectionStatus.YELLOW
        ):
            time.sleep(0.1)  # it is still building the graph

    def configure(self, *, ef: int) -> None:
        from qdrant_client import models

        plain = models.QuantizationSearchParams(rescore=False)
        self.parameters = models.SearchParams(hnsw_ef=ef, quantization=plain)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        rows = (
            self.connection.query_points(self.collection, **self._nearest(query, k)).points
            for query in queries
        )
        return padded(([point.id for point in row] for row in rows), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        from qdrant_client import models

        # What is rescored is scored by the vectors themselves, not by their quantised form.
        exact = models.SearchParams(quantization=models.QuantizationSearchParams(ignore=True))
        rows = []
        for query in queries:
            first = self._nearest(query, shortlist)
            prefetch = models.Prefetch(
                query=first["query"],
                using=first["using"],
                limit=shortlist,
                params=first["search_params"],
            )
            found = self.connection.query_points(
                self.collection, prefetch=prefetch, query=query.tolist(), using=self.rescored, limit=k,
                search_params=exact, with_payload=False,
            )  # fmt: skip
            rows.append([point.id for point in found.points])
        return padded(rows, k)

    def _nearest(self, query: np.ndarray, k: int) -> dict[str, Any]:
        prefix = query[: self.dimension].tolist()
        return {
            "query": prefix, "using": "prefix", "limit": k, "search_params": self.parameters, "with_payload": False
        }  # fmt: skip

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        from qdrant_client import models

        if named(self.variable) == _IMITATION:
            return None
        ask, taken = self.connection.http.search_api.query_points, []
        for query in queries:
            told = self._nearest(query, k)
            request = models.QueryRequest(
                query=told["query"],
                using="prefix",
                limit=k,
                params=self.parameters,
                with_payload=False,
            )
            taken.append(float(ask(self.collection, query_request=request).time or 0) * 1e3)
        return np.array(taken)

    def size_bytes(self) -> int | None:
        if named(self.variable) == _IMITATION:
            return None
        # A snapshot is the collection as it lies on the disk, in one file.
        snapshot = self.connection.create_snapshot(self.collection)
        if snapshot is None:
            return None
        self.connection.delete_snapshot(self.collection, snapshot.name)
        return int(snapshot.size)

    def close(self) -> None:
        self.connection.delete_collection(self.collection)
        self.connection.close()


class QdrantLocal(Backend):
    """The whole of the service's interface, searched exhaustively with numpy: of use as a function, not as a speed."""

    name = "qdrant-local"
    kind = DATABASE
    module = "qdrant_client"
    install = "pip install qdrant-client"
    licence = "Apache-2.0"
    summary = (
        "Qdrant's in-process mode: a Python imitation of the server, not to be timed against others"
    )
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        from qdrant_client import QdrantClient, models

        self.client = QdrantClient(":memory:")
        size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        self.client.create_collection("items", vectors_config=size)
        self.vectors = vectors
        self.client.upload_collection(
            "items", vectors=vectors, ids=range(len(vectors)), batch_size=1024
        )

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ask = self.client.query_points
        rows = (ask("items", query=query, limit=k, with_payload=False).points for query in queries)
        return padded(([point.id for point in row] for row in rows), k)

    def size_bytes(self) -> int:
        # It holds nothing but the array; there is no serialised form to be measured.
        return int(self.vectors.nbytes)

    def close(self) -> None:
        self.client.close()
