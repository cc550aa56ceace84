"""Weaviate behind a server's URL.

Asked over HTTP with plain JSON: its client cannot be installed beside the other databases' (it needs an older protobuf).
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np

from bench.backends import padded
from bench.backends._servers import HttpServer, fresh_name, leftovers, named

_KEY = "MATRYOSHKA_BENCH_WEAVIATE_KEY"
_BATCH = 200


class Weaviate(HttpServer):
    """HNSW of Weaviate, its quantised forms included, without the rescore of its own. Source: Malkov & Yashunin 2018."""

    name = "weaviate"
    variable = "MATRYOSHKA_BENCH_WEAVIATE"
    ready = "v1/.well-known/ready"
    install = f"pip install urllib3, and the URL of a server in {variable} (a key in {_KEY})"
    licence = "BSD-3-Clause"
    summary = "Weaviate by URL: HNSW"
    precisions = ("float32", "int8", "binary")
    build_grid = {"M": [16, 32], "ef_construction": [128]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {named(_KEY)}"} if named(_KEY) else {}

    def server_version(self) -> str:
        return f"weaviate {self.connection('GET', 'v1/meta')['version']}"

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        self.reconnect()
        for name in leftovers(
            found["class"] for found in self.connection("GET", "v1/schema")["classes"]
        ):
            self.connection("DELETE", f"v1/schema/{name}")
        self.collection = fresh_name().capitalize()
        index: dict[str, Any] = {
            "distance": "cosine",
            "maxConnections": M,
            "efConstruction": ef_construction,
        }
        if self.precision != "float32":
            # The least it takes: it cannot be told to leave the rescore with full vectors out.
            index[{"int8": "sq", "binary": "bq"}[self.precision]] = {
                "enabled": True,
                "rescoreLimit": 0,
            }
        self.schema = {
            "class": self.collection,
            "vectorizer": "none",
            "vectorIndexType": "hnsw",
            "vectorIndexConfig": index,
        }
        self.connection("POST", "v1/schema", self.schema)
        for start in range(0, len(vectors), _BATCH):
            objects = [
                {
                    "class": self.collection,
                    "id": str(uuid.UUID(int=position + 1)),
                    "vector": vector.tolist(),
                }
                for position, vector in enumerate(vectors[start : start + _BATCH], start)
            ]
            for answer in self.connection("POST", "v1/batch/objects", {"objects": objects}):
                if errors := answer.get("result", {}).get("errors"):
                    raise ConnectionError(f"batch: {json.dumps(errors)[:300]}")

    def configure(self, *, ef: int) -> None:
        self.schema["vectorIndexConfig"] = {**self.schema["vectorIndexConfig"], "ef": ef}  # type: ignore[dict-item]
        self.connection("PUT", f"v1/schema/{self.collection}", self.schema)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded((self._ids(query.tolist(), k) for query in queries), k)

    def _ids(self, query: list[float], k: int) -> list[int]:
        asked = f"{{Get{{{self.collection}(limit:{k},nearVector:{{vector:{json.dumps(query)}}}){{_additional{{id}}}}}}}}"
        answer = self.connection("POST", "v1/graphql", {"query": asked})
        if answer.get("errors"):
            raise ConnectionError(f"graphql: {answer['errors'][0]['message']}")
        return [
            uuid.UUID(found["_additional"]["id"]).int - 1
            for found in answer["data"]["Get"][self.collection]
        ]

    def size_bytes(self) -> None:
        """Its interface does not tell."""

    def close(self) -> None:
        self.connection("DELETE", f"v1/schema/{self.collection}")
