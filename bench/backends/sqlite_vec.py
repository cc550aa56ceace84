"""SQLite with sqlite-vec: exhaustive search in SQL, with a rescore in the same statement."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, UnsupportedDimension, padded
from bench.backends.precisions import BINARY, FLOAT32, INT8
from bench.source import Code, Deployment, written


class SqliteVec(Backend):
    """Scans a virtual table of prefixes; a second table holds the full vectors.

    Uses apsw, since the sqlite3 of many Pythons cannot load extensions. Source: Garcia 2024.
    """

    name = "sqlite-vec"
    kind = DATABASE
    module = "sqlite_vec"
    install = "pip install sqlite-vec apsw"
    licence = "MIT or Apache-2.0"
    summary = "SQLite with sqlite-vec: exhaustive, in SQL, own rescore in the same statement"
    precisions = (FLOAT32, INT8, BINARY)
    exact = True
    full_width = True
    native_stages = True

    @classmethod
    def available(cls) -> bool:
        needed = ("sqlite_vec", "apsw")
        return all(importlib.util.find_spec(module) is not None for module in needed)

    def build(self, vectors: np.ndarray) -> None:
        import apsw
        import sqlite_vec

        self.dimension = d = self.dimension or vectors.shape[1]
        if self.precision == "binary" and d % 8:
            raise UnsupportedDimension(f"binary needs a multiple of 8 dimensions, not {d}")
        self.connection = apsw.Connection(":memory:")
        self.connection.enable_load_extension(True)
        self.connection.load_extension(sqlite_vec.loadable_path())
        kind = {"float32": "float", "int8": "int8", "binary": "bit"}[self.precision]
        metric = "" if self.precision == "binary" else " distance_metric=cosine"
        field = f"embedding {kind}[{d}]{metric}"
        self.connection.execute(f"CREATE VIRTUAL TABLE prefixes USING vec0({field})")
        self.connection.execute("CREATE TABLE full (id INTEGER PRIMARY KEY, embedding BLOB)")
        with self.connection:
            rows = ((i, vector.tobytes()) for i, vector in enumerate(vectors))
            self.connection.executemany("INSERT INTO full VALUES (?, ?)", rows)
            prefixes = f"SELECT id, {self._stored('embedding')} FROM full ORDER BY id"
            self.connection.execute(f"INSERT INTO prefixes (rowid, embedding) {prefixes}")
        nearest = f"SELECT rowid FROM prefixes WHERE embedding MATCH {self._stored('?')} AND k = ?"
        self.single = f"{nearest} ORDER BY distance"
        order = "ORDER BY vec_distance_cosine(embedding, ?) LIMIT ?"
        self.staged = f"SELECT id FROM full WHERE id IN ({nearest}) {order}"

    def _stored(self, value: str) -> str:
        """Return the SQL that truncates `value` and converts it to the precision."""
        prefix = f"vec_slice({value}, 0, {self.dimension})"
        kinds = {
            "float32": f"vec_normalize({prefix})",
            "int8": f"vec_quantize_int8(vec_normalize({prefix}), 'unit')",
            "binary": f"vec_quantize_binary({prefix})",
        }
        return kinds[self.precision]

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        rows = ((query.tobytes(), k) for query in queries)
        return padded((self._ids(self.single, arguments) for arguments in rows), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        rows = ((query.tobytes(), shortlist, query.tobytes(), k) for query in queries)
        return padded((self._ids(self.staged, arguments) for arguments in rows), k)

    def _ids(self, statement: str, arguments: tuple[Any, ...]) -> list[int]:
        return [row[0] for row in self.connection.execute(statement, arguments)]

    def size_bytes(self) -> int:
        count = next(self.connection.execute("PRAGMA page_count"))[0]
        size = next(self.connection.execute("PRAGMA page_size"))[0]
        return int(count) * int(size)

    def close(self) -> None:
        self.connection.close()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        d, native, precision = deployment.dimension, deployment.native, deployment.precision
        kind = {"float32": "float", "int8": "int8", "binary": "bit"}[precision]
        metric = "" if precision == "binary" else " distance_metric=cosine"
        create = f"CREATE VIRTUAL TABLE prefixes USING vec0(embedding {kind}[{d}]{metric})"
        stored = f"vec_normalize(vec_slice({{}}, 0, {d}))" if native else "{}"
        if precision != "float32":
            quantised = {
                "int8": "vec_quantize_int8({}, 'unit')",
                "binary": "vec_quantize_binary({})",
            }
            stored = quantised[precision].format(stored)
        insert = "INSERT INTO prefixes (rowid, embedding)"
        nearest = (
            f"SELECT rowid FROM prefixes\nWHERE embedding MATCH {stored.format('?')} AND k = ?"
        )
        statements = {
            "CREATE": create,
            "INSERT": f"{insert} VALUES (?, {stored.format('?')})",
            "QUERY": f"{nearest} ORDER BY distance",
        }
        if native:
            order = "ORDER BY vec_distance_cosine(embedding, ?) LIMIT ?"
            statements = {
                "CREATE": f"{create};\nCREATE TABLE full (id INTEGER PRIMARY KEY, embedding BLOB)",
                "INSERT": "INSERT INTO full VALUES (?, ?)",
                "FILL": f"{insert}\nSELECT id, {stored.format('embedding')}\nFROM full ORDER BY id",
                "QUERY": f"SELECT id FROM full WHERE id IN (\n{nearest}\n)\n{order}",
            }
        return Code(
            written(_CODE, deployment),
            ("import apsw", "import sqlite_vec"),
            ("apsw", "sqlite-vec"),
            {"FILE": ":memory:", **statements},
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    connection = apsw.Connection(FILE)
    connection.enable_load_extension(True)
    connection.load_extension(sqlite_vec.loadable_path())
    connection.execute(CREATE)
    with connection:
        rows = ((i, vector.tobytes()) for i, vector in enumerate(vectors))
        connection.executemany(INSERT, rows)
{% if native %}
        connection.execute(FILL)
{% endif %}
    return connection


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    rows = []
    for query in queries:
        vector = query.tobytes()
{% if native %}
        found = index.execute(QUERY, (vector, SHORTLIST, vector, k))
{% else %}
        found = index.execute(QUERY, (vector, k))
{% endif %}
        rows.append([row[0] for row in found])
    return padded(rows, k)
'''
