"""Qdrant's in-process mode: the client's own imitation in Python, for trying things out."""

from __future__ import annotations

import numpy as np

from bench.backends import DATABASE, Backend, padded


class QdrantLocal(Backend):
    """The whole of the service's interface, searched exhaustively with numpy: of use as a function, not as a speed."""

    name = "qdrant-local"
    kind = DATABASE
    module = "qdrant_client"
    install = "pip install qdrant-client"
    licence = "Apache-2.0"
    summary = "Qdrant's in-process mode: a Python imitation of the server, not to be timed against others"
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        from qdrant_client import QdrantClient, models

        self.client = QdrantClient(":memory:")
        size = models.VectorParams(size=vectors.shape[1], distance=models.Distance.COSINE)
        self.client.create_collection("items", vectors_config=size)
        self.vectors = vectors
        self.client.upload_collection("items", vectors=vectors, ids=range(len(vectors)), batch_size=1024)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ask = self.client.query_points
        rows = (ask("items", query=query, limit=k, with_payload=False).points for query in queries)
        return padded(([point.id for point in row] for row in rows), k)

    def size_bytes(self) -> int:
        # It holds nothing but the array; there is no serialised form to be measured.
        return int(self.vectors.nbytes)

    def close(self) -> None:
        self.client.close()
