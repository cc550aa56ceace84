"""SQL is made of this code's words and of whole numbers; everything else is a parameter."""

import ast
from pathlib import Path

import pytest

import bench
from bench.errors import StudyError, UsageError
from bench.study.reader import load_study

BACKENDS = Path(bench.__file__).parent / "backends"
SQL = ("pgvector", "sqlite_vec", "duckdb")
FILLED = {
    "d", "kind", "metric", "field", "prefixes", "nearest", "order", "score", "table", "create", "insert",
    "indexed", "operators", "options", "query", "near", "rescored", "stored", "ef", "lists", "prefix",
    "value", "extension", "self.dimension", "self.single", "cls.access", "statement", "embedding",
    "self._stored('embedding')", "self._stored('?')", "stored.format('?')", "stored.format('embedding')",
    "deployment.search['nprobe']",
}  # fmt: skip
"""What is put into a statement: parts made of this code's words, dimensions, and parameters that
`check_parameters` has found to be whole numbers."""
WORDS = (
    "SELECT",
    "INSERT",
    "CREATE",
    "UPDATE",
    "DELETE",
    "DROP",
    "ORDER BY",
    "EXPLAIN",
    "SET ",
    "WITH (",
)


@pytest.mark.parametrize("name", SQL)
def test_only_known_parts_are_put_into_a_statement(name):
    tree = ast.parse((BACKENDS / f"{name}.py").read_text(encoding="utf-8"))
    texts = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    statements = [text for text in texts if any(word in ast.unparse(text) for word in WORDS)]
    assert statements
    for statement in statements:
        for part in statement.values:
            if isinstance(part, ast.FormattedValue):
                assert ast.unparse(part.value) in FILLED, ast.unparse(statement)


@pytest.mark.parametrize("name", ["pgvector-hnsw", "sqlite-vec", "duckdb"])
@pytest.mark.parametrize("hostile", ["1; DROP TABLE items", "float32'); DROP TABLE items; --"])
def test_a_study_cannot_put_a_text_where_a_statement_has_a_number_or_a_word(
    name, hostile, tmp_path
):
    study = tmp_path / "study.toml"
    for line in (
        f'precision = "{hostile}"',
        f'build = {{ M = "{hostile}" }}',
        f'search = {{ ef = "{hostile}" }}',
    ):
        study.write_text(
            f'name = "s"\ndataset = "pydoc"\ndimensions = [8]\n[[configurations]]\nbackend = "{name}"\n{line}\n'
        )
        with pytest.raises((StudyError, UsageError)):
            load_study(study)
