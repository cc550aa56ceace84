"""Chroma: HNSW in an embedded database."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, batches, folder_bytes, padded
from bench.source import Code, Deployment, written


class Chroma(Backend):
    """HNSW (hnswlib) with Chroma's storage around it. Source: Chroma; Malkov & Yashunin 2018."""

    name = "chroma"
    kind = DATABASE
    own_threads = True
    module = "chromadb"
    install = "pip install chromadb"
    licence = "Apache-2.0"
    summary = "Chroma in this process: HNSW (hnswlib) and its storage"
    returns_memory = False
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512, 1024]}
    label_parameters = ("M", "ef")
    deterministic = False

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.client = self._opened()
        settings = {"space": "ip", "max_neighbors": M, "ef_construction": ef_construction}
        configuration: Any = {"hnsw": {**settings, "num_threads": self.threads}}
        self.items = self.client.create_collection(
            f"c{uuid.uuid4().hex}", configuration=configuration, embedding_function=None
        )
        step = min(5000, self.client.get_max_batch_size())
        for start, block in batches(vectors, step):
            self.items.add([str(i) for i in range(start, start + len(block))], embeddings=block)

    def _opened(self) -> Any:
        import chromadb
        from chromadb.config import Settings

        return chromadb.PersistentClient(self.folder.name, Settings(anonymized_telemetry=False))

    def configure(self, *, ef: int) -> None:
        name = self.items.name
        self.items.modify(configuration={"hnsw": {"ef_search": ef}})
        # A loaded graph keeps its old ef, so reopen the database.
        self.client.close()
        self.client.clear_system_cache()
        self.client = self._opened()
        self.items = self.client.get_collection(name, embedding_function=None)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        found = self.items.query(query_embeddings=queries, n_results=k, include=[])
        return padded(([int(i) for i in row] for row in found["ids"]), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name))

    def close(self) -> None:
        self.client.delete_collection(self.items.name)
        self.client.clear_system_cache()
        self.folder.cleanup()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import chromadb",),
            ("chromadb",),
            {"FOLDER": "chroma", **deployment.parameters()},
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    client = chromadb.PersistentClient(FOLDER)
    graph = {
        "space": "ip",
        "max_neighbors": M,
        "ef_construction": EF_CONSTRUCTION,
        "ef_search": EF,
        "num_threads": THREADS,
    }
    items = client.create_collection(
        "items", configuration={"hnsw": graph}, embedding_function=None
    )
    for start in range(0, len(vectors), 5000):
        block = vectors[start : start + 5000]
        items.add([str(i) for i in range(start, start + len(block))], embeddings=block)
    return items


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    found = index.query(query_embeddings=queries, n_results=k, include=[])
    return padded(([int(i) for i in row] for row in found["ids"]), k)
'''
