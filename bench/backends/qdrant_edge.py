"""Qdrant Edge: Qdrant's own engine inside this process."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, folder_bytes, padded

_BATCH = 1000


class QdrantEdge(Backend):
    """HNSW of Qdrant over a prefix; its prefetch narrows the shortlist with the full vectors. Source: Malkov & Yashunin 2018."""

    name = "qdrant-edge"
    kind = DATABASE
    module = "qdrant_edge"
    install = "pip install qdrant-edge-py"
    licence = "Apache-2.0"
    summary = (
        "Qdrant's engine in this process: HNSW over a prefix, the full vectors for its own rescore"
    )
    precisions = ("float32", "float16", "int8", "binary")
    own_threads = True  # beside its search pool of the size it is told, now and then one more
    full_width = True
    native_stages = True
    deterministic = False
    build_grid = {"M": [16, 32], "ef_construction": [100]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        import qdrant_edge as q

        self.dimension, full = self.dimension or vectors.shape[1], vectors.shape[1]
        self.rescored = "full" if self.dimension < full else "prefix"
        stored = (
            q.VectorStorageDatatype.Float16
            if self.precision == "float16"
            else q.VectorStorageDatatype.Float32
        )
        quantised: Any = None
        if self.precision == "int8":
            quantised = q.ScalarQuantizationConfig(q.ScalarType.Int8, memory=q.Memory.Pinned)
        elif self.precision == "binary":
            quantised = q.BinaryQuantizationConfig(memory=q.Memory.Pinned)
        graph = q.HnswIndexConfig(
            M, ef_construction, full_scan_threshold=0, max_indexing_threads=self.threads
        )
        fields = {
            "prefix": q.EdgeVectorParams(
                self.dimension,
                q.Distance.Cosine,
                datatype=stored,
                quantization_config=quantised,
                hnsw_config=graph,
            )
        }
        if self.rescored == "full":
            # No graph: it is only ever read for the shortlist.
            none = q.HnswIndexConfig(
                0, ef_construction, full_scan_threshold=0, max_indexing_threads=self.threads
            )
            fields["full"] = q.EdgeVectorParams(full, q.Distance.Cosine, hnsw_config=none)
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        # Every collection is indexed, however small, in one segment.
        tuned = q.EdgeOptimizersConfig(default_segment_number=1, indexing_threshold=1)
        self.shard = q.EdgeShard.create(
            self.folder.name,
            q.EdgeConfig(
                fields, optimizers=tuned, max_search_threads=self.threads, wal_enabled=False
            ),
        )
        for start in range(0, len(vectors), _BATCH):
            points = []
            for position, vector in enumerate(vectors[start : start + _BATCH], start):
                named = {"prefix": vector[: self.dimension].tolist()}
                if self.rescored == "full":
                    named["full"] = vector.tolist()
                points.append(q.Point(position, named))
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
        asked = (
            q.SearchRequest(q.Query.Nearest(p, "prefix"), k, params=self.parameters)
            for p in prefixes
        )
        return padded(([point.id for point in self.shard.search(request)] for request in asked), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        import qdrant_edge as q

        rows = []
        for query in queries:
            nearest = q.Query.Nearest(query[: self.dimension].tolist(), "prefix")
            first = q.Prefetch(shortlist, nearest, params=self.parameters)
            # What is rescored is scored by the vectors themselves, not by their quantised form.
            exact = q.SearchParams(quantization=q.QuantizationSearchParams(ignore=True))
            second = q.Query.Nearest(query.tolist(), self.rescored)
            rows.append(
                self.shard.query(q.QueryRequest(k, query=second, prefetches=[first], params=exact))
            )
        return padded(([point.id for point in row] for row in rows), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name), allocated=True)

    def close(self) -> None:
        self.shard.close()
        self.folder.cleanup()
