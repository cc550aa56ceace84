"""Weaviate by URL.

Requests are plain JSON over HTTP: its client needs an older protobuf than the other databases'.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

import numpy as np

from bench.backends import batches, padded
from bench.backends._servers import HttpServer, named, take_name
from bench.backends.precisions import BINARY, FLOAT32, INT8
from bench.source import Code, Deployment, Expression, written

_BATCH = 200


class Weaviate(HttpServer):
    """HNSW of Weaviate, including its quantised forms, without its own rescore.

    Source: Malkov & Yashunin 2018.
    """

    name = "weaviate"
    variable = "MATRYOSHKA_BENCH_WEAVIATE"
    key_variable = "MATRYOSHKA_BENCH_WEAVIATE_KEY"
    ready = "v1/.well-known/ready"
    install = (
        f"pip install urllib3, and the URL of a server in {variable} (a key in {key_variable})"
    )
    licence = "BSD-3-Clause"
    summary = "Weaviate by URL: HNSW"
    precisions = (FLOAT32, INT8, BINARY)
    build_grid = {"M": [16, 32], "ef_construction": [128]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def headers(self) -> dict[str, str]:
        key = named(self.key_variable)
        return {"Authorization": f"Bearer {key}"} if key else {}

    def server_version(self) -> str:
        return f"weaviate {self.connection('GET', 'v1/meta')['version']}"

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        self.reconnect()
        there = self.connection("GET", "v1/schema")["classes"]
        self.collection = take_name((found["class"] for found in there), self._drop).capitalize()
        index: dict[str, Any] = {"distance": "cosine"}
        index |= {"maxConnections": M, "efConstruction": ef_construction}
        if self.precision != "float32":
            # The rescore with full vectors cannot be turned off; zero is the lowest limit.
            kind = {"int8": "sq", "binary": "bq"}[self.precision]
            index[kind] = {"enabled": True, "rescoreLimit": 0}
        self.schema: dict[str, Any] = {
            "class": self.collection,
            "vectorizer": "none",
            "vectorIndexType": "hnsw",
            "vectorIndexConfig": index,
        }
        self.connection("POST", "v1/schema", self.schema)
        for start, block in batches(vectors, _BATCH):
            objects = [self._object(i, vector) for i, vector in enumerate(block, start)]
            for answer in self.connection("POST", "v1/batch/objects", {"objects": objects}):
                if errors := answer.get("result", {}).get("errors"):
                    raise ConnectionError(f"batch: {json.dumps(errors)[:300]}")

    def _object(self, position: int, vector: np.ndarray) -> dict[str, Any]:
        # Ids are UUIDs, of which zero is not valid.
        name = str(uuid.UUID(int=position + 1))
        return {"class": self.collection, "id": name, "vector": vector.tolist()}

    def _drop(self, collection: str) -> None:
        self.connection("DELETE", f"v1/schema/{collection}")

    def configure(self, *, ef: int) -> None:
        self.schema["vectorIndexConfig"] |= {"ef": ef}
        self.connection("PUT", f"v1/schema/{self.collection}", self.schema)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded((self._ids(query.tolist(), k) for query in queries), k)

    def _ids(self, query: list[float], k: int) -> list[int]:
        near = f"nearVector:{{vector:{json.dumps(query)}}}"
        asked = f"{{Get{{{self.collection}(limit:{k},{near}){{_additional{{id}}}}}}}}"
        answer = self.connection("POST", "v1/graphql", {"query": asked})
        if answer.get("errors"):
            raise ConnectionError(f"graphql: {answer['errors'][0]['message']}")
        hits = answer["data"]["Get"][self.collection]
        return [uuid.UUID(hit["_additional"]["id"]).int - 1 for hit in hits]

    def size_bytes(self) -> None:
        """Return None: its interface does not report sizes."""

    def close(self) -> None:
        self._drop(self.collection)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import json", "import os", "import uuid", "import requests"),
            ("requests",),
            {
                "URL": Expression('os.environ.get("WEAVIATE_URL", "http://localhost:8080")'),
                "API_KEY": Expression('os.environ.get("WEAVIATE_API_KEY")'),
                "COLLECTION": "Items",
                **deployment.parameters(),
            },
        )


_CODE = '''
SESSION = requests.Session()
if API_KEY:
    SESSION.headers["Authorization"] = f"Bearer {API_KEY}"


def call(method, path, **body):
    """Send a request to the server and return its answer."""
    answer = SESSION.request(method, f"{URL}/{path}", timeout=600, **body)
    answer.raise_for_status()
    return answer.json()


def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    index = {
        "distance": "cosine",
        "maxConnections": M,
        "efConstruction": EF_CONSTRUCTION,
        "ef": EF,
{% if precision != "float32" %}
        # Its rescore with full vectors cannot be turned off; zero is the lowest limit.
        "{{ "sq" if precision == "int8" else "bq" }}": {"enabled": True, "rescoreLimit": 0},
{% endif %}
    }
    schema = {"class": COLLECTION, "vectorizer": "none", "vectorIndexType": "hnsw"}
    call("POST", "v1/schema", json={**schema, "vectorIndexConfig": index})
    for start in range(0, len(vectors), 200):
        objects = []
        for i, vector in enumerate(vectors[start : start + 200].tolist(), start):
            # Ids are UUIDs, of which zero is not valid.
            name = str(uuid.UUID(int=i + 1))
            objects.append({"class": COLLECTION, "id": name, "vector": vector})
        for answer in call("POST", "v1/batch/objects", json={"objects": objects}):
            if answer.get("result", {}).get("errors"):
                raise RuntimeError(f"batch: {answer['result']['errors']}")
    return COLLECTION


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    rows = []
    for query in queries.tolist():
        near = f"limit:{k},nearVector:{{ "{{vector:{json.dumps(query)}}}" }}"
        asked = f"{{ "{{Get{{{index}({near}){{_additional{{id}}}}}}}}" }}"
        answer = call("POST", "v1/graphql", json={"query": asked})
        if answer.get("errors"):
            raise RuntimeError(f"graphql: {answer['errors'][0]['message']}")
        hits = answer["data"]["Get"][index]
        rows.append([uuid.UUID(hit["_additional"]["id"]).int - 1 for hit in hits])
    return padded(rows, k)
'''
