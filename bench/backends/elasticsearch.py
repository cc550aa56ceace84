"""Elasticsearch and OpenSearch: Lucene's HNSW behind a server's URL, with a rescore at the full dimension in the same request.

Asked over HTTP with plain JSON: it is what their clients send, and one form serves both.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import numpy as np

from bench.backends import padded
from bench.backends._servers import HttpServer, fresh_name, leftovers

_BULK = 500


class _Lucene(HttpServer):
    full_width = True
    native_stages = True
    build_grid = {"M": [16], "ef_construction": [100, 200]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}

    def server_version(self) -> str:
        version = self.connection("GET", "")["version"]
        return f"{version.get('distribution', 'elasticsearch')} {version['number']}"

    def build(self, vectors: np.ndarray, **parameters: Any) -> None:
        self.reconnect()
        there = self.connection("GET", "_cat/indices/matryoshka_bench_*?format=json&h=index")
        for name in leftovers(found["index"] for found in there):
            self.connection("DELETE", name)
        self.index = fresh_name()
        self.dimension, self.full = self.dimension or vectors.shape[1], vectors.shape[1]
        self.rescored = "full" if self.dimension < self.full else "prefix"
        self.connection("PUT", self.index, self._mapping(**parameters))
        for start in range(0, len(vectors), _BULK):
            answer = self.connection(
                "POST", f"{self.index}/_bulk", self._bulk(vectors[start : start + _BULK], start)
            )
            if answer["errors"]:
                raise ConnectionError(f"bulk: {json.dumps(answer['items'][0])[:300]}")
        # One segment: each has a graph of its own, and how many there are is chance.
        self.connection("POST", f"{self.index}/_forcemerge?max_num_segments=1")
        self.connection("POST", f"{self.index}/_refresh")

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
            fields = {"prefix": vector[: self.dimension].tolist()}
            if self.rescored == "full":
                fields["full"] = vector.tolist()
            lines += [json.dumps({"index": {"_id": str(position)}}), json.dumps(fields)]
        return "\n".join([*lines, ""]).encode()

    def configure(self, *, ef: int) -> None:
        self.ef = ef

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded((self._ids(self._ask(self._single(query, k))) for query in queries), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        return padded(
            (self._ids(self._ask(self._staged(query, shortlist, k))) for query in queries), k
        )

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray:
        return np.array([float(self._ask(self._single(query, k))["took"]) for query in queries])

    def _single(self, query: np.ndarray, k: int) -> dict[str, Any]:
        return {
            "size": k,
            "_source": False,
            "query": self._nearest(query[: self.dimension].tolist(), k),
        }

    def _staged(self, query: np.ndarray, shortlist: int, k: int) -> dict[str, Any]:
        scored = {
            "script_score": {"query": {"match_all": {}}, "script": self._score(query.tolist())}
        }
        rescore = {"rescore_query": scored, "query_weight": 0, "rescore_query_weight": 1}
        return {
            **self._single(query, shortlist),
            "size": k,
            "rescore": {"window_size": shortlist, "query": rescore},
        }

    def _ask(self, body: dict[str, Any]) -> Any:
        return self.connection("POST", f"{self.index}/_search?filter_path=took,hits.hits._id", body)

    def _ids(self, answer: dict[str, Any]) -> Iterable[int]:
        return [int(hit["_id"]) for hit in answer.get("hits", {}).get("hits", [])]

    def size_bytes(self) -> int:
        stats = self.connection("GET", f"{self.index}/_stats/store")
        return int(stats["_all"]["primaries"]["store"]["size_in_bytes"])

    def close(self) -> None:
        self.connection("DELETE", self.index)


class Elasticsearch(_Lucene):
    """HNSW of Elasticsearch, its quantised forms included. Source: Malkov & Yashunin 2018; Gao & Long 2024 (its binary form)."""

    name = "elasticsearch"
    variable = "MATRYOSHKA_BENCH_ELASTICSEARCH"
    install = f"pip install urllib3, and the URL of a server in {variable}"
    licence = "AGPL-3.0, SSPL or Elastic"
    summary = "Elasticsearch by URL: HNSW over a prefix, the full vectors for a rescore in the same request"
    precisions = ("float32", "int8", "int4", "binary")

    def _mapping(self, *, M: int, ef_construction: int) -> dict[str, Any]:
        kind = {"float32": "hnsw", "int8": "int8_hnsw", "int4": "int4_hnsw", "binary": "bbq_hnsw"}[
            self.precision
        ]
        graph = {"type": kind, "m": M, "ef_construction": ef_construction}
        vector = {"type": "dense_vector", "similarity": "cosine"}
        fields: dict[str, Any] = {
            "prefix": {**vector, "dims": self.dimension, "index": True, "index_options": graph}
        }
        if self.rescored == "full":
            fields["full"] = {"type": "dense_vector", "dims": self.full, "index": False}
        return {
            "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1},
            "mappings": {"properties": fields},
        }

    def _nearest(self, query: list[float], k: int) -> dict[str, Any]:
        asked = {
            "field": "prefix",
            "query_vector": query,
            "k": k,
            "num_candidates": max(self.ef, k),
        }
        # Its own oversampling would turn a quantised search into two stages that nobody asked for.
        return {
            "knn": asked
            if self.precision == "float32"
            else {**asked, "rescore_vector": {"oversample": 0}}
        }

    def _score(self, query: list[float]) -> dict[str, Any]:
        source = f"cosineSimilarity(params.query, '{self.rescored}') + 1.0"
        return {"source": source, "params": {"query": query}}


class OpenSearch(_Lucene):
    """HNSW of OpenSearch's Lucene engine. Source: Malkov & Yashunin 2018."""

    name = "opensearch"
    variable = "MATRYOSHKA_BENCH_OPENSEARCH"
    install = f"pip install urllib3, and the URL of a server in {variable}"
    licence = "Apache-2.0"
    summary = (
        "OpenSearch by URL: HNSW over a prefix, the full vectors for a rescore in the same request"
    )

    def _mapping(self, *, M: int, ef_construction: int) -> dict[str, Any]:
        graph = {"m": M, "ef_construction": ef_construction}
        method = {
            "name": "hnsw",
            "engine": "lucene",
            "space_type": "cosinesimil",
            "parameters": graph,
        }
        fields: dict[str, Any] = {
            "prefix": {"type": "knn_vector", "dimension": self.dimension, "method": method}
        }
        if self.rescored == "full":
            fields["full"] = {"type": "knn_vector", "dimension": self.full, "index": False}
        return {
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": 0,
                "refresh_interval": -1,
                "knn": True,
            },
            "mappings": {"properties": fields},
        }

    def _nearest(self, query: list[float], k: int) -> dict[str, Any]:
        asked = {"vector": query, "k": k, "method_parameters": {"ef_search": max(self.ef, k)}}
        return {"knn": {"prefix": asked}}

    def _score(self, query: list[float]) -> dict[str, Any]:
        parameters = {"field": self.rescored, "query_value": query, "space_type": "cosinesimil"}
        return {"source": "knn_score", "lang": "knn", "params": parameters}
