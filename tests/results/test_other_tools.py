"""The examples of the README of the tables: other tools read from the files what `bench.load` reads."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from bench.results.store import load, load_queries

README = Path(__file__).parents[2] / "bench" / "results" / "README.md"
TEXT = README.read_text(encoding="utf-8").split("## Read them with other tools")[1]
SQL = re.findall(r"^```sql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
POLARS = re.findall(r"^```python\n(# needs: [^\n]*polars.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.needs_frames


@pytest.fixture(autouse=True)
def quickstart(measured, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "quickstart").symlink_to(measured)
    monkeypatch.chdir(tmp_path)


def in_duckdb(query):
    import duckdb

    with duckdb.connect() as connection:
        found = connection.sql(query)
        return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


def in_polars(code):
    """Return the rows of the last frame that an example prints."""
    lines = code.rstrip().splitlines()
    assert lines[-1].startswith("print("), "an example ends by printing its frame"
    names = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, names)
    assert "shape:" in printed.getvalue()
    return eval(lines[-1].removeprefix("print"), names).to_dicts()


def test_each_example_is_there():
    assert len(SQL) == len(POLARS) == 2


@pytest.mark.parametrize("tool", [lambda: in_duckdb(SQL[0]), lambda: in_polars(POLARS[0])])
def test_the_best_of_each_dimension_is_that_of_the_frame(tool, measured):
    frame = load(measured)
    rows = frame[(frame["status"] == "ok") & frame["latency_ms_p50"].notna()]
    expected = rows.groupby("dim")["ndcg_at_10"].max()
    found = tool()
    assert [row["dim"] for row in found] == list(expected.index)
    for row in found:
        best = row.get("best", row.get("ndcg_at_10"))
        assert best == expected[row["dim"]]
        equal = rows[(rows["dim"] == row["dim"]) & (rows["ndcg_at_10"] == best)]
        assert row["backend"] in set(equal["backend"])


@pytest.mark.parametrize("tool", [lambda: in_duckdb(SQL[1]), lambda: in_polars(POLARS[1])])
def test_the_queries_that_find_nothing_are_those_of_the_frame(tool, measured):
    frame = load(measured)
    exact = frame[(frame["backend"] == "exact") & (frame["reducer"] == "truncate")]
    exact = exact[(exact["precision"] == "float32") & (exact["stages"] == "")]
    both = exact[["trial_id", "dim"]].merge(load_queries(measured), on="trial_id")
    expected = both.groupby("dim")["ndcg_at_10"].agg(lambda x: (x == 0).sum())
    n = int(frame["n_queries"].max())
    assert tool() == [
        {"dim": dim, "nothing": nothing, "something": n - nothing}
        for dim, nothing in expected.items()
    ]
    assert expected.iloc[0] > expected.iloc[-1]
