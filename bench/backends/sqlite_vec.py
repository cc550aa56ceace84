"""SQLite with sqlite-vec: exhaustive search in SQL, rescored in the same statement."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

from bench.backends import DATABASE, Backend, padded


class SqliteVec(Backend):
    """A virtual table of prefixes, compared one by one, and the full vectors beside it. Source: Garcia, sqlite-vec, 2024.

    Through apsw, whose SQLite loads extensions; many a Python's own does not.
    """

    name = "sqlite-vec"
    kind = DATABASE
    module = "sqlite_vec"
    install = "pip install sqlite-vec apsw"
    licence = "MIT or Apache-2.0"
    summary = "SQLite with sqlite-vec: exhaustive, in SQL; rescores in the same statement"
    precisions = ("float32", "int8", "binary")
    exact = True
    full_width = True
    native_stages = True

    @classmethod
    def available(cls) -> bool:
        return all(
            importlib.util.find_spec(module) is not None for module in ("sqlite_vec", "apsw")
        )

    def build(self, vectors: np.ndarray) -> None:
        import apsw
        import sqlite_vec

        self.dimension = d = self.dimension or vectors.shape[1]
        if self.precision == "binary" and d % 8:
            raise ValueError(f"eight bits a byte: 8 does not divide the dimension {d}")
        self.connection = apsw.Connection(":memory:")
        self.connection.enable_load_extension(True)
        self.connection.load_extension(sqlite_vec.loadable_path())
        kind = {"float32": "float", "int8": "int8", "binary": "bit"}[self.precision]
        metric = "" if self.precision == "binary" else " distance_metric=cosine"
        self.connection.execute(
            f"CREATE VIRTUAL TABLE prefixes USING vec0(embedding {kind}[{d}]{metric})"
        )
        self.connection.execute("CREATE TABLE full (id INTEGER PRIMARY KEY, embedding BLOB)")
        with self.connection:
            self.connection.executemany(
                "INSERT INTO full VALUES (?, ?)", ((i, v.tobytes()) for i, v in enumerate(vectors))
            )
            self.connection.execute(
                f"INSERT INTO prefixes (rowid, embedding) SELECT id, {self._stored('embedding')} FROM full ORDER BY id"
            )
        self.single = f"SELECT rowid FROM prefixes WHERE embedding MATCH {self._stored('?')} AND k = ? ORDER BY distance"
        self.staged = (
            "SELECT id FROM full WHERE id IN (SELECT rowid FROM prefixes WHERE embedding MATCH "
            f"{self._stored('?')} AND k = ?) ORDER BY vec_distance_cosine(embedding, ?) LIMIT ?"
        )

    def _stored(self, value: str) -> str:
        """Return SQL that cuts `value` to the dimension and stores it at the precision."""
        prefix = f"vec_slice({value}, 0, {self.dimension})"
        kinds = {
            "float32": f"vec_normalize({prefix})",
            "int8": f"vec_quantize_int8(vec_normalize({prefix}), 'unit')",
            "binary": f"vec_quantize_binary({prefix})",
        }
        return kinds[self.precision]

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded((self._ids(self.single, (query.tobytes(), k)) for query in queries), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        rows = ((query.tobytes(), shortlist, query.tobytes(), k) for query in queries)
        return padded((self._ids(self.staged, arguments) for arguments in rows), k)

    def _ids(self, statement: str, arguments: tuple[Any, ...]) -> list[int]:
        return [row[0] for row in self.connection.execute(statement, arguments)]

    def size_bytes(self) -> int:
        pages, size = (
            next(self.connection.execute(f"PRAGMA {name}"))[0]
            for name in ("page_count", "page_size")
        )
        return int(pages) * int(size)

    def close(self) -> None:
        self.connection.close()
