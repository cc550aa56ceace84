"""DuckDB: exhaustive search in SQL over a column of arrays."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from bench.backends import DATABASE, Backend, folder_bytes, padded
from bench.source import Code, Deployment, written


class Duckdb(Backend):
    """A scan of a column store, without its vector index, an extension that must be downloaded.

    Source: Raasveldt & Mühleisen 2019.
    """

    name = "duckdb"
    kind = DATABASE
    own_threads = True
    module = "duckdb"
    install = "pip install duckdb"
    licence = "MIT"
    summary = "DuckDB: exhaustive, in SQL"
    exact = True

    def build(self, vectors: np.ndarray) -> None:
        import duckdb
        import pyarrow as pa

        self.folder = tempfile.TemporaryDirectory()
        self.connection = duckdb.connect(
            str(Path(self.folder.name) / "vectors.duckdb"), config={"threads": self.threads}
        )
        d = vectors.shape[1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), d)
        # DuckDB finds the table by the name of this variable.
        given = pa.table({"id": np.arange(len(vectors)), "embedding": column})  # noqa: F841
        table = f"SELECT id, embedding::FLOAT[{d}] AS embedding FROM given"
        self.connection.execute(f"CREATE TABLE items AS {table}")
        self.connection.execute("CHECKPOINT")
        score = f"array_inner_product(embedding, ?::FLOAT[{d}])"
        self.statement = f"SELECT id FROM items ORDER BY {score} DESC, id LIMIT ?"

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        run = self.connection.execute
        found = (run(self.statement, [query, k]).fetchall() for query in queries)
        return padded(([row[0] for row in rows] for rows in found), k)

    def size_bytes(self) -> int:
        return folder_bytes(Path(self.folder.name))

    def close(self) -> None:
        self.connection.close()
        self.folder.cleanup()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        d = deployment.dimension
        create = f"CREATE OR REPLACE TABLE items AS\nSELECT id, embedding::FLOAT[{d}] AS embedding"
        score = f"array_inner_product(embedding, ?::FLOAT[{d}])"
        statements = {
            "CREATE": f"{create} FROM given",
            "QUERY": f"SELECT id FROM items\nORDER BY {score} DESC, id LIMIT ?",
        }
        return Code(
            written(_CODE, deployment),
            ("import duckdb", "import pyarrow as pa"),
            ("duckdb", "pyarrow"),
            {"FILE": "vectors.duckdb", **statements},
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    connection = duckdb.connect(FILE, config={"threads": THREADS})
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION)
    connection.register("given", pa.table({"id": np.arange(len(vectors)), "embedding": column}))
    connection.execute(CREATE)
    return connection


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    rows = (index.execute(QUERY, [query, k]).fetchall() for query in queries)
    return padded(([row[0] for row in found] for found in rows), k)
'''
