"""Elasticsearch and OpenSearch by URL: Lucene's HNSW, with a rescore in the same request.

Requests are plain JSON over HTTP, as their clients send them, so that one class serves both.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from bench.backends import batches, padded
from bench.backends._servers import HttpServer, PrefixAndFull, take_name
from bench.backends.precisions import BINARY, FLOAT32, INT4, INT8
from bench.source import Code, Deployment, Expression, written

_BATCH = 500


class _Lucene(PrefixAndFull, HttpServer):
    build_grid = {"M": [16], "ef_construction": [100, 200]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def server_version(self) -> str:
        version = self.connection("GET", "")["version"]
        return f"{version.get('distribution', 'elasticsearch')} {version['number']}"

    def build(self, vectors: np.ndarray, **parameters: Any) -> None:
        self.reconnect()
        there = self.connection("GET", "_cat/indices/matryoshka_bench_*?format=json&h=index")
        self.index = take_name((found["index"] for found in there), self._drop)
        self.set_dimensions(vectors)
        self.connection("PUT", self.index, self._mapping(**parameters))
        for start, block in batches(vectors, _BATCH):
            answer = self.connection("POST", f"{self.index}/_bulk", self._bulk(block, start))
            if answer["errors"]:
                raise ConnectionError(f"bulk: {json.dumps(answer['items'][0])[:300]}")
        # Each segment has its own graph and their number varies by chance, so merge them into one.
        self.connection("POST", f"{self.index}/_forcemerge?max_num_segments=1")
        self.connection("POST", f"{self.index}/_refresh")

    def _drop(self, index: str) -> None:
        self.connection("DELETE", index)

    @abstractmethod
    def _mapping(self, *, M: int, ef_construction: int) -> dict[str, Any]:
        """Return the index's settings and fields."""

    @abstractmethod
    def _nearest(self, query: list[float], k: int) -> dict[str, Any]:
        """Return the query for the nearest `k` over the prefix."""

    @abstractmethod
    def _score(self, query: list[float]) -> dict[str, Any]:
        """Return the script that scores a document at the full dimension."""

    def _bulk(self, vectors: np.ndarray, start: int) -> bytes:
        lines = []
        for position, vector in enumerate(vectors, start):
            fields = {name: part.tolist() for name, part in self.fields(vector).items()}
            lines += [json.dumps({"index": {"_id": str(position)}}), json.dumps(fields)]
        return "\n".join([*lines, ""]).encode()

    def configure(self, *, ef: int) -> None:
        self.ef = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded((self._ids(self._ask(self._single(query, k))) for query in queries), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        asked = (self._staged(query, shortlist, k) for query in queries)
        return padded((self._ids(self._ask(body)) for body in asked), k)

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray:
        return np.array([float(self._ask(self._single(query, k))["took"]) for query in queries])

    def _single(self, query: np.ndarray, k: int) -> dict[str, Any]:
        nearest = self._nearest(query[: self.dimension].tolist(), k)
        return {"size": k, "_source": False, "query": nearest}

    def _staged(self, query: np.ndarray, shortlist: int, k: int) -> dict[str, Any]:
        script = self._score(query.tolist())
        scored = {"script_score": {"query": {"match_all": {}}, "script": script}}
        rescore = {"rescore_query": scored, "query_weight": 0, "rescore_query_weight": 1}
        window = {"window_size": shortlist, "query": rescore}
        return {**self._single(query, shortlist), "size": k, "rescore": window}

    def _ask(self, body: dict[str, Any]) -> Any:
        path = f"{self.index}/_search?filter_path=took,hits.hits._id"
        return self.connection("POST", path, body)

    def _ids(self, answer: dict[str, Any]) -> Iterable[int]:
        return [int(hit["_id"]) for hit in answer.get("hits", {}).get("hits", [])]

    def size_bytes(self) -> int:
        stats = self.connection("GET", f"{self.index}/_stats/store")
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

    def close(self) -> None:
        self._drop(self.index)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        url = f'os.environ.get("{cls.name.upper()}_URL", "http://localhost:9200")'
        return Code(
            written(_CODE, deployment, server=cls.name, kind=_KINDS.get(deployment.precision)),
            ("import json", "import os", "import requests"),
            ("requests",),
            {"URL": Expression(url), "INDEX": "items", **deployment.parameters()},
        )


class Elasticsearch(_Lucene):
    """HNSW of Elasticsearch, including its quantised forms.

    Source: Malkov & Yashunin 2018; Gao & Long 2024 (its binary form).
    """

    name = "elasticsearch"
    variable = "MATRYOSHKA_BENCH_ELASTICSEARCH"
    install = f"pip install urllib3, and the URL of a server in {variable}"
    licence = "AGPL-3.0, SSPL or Elastic"
    summary = "Elasticsearch by URL: HNSW over a prefix, own rescore in the same request"
    precisions = (FLOAT32, INT8, INT4, BINARY)

    def _mapping(self, *, M: int, ef_construction: int) -> dict[str, Any]:
        kinds = {"float32": "hnsw", "int8": "int8_hnsw", "int4": "int4_hnsw", "binary": "bbq_hnsw"}
        graph = {"type": kinds[self.precision], "m": M, "ef_construction": ef_construction}
        vector = {"type": "dense_vector", "similarity": "cosine"}
        prefix = {**vector, "dims": self.dimension, "index": True, "index_options": graph}
        fields: dict[str, Any] = {"prefix": prefix}
        if self.rescored == "full":
            fields["full"] = {"type": "dense_vector", "dims": self.full_dimension, "index": False}
        return {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1},
            "mappings": {"properties": fields},
        }

    def _nearest(self, query: list[float], k: int) -> dict[str, Any]:
        width = {"k": k, "num_candidates": max(self.ef, k)}
        # Without this, a quantised search would oversample and rescore: two stages instead of one.
        plain = {} if self.precision == "float32" else {"rescore_vector": {"oversample": 0}}
        return {"knn": {"field": "prefix", "query_vector": query, **width, **plain}}

    def _score(self, query: list[float]) -> dict[str, Any]:
        source = f"cosineSimilarity(params.query, '{self.rescored}') + 1.0"
        return {"source": source, "params": {"query": query}}


class OpenSearch(_Lucene):
    """HNSW of OpenSearch's Lucene engine. Source: Malkov & Yashunin 2018."""

    name = "opensearch"
    variable = "MATRYOSHKA_BENCH_OPENSEARCH"
    install = f"pip install urllib3, and the URL of a server in {variable}"
    licence = "Apache-2.0"
    summary = "OpenSearch by URL: HNSW over a prefix, own rescore in the same request"

    def _mapping(self, *, M: int, ef_construction: int) -> dict[str, Any]:
        graph = {"m": M, "ef_construction": ef_construction}
        method = {"name": "hnsw", "engine": "lucene", "space_type": "cosinesimil"}
        prefix = {"dimension": self.dimension, "method": {**method, "parameters": graph}}
        fields: dict[str, Any] = {"prefix": {"type": "knn_vector", **prefix}}
        if self.rescored == "full":
            full = {"dimension": self.full_dimension, "index": False}
            fields["full"] = {"type": "knn_vector", **full}
        settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1}
        return {"settings": {**settings, "knn": True}, "mappings": {"properties": fields}}

    def _nearest(self, query: list[float], k: int) -> dict[str, Any]:
        search = {"ef_search": max(self.ef, k)}
        return {"knn": {"prefix": {"vector": query, "k": k, "method_parameters": search}}}

    def _score(self, query: list[float]) -> dict[str, Any]:
        parameters = {"field": self.rescored, "query_value": query, "space_type": "cosinesimil"}
        return {"source": "knn_score", "lang": "knn", "params": parameters}


_KINDS = {"float32": "hnsw", "int8": "int8_hnsw", "int4": "int4_hnsw", "binary": "bbq_hnsw"}
"""Elasticsearch's types of index."""


_CODE = '''
SESSION = requests.Session()


def call(method, path, **body):
    """Send a request to the server and return its answer."""
    answer = SESSION.request(method, f"{URL}/{path}", timeout=600, **body)
    answer.raise_for_status()
    return answer.json()


def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    fields = {
        "prefix": {
{% if server == "opensearch" %}
            "type": "knn_vector",
            "dimension": DIMENSION,
            "method": {
                "name": "hnsw",
                "engine": "lucene",
                "space_type": "cosinesimil",
                "parameters": {"m": M, "ef_construction": EF_CONSTRUCTION},
            },
{% else %}
            "type": "dense_vector",
            "dims": DIMENSION,
            "index": True,
            "similarity": "cosine",
            "index_options": {"type": "{{ kind }}", "m": M, "ef_construction": EF_CONSTRUCTION},
{% endif %}
        },
{% if prefixed and server == "opensearch" %}
        "full": {"type": "knn_vector", "dimension": FULL_DIMENSION, "index": False},
{% elif prefixed %}
        "full": {"type": "dense_vector", "dims": FULL_DIMENSION, "index": False},
{% endif %}
    }
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1}
{% if server == "opensearch" %}
    settings["knn"] = True
{% endif %}
    call("PUT", INDEX, json={"settings": settings, "mappings": {"properties": fields}})
    for start in range(0, len(vectors), 500):
        lines = []
        for i, vector in enumerate(vectors[start : start + 500].tolist(), start):
            lines.append(json.dumps({"index": {"_id": str(i)}}))
{% if prefixed %}
            lines.append(json.dumps({"prefix": vector[:DIMENSION], "full": vector}))
{% else %}
            lines.append(json.dumps({"prefix": vector}))
{% endif %}
        answer = call(
            "POST",
            f"{INDEX}/_bulk",
            data="\\n".join([*lines, ""]),
            headers={"Content-Type": "application/x-ndjson"},
        )
        if answer["errors"]:
            raise RuntimeError(f"bulk: {answer['items'][0]}")
    # Each segment has a graph of its own, so merge them into one.
    call("POST", f"{INDEX}/_forcemerge?max_num_segments=1")
    call("POST", f"{INDEX}/_refresh")
    return INDEX


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% set wanted = "SHORTLIST" if native else "k" %}
{% set knn = '{"prefix": near}' if server == "opensearch" else "near" %}
{% set rescored = "full" if prefixed else "prefix" %}
    rows = []
    for query in queries.tolist():
        near = {
{% if server == "opensearch" %}
            "vector": query{{ "[:DIMENSION]" if prefixed }},
            "k": {{ wanted }},
            "method_parameters": {"ef_search": max(EF, {{ wanted }})},
{% else %}
            "field": "prefix",
            "query_vector": query{{ "[:DIMENSION]" if prefixed }},
            "k": {{ wanted }},
            "num_candidates": max(EF, {{ wanted }}),
{% if precision != "float32" %}
            "rescore_vector": {"oversample": 0},  # compare the codes alone
{% endif %}
{% endif %}
        }
        body = {"size": k, "_source": False, "query": {"knn": {{ knn }}}}
{% if native %}
        script = {
{% if server == "opensearch" %}
            "source": "knn_score",
            "lang": "knn",
            "params": {
                "field": "{{ rescored }}",
                "query_value": query,
                "space_type": "cosinesimil",
            },
{% else %}
            "source": "cosineSimilarity(params.query, '{{ rescored }}') + 1.0",
            "params": {"query": query},
{% endif %}
        }
        score = {"script_score": {"query": {"match_all": {}}, "script": script}}
        body["rescore"] = {
            "window_size": SHORTLIST,
            "query": {
                "rescore_query": score,
                "query_weight": 0,
                "rescore_query_weight": 1,
            },
        }
{% endif %}
        answer = call("POST", f"{index}/_search?filter_path=hits.hits._id", json=body)
        rows.append([int(hit["_id"]) for hit in answer.get("hits", {}).get("hits", [])])
    return padded(rows, k)
'''
