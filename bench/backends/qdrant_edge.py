"""Qdrant Edge: Qdrant's own engine inside this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, batches, folder_bytes, padded
from bench.backends._servers import PrefixAndFull
from bench.backends.precisions import BINARY, FLOAT16, FLOAT32, INT8
from bench.source import Code, Deployment, written

_BATCH = 1000


class QdrantEdge(PrefixAndFull):
    """HNSW of Qdrant over a prefix, with its own rescore ("prefetch").

    Source: Malkov & Yashunin 2018.
    """

    name = "qdrant-edge"
    kind = DATABASE
    module = "qdrant_edge"
    install = "pip install qdrant-edge-py"
    licence = "Apache-2.0"
    summary = "Qdrant's engine in this process: HNSW over a prefix, own rescore"
    precisions = (FLOAT32, FLOAT16, INT8, BINARY)
    own_threads = True  # its search pool respects the limit, but sometimes one more thread runs
    deterministic = False
    build_grid = {"M": [16, 32], "ef_construction": [100]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        import qdrant_edge as q

        dimension = self.set_dimensions(vectors)
        types = q.VectorStorageDatatype
        stored = types.Float16 if self.precision == "float16" else types.Float32
        quantised: Any = None
        if self.precision == "int8":
            quantised = q.ScalarQuantizationConfig(q.ScalarType.Int8, memory=q.Memory.Pinned)
        elif self.precision == "binary":
            quantised = q.BinaryQuantizationConfig(memory=q.Memory.Pinned)

        def graph(edges: int) -> Any:
            return q.HnswIndexConfig(
                edges, ef_construction, full_scan_threshold=0, max_indexing_threads=self.threads
            )

        schema = {
            "prefix": q.EdgeVectorParams(
                dimension,
                q.Distance.Cosine,
                datatype=stored,
                quantization_config=quantised,
                hnsw_config=graph(M),
            )
        }
        if self.rescored == "full":
            # Only read for the shortlist, so it needs no graph.
            full = q.EdgeVectorParams(self.full_dimension, q.Distance.Cosine, hnsw_config=graph(0))
            schema["full"] = full
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # One segment, indexed however small it is.
        tuned = q.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1)
        config = q.EdgeConfig(
            schema, optimizers=tuned, max_search_threads=self.threads, wal_enabled=False
        )
        self.shard = q.EdgeShard.create(self.folder.name, config)
        for start, block in batches(vectors, _BATCH):
            points = []
            for position, vector in enumerate(block, start):
                fields = {name: part.tolist() for name, part in self.fields(vector).items()}
                points.append(q.Point(position, fields))
            self.shard.update(q.UpdateOperation.upsert_points(points))
        self.shard.optimize()
        self.shard.flush()

    def configure(self, *, ef: int) -> None:
        import qdrant_edge as q

        plain = q.QuantizationSearchParams(rescore=False)
        self.parameters = q.SearchParams(hnsw_ef=ef, quantization=plain)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        import qdrant_edge as q

        prefixes = queries[:, : self.dimension].tolist()
        nearest = (q.Query.Nearest(prefix, "prefix") for prefix in prefixes)
        asked = (q.SearchRequest(query, k, params=self.parameters) for query in nearest)
        rows = (self.shard.search(request) for request in asked)
        return padded(([point.id for point in row] for row in rows), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        import qdrant_edge as q

        rows = []
        for query in queries:
            nearest = q.Query.Nearest(query[: self.dimension].tolist(), "prefix")
            first = q.Prefetch(shortlist, nearest, params=self.parameters)
            # Rescore with the vectors themselves, not with their quantised form.
            exact = q.SearchParams(quantization=q.QuantizationSearchParams(ignore=True))
            second = q.Query.Nearest(query.tolist(), self.rescored)
            request = q.QueryRequest(k, query=second, prefetches=[first], params=exact)
            rows.append(self.shard.query(request))
        return padded(([point.id for point in row] for row in rows), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name), allocated=True)

    def close(self) -> None:
        self.shard.close()
        self.folder.cleanup()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("from pathlib import Path", "import qdrant_edge as q"),
            ("qdrant-edge-py",),
            {"FOLDER": "qdrant", **deployment.parameters()},
        )


_CODE = '''
{% if prefixed %}
def graph(edges):
    """Return the settings of a graph with so many edges per vector."""
    return q.HnswIndexConfig(
        edges, EF_CONSTRUCTION, full_scan_threshold=0, max_indexing_threads=THREADS
    )


{% endif %}
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
{% if not prefixed %}
    graph = q.HnswIndexConfig(
        M, EF_CONSTRUCTION, full_scan_threshold=0, max_indexing_threads=THREADS
    )
{% endif %}
    schema = {
        "prefix": q.EdgeVectorParams(
            DIMENSION,
            q.Distance.Cosine,
{% if precision == "float16" %}
            datatype=q.VectorStorageDatatype.Float16,
{% elif precision == "int8" %}
            quantization_config=q.ScalarQuantizationConfig(
                q.ScalarType.Int8, memory=q.Memory.Pinned
            ),
{% elif precision == "binary" %}
            quantization_config=q.BinaryQuantizationConfig(memory=q.Memory.Pinned),
{% endif %}
            hnsw_config=graph{{ "(M)" if prefixed }},
        ),
{% if prefixed %}
        # Only read for the shortlist, so it needs no graph.
        "full": q.EdgeVectorParams(FULL_DIMENSION, q.Distance.Cosine, hnsw_config=graph(0)),
{% endif %}
    }
    # One segment, indexed however small it is, as in the trial.
    tuned = q.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1)
    config = q.EdgeConfig(schema, optimizers=tuned, max_search_threads=THREADS, wal_enabled=False)
    Path(FOLDER).mkdir()
    shard = q.EdgeShard.create(FOLDER, config)
    for start in range(0, len(vectors), 1000):
        points = []
        for i, vector in enumerate(vectors[start : start + 1000].tolist(), start):
{% if prefixed %}
            points.append(q.Point(i, {"prefix": vector[:DIMENSION], "full": vector}))
{% else %}
            points.append(q.Point(i, {"prefix": vector}))
{% endif %}
        shard.update(q.UpdateOperation.upsert_points(points))
    shard.optimize()
    shard.flush()
    return shard


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% if precision in ("int8", "binary") %}
    plain = q.QuantizationSearchParams(rescore=False)
    near = q.SearchParams(hnsw_ef=EF, quantization=plain)
{% else %}
    near = q.SearchParams(hnsw_ef=EF)
{% endif %}
{% if native %}
    # Rescored with the vectors themselves, not with their quantised form.
    exact = q.SearchParams(quantization=q.QuantizationSearchParams(ignore=True))
{% endif %}
    rows = []
    for query in queries.tolist():
{% if native %}
        prefix = q.Query.Nearest(query{{ "[:DIMENSION]" if prefixed }}, "prefix")
        first = q.Prefetch(SHORTLIST, prefix, params=near)
        last = q.Query.Nearest(query, "{{ "full" if prefixed else "prefix" }}")
        found = index.query(q.QueryRequest(k, query=last, prefetches=[first], params=exact))
{% else %}
        nearest = q.Query.Nearest(query, "prefix")
        found = index.search(q.SearchRequest(nearest, k, params=near))
{% endif %}
        rows.append([point.id for point in found])
    return padded(rows, k)
'''
