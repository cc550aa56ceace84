"""Clients of servers, against a stand-in that records requests and answers by brute force.

The expected requests are those of each server's reference. Qdrant's and Milvus's real clients run
against their forms that need no server.
"""

import functools
import json
import os
import re
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from bench.backends import get_backend
from bench.backends._servers import Connection, fresh_name
from bench.testing import check
from bench.vectors import normalise

D, PREFIX = 8, 4


class Lucene:
    """The answers of Elasticsearch and OpenSearch that these tests need."""

    def __init__(self):
        self.indexes, self.prefixes = {}, {}

    def answer(self, method, path, body):
        name, _, verb = path.partition("/")
        if name == "_cat":
            return [{"index": there} for there in self.indexes]
        if not name:
            return {"version": {"number": "9.1.0"}}
        if method == "PUT":
            self.indexes[name] = {}
            return {"acknowledged": True}
        if method == "DELETE":
            return {"acknowledged": bool(self.indexes.pop(name))}
        documents = self.indexes[name]
        if verb == "_bulk":
            lines = [json.loads(line) for line in body.splitlines()]
            self.prefixes.pop(name, None)
            documents |= {
                row["index"]["_id"]: fields
                for row, fields in zip(lines[::2], lines[1::2], strict=True)
            }
            return {"errors": False, "items": []}
        if verb.startswith("_search"):
            return {
                "took": 3,
                "hits": {"hits": [{"_id": i} for i in self.found(name, json.loads(body))]},
            }
        if verb.startswith("_stats"):
            size = sum(len(json.dumps(fields)) for fields in documents.values())
            return {"_all": {"primaries": {"store": {"size_in_bytes": size}}}}
        return {}

    def found(self, name, body):
        documents = self.indexes[name]
        if name not in self.prefixes:
            self.prefixes[name] = Held((i, fields["prefix"]) for i, fields in documents.items())
        asked = body["query"]["knn"]
        query, k = (
            (asked["query_vector"], asked["k"])
            if "field" in asked
            else (asked["prefix"]["vector"], asked["prefix"]["k"])
        )
        ids = nearest(self.prefixes[name], query, k)
        if "rescore" in body:
            script = body["rescore"]["query"]["rescore_query"]["script_score"]["script"]
            full = script["params"].get("query") or script["params"]["query_value"]
            field = script["params"].get("field") or re.search(r"'(\w+)'", script["source"])[1]
            ids = nearest(Held((i, documents[i][field]) for i in ids), full, body["size"])
        return ids[: body["size"]]


class Weaviate:
    """Weaviate's own answers, as far as they are asked here."""

    def __init__(self):
        self.objects = {}

    def answer(self, method, path, body):
        given = json.loads(body) if body else {}
        if path == "v1/meta":
            return {"version": "1.30.0"}
        if path == "v1/schema" and method == "GET":
            return {"classes": [{"class": there} for there in self.objects]}
        if path == "v1/batch/objects":
            name = given["objects"][0]["class"]
            new = {o["id"]: o["vector"] for o in given["objects"]}
            self.objects[name] = Held(self.objects.get(name, {}) | new)
            return [{"result": {}} for _ in given["objects"]]
        if path == "v1/graphql":
            name, k, vector = re.match(
                r"{Get{(\w+)\(limit:(\d+),nearVector:{vector:(\[.*?\])}\)", given["query"]
            ).groups()
            ids = nearest(self.objects.get(name, Held()), json.loads(vector), int(k))
            return {"data": {"Get": {name: [{"_additional": {"id": i}} for i in ids]}}}
        return {}


class Held(dict):
    """Vectors by id, stacked once for many searches."""

    @functools.cached_property
    def stacked(self):
        return np.array(list(self.values()))


def nearest(vectors, query, k):
    if not vectors:
        return []
    ids, scores = list(vectors), vectors.stacked @ np.array(query)
    return [ids[i] for i in np.argsort(-scores, kind="stable")[:k]]


@pytest.fixture
def stand_in(monkeypatch):
    """Start a stand-in behind a URL with a password in an environment variable.

    Returns the requests that it receives.
    """
    servers = []

    def started(variable, behaviour):
        sent = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Else an answer's second packet waits forty milliseconds for the first one's receipt.
            disable_nagle_algorithm = True

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                sent.append((self.command, self.path[1:], body, dict(self.headers)))
                answer = json.dumps(behaviour.answer(self.command, self.path[1:], body)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(variable, f"http://someone:secret@127.0.0.1:{server.server_port}")
        return sent

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "variable", "behaviour"),
    [
        ("elasticsearch", "MATRYOSHKA_BENCH_ELASTICSEARCH", Lucene),
        ("opensearch", "MATRYOSHKA_BENCH_OPENSEARCH", Lucene),
        ("weaviate", "MATRYOSHKA_BENCH_WEAVIATE", Weaviate),
    ],
)
def test_a_server_keeps_the_rules(name, variable, behaviour, stand_in):
    assert not get_backend(name).available()
    stand_in(variable, behaviour())
    assert get_backend(name).available()
    assert not [f"{r.rule}: {r.detail}" for r in check(name, "float32") if not r.ok]


@pytest.fixture
def vectors():
    return normalise(np.random.default_rng(0).integers(-3, 4, (3, D)).astype(np.float32))


def asked(name, vectors, **parameters):
    backend = get_backend(name)("float32", PREFIX, 1)
    backend.build(vectors, **parameters)
    backend.configure(ef=64)
    return backend


def test_what_elasticsearch_is_sent(stand_in, vectors):
    sent = stand_in("MATRYOSHKA_BENCH_ELASTICSEARCH", Lucene())
    backend = asked("elasticsearch", vectors, M=16, ef_construction=100)
    assert backend.server_version() == "elasticsearch 9.1.0"
    backend.search_stages(vectors[:1], 2, 1)
    assert list(backend.server_ms(vectors[:2], 1)) == [3.0, 3.0]
    backend.close()
    requests = [(method, path, body) for method, path, body, _ in sent]
    assert requests.pop(0)[:2] == ("GET", "_cat/indices/matryoshka_bench_*?format=json&h=index")
    index = requests[0][1]
    prefix, full = vectors[0, :PREFIX].tolist(), vectors[0].tolist()
    assert json.loads(requests[0][2]) == {
        "settings": {"number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": -1},
        "mappings": {
            "properties": {
                "prefix": {
                    "type": "dense_vector", "dims": PREFIX, "index": True, "similarity": "cosine",
                    "index_options": {"type": "hnsw", "m": 16, "ef_construction": 100},
                },
                "full": {"type": "dense_vector", "dims": D, "index": False},
            }
        },
    }  # fmt: skip
    bulk = requests[1][2].decode().splitlines()
    assert requests[1][:2] == ("POST", f"{index}/_bulk")
    assert [json.loads(line) for line in bulk[:2]] == [
        {"index": {"_id": "0"}},
        {"prefix": prefix, "full": full},
    ]
    assert [r[:2] for r in requests[2:4]] == [
        ("POST", f"{index}/_forcemerge?max_num_segments=1"), ("POST", f"{index}/_refresh")
    ]  # fmt: skip
    method, path, body = next(r for r in requests if "_search" in r[1])
    assert (method, path) == ("POST", f"{index}/_search?filter_path=took,hits.hits._id")
    script = {"source": "cosineSimilarity(params.query, 'full') + 1.0", "params": {"query": full}}
    assert json.loads(body) == {
        "size": 1,
        "_source": False,
        "query": {"knn": {"field": "prefix", "query_vector": prefix, "k": 2, "num_candidates": 64}},
        "rescore": {
            "window_size": 2,
            "query": {
                "rescore_query": {"script_score": {"query": {"match_all": {}}, "script": script}},
                "query_weight": 0, "rescore_query_weight": 1,
            },
        },
    }  # fmt: skip
    assert requests[-1][:2] == ("DELETE", index)
    assert sent[0][3]["Authorization"].startswith("Basic ")


def test_what_opensearch_is_sent(stand_in, vectors):
    sent = stand_in("MATRYOSHKA_BENCH_OPENSEARCH", Lucene())
    backend = asked("opensearch", vectors, M=16, ef_construction=100)
    backend.search_stages(vectors[:1], 2, 1)
    mapping, search = json.loads(sent[1][2]), json.loads(sent[-1][2])
    assert mapping["settings"]["knn"] is True
    assert mapping["mappings"]["properties"]["prefix"] == {
        "type": "knn_vector", "dimension": PREFIX,
        "method": {
            "name": "hnsw", "engine": "lucene", "space_type": "cosinesimil",
            "parameters": {"m": 16, "ef_construction": 100},
        },
    }  # fmt: skip
    query = {"vector": vectors[0, :PREFIX].tolist(), "k": 2, "method_parameters": {"ef_search": 64}}
    assert search["query"] == {"knn": {"prefix": query}}
    assert search["rescore"]["query"]["rescore_query"]["script_score"]["script"] == {
        "source": "knn_score", "lang": "knn",
        "params": {
            "field": "full", "query_value": vectors[0].tolist(), "space_type": "cosinesimil",
        },
    }  # fmt: skip


def test_what_weaviate_is_sent(stand_in, vectors, monkeypatch):
    monkeypatch.setenv("MATRYOSHKA_BENCH_WEAVIATE_KEY", "secret")
    sent = stand_in("MATRYOSHKA_BENCH_WEAVIATE", Weaviate())
    backend = asked("weaviate", vectors, M=16, ef_construction=128)
    assert backend.search(vectors[:1], 2)[0, 0] == 0
    assert sent.pop(0)[:2] == ("GET", "v1/schema")
    requests = [(method, path, json.loads(body)) for method, path, body, _ in sent]
    name = requests[0][2]["class"]
    created = {
        "class": name, "vectorizer": "none", "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine", "maxConnections": 16, "efConstruction": 128},
    }  # fmt: skip
    assert requests[0] == ("POST", "v1/schema", created)
    assert requests[1][:2] == ("POST", "v1/batch/objects")
    first = {"class": name, "id": str(uuid.UUID(int=1)), "vector": vectors[0].tolist()}
    assert requests[1][2]["objects"][0] == first
    changed = {**created, "vectorIndexConfig": {**created["vectorIndexConfig"], "ef": 64}}
    assert requests[2] == ("PUT", f"v1/schema/{name}", changed)
    near = json.dumps(vectors[0].tolist())
    query = f"{{Get{{{name}(limit:2,nearVector:{{vector:{near}}}){{_additional{{id}}}}}}}}"
    assert requests[3] == ("POST", "v1/graphql", {"query": query})
    assert sent[3][3]["Authorization"] == "Bearer secret"


def test_what_a_killed_process_left_is_dropped_by_the_next(stand_in, vectors):
    gone, other = (
        fresh_name().replace(f"_{os.getpid()}_", f"_{pid}_") for pid in (2**22 + 1, os.getppid())
    )
    elastic, weaviate = Lucene(), Weaviate()
    elastic.indexes |= {gone: {}, other: {}, "matryoshka_bench_elsewhere_1_1": {}}
    weaviate.objects |= {gone.capitalize(): {}, "Theirs": {}}
    sent = (
        stand_in("MATRYOSHKA_BENCH_ELASTICSEARCH", elastic),
        stand_in("MATRYOSHKA_BENCH_WEAVIATE", weaviate),
    )
    asked("elasticsearch", vectors, M=16, ef_construction=100)
    asked("weaviate", vectors, M=16, ef_construction=128)
    dropped = [[path for method, path, _, _ in requests if method == "DELETE"] for requests in sent]
    assert dropped == [[gone], [f"v1/schema/{gone.capitalize()}"]]


def test_a_password_is_in_no_error():
    with pytest.raises(ConnectionError) as raised:
        Connection("http://someone:secret@127.0.0.1:9")("GET", "")
    assert "secret" not in str(raised.value)


@pytest.mark.needs_databases
@pytest.mark.parametrize(
    ("name", "variable", "where"),
    [
        ("qdrant", "MATRYOSHKA_BENCH_QDRANT", ":memory:"),
        ("milvus", "MATRYOSHKA_BENCH_MILVUS", "milvus.db"),
    ],
)
def test_a_real_client_without_its_server(name, variable, where, tmp_path, monkeypatch):
    monkeypatch.setenv(variable, where if where == ":memory:" else str(tmp_path / where))
    # Milvus Lite runs in the client's process and does not free its memory.
    ignored = {"memory_comes_back"} if name == "milvus" else set()
    failed = [r for r in check(name, "float32") if not r.ok and r.rule not in ignored]
    assert not [f"{r.rule}: {r.detail}" for r in failed]
