"""The parquet tables of a results folder: their schemas, and the files that hold their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import DamagedFile, UsageError
from bench.files import make_folder, whole, writing
from bench.parquet import read_schema, read_table
from bench.results.columns import Column
from bench.results.harmless import harmless
from bench.results.schema import (
    QUERY_COLUMNS,
    RANKING_COLUMNS,
    SCHEMA_VERSION,
    TRIAL_COLUMNS,
)

_VERSION_KEY = b"matryoshka-bench.schema"
_ARROW = {
    "text": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "flag": pa.bool_(),
    "texts": pa.list_(pa.string()),
    "ints": pa.list_(pa.int64()),
    "floats": pa.list_(pa.float64()),
}
JOINED = "joined"
"""Beginning of the names of joined parts; a trial's own part is newer, as more may be measured."""


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the parquet schema of a table, bounds of intervals included."""
    fields = {each.name: _ARROW[each.type] for column in columns for each in column.all()}
    return pa.schema(fields, metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()})


TRIALS = arrow_schema(TRIAL_COLUMNS)
QUERIES = arrow_schema(QUERY_COLUMNS)
RANKINGS = arrow_schema(RANKING_COLUMNS)
SCHEMAS = {"trials": TRIALS, "queries": QUERIES}
COLUMNS = {
    "trials": [each for column in TRIAL_COLUMNS for each in column.all()],
    "queries": list(QUERY_COLUMNS),
}


def write_table(table: pa.Table, path: Path) -> None:
    """Write a table, whole or not at all; raises UsageError if the disk is full."""
    with writing(path):
        make_folder(path.parent)
        with whole(path) as partial:
            # Checksums detect damaged numbers.
            pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def table_of(
    path: Path, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> pa.Table:
    """Return a file as it is, or only its `columns`; raises DamagedFile."""
    return checked_file(path, partial(read_table, path, columns, dictionaries))


def checked_file(path: Path, read: Callable[[], Any]) -> Any:
    """Return what `read` returns; its ValueError becomes a DamagedFile that names the file."""
    try:
        return read()
    except ValueError as error:
        # Without the rows of its queries a trial would still count as measured.
        also = (
            f" and its {path.name.replace('queries', 'trials')}" if "queries" in path.name else ""
        )
        raise DamagedFile(f"{path} is damaged ({error}); delete it{also} and run again") from error


def rows_in(
    path: Path,
    kind: str,
    columns: list[str] | None = None,
    dictionaries: Sequence[str] = (),
) -> pa.Table:
    """Return the table, or only its `columns`; `dictionaries` are those held as dictionaries."""
    schema = _with_dictionaries(SCHEMAS[kind], dictionaries)
    if columns is not None and _is_current(path, columns):
        schema = pa.schema([schema.field(name) for name in columns])
        return typed(table_of(path, columns, dictionaries), schema, path)
    table = upgraded(table_of(path), kind, path, schema)
    return table if columns is None else table.select(columns)


def upgraded(table: pa.Table, kind: str, path: Path, schema: pa.Schema | None = None) -> pa.Table:
    """Return rows of a file of `kind` as this version writes them; raises as `load` does."""
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"0")
    written = int(version) if version.isdigit() else 0
    if written > SCHEMA_VERSION:
        raise UsageError(
            f"{path} was written by a newer matryoshka-bench (table schema {written}, this one "
            f"reads up to {SCHEMA_VERSION}); upgrade to read it"
        )
    for column in COLUMNS[kind]:
        if column.name in table.column_names:
            continue
        if not 0 < written < column.since:
            raise DamagedFile(f"{path} is no table of this suite: it has no column '{column.name}'")
        try:
            values = pa.array(column.earlier(table), _ARROW[column.type])
        except (pa.ArrowException, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedFile(
                f"{path} cannot be brought up to date ({error}); delete it"
            ) from error
        table = table.append_column(column.name, values)
    return typed(table, schema or SCHEMAS[kind], path)


def _is_current(path: Path, columns: list[str]) -> bool:
    """Return whether this version wrote a file, so that its columns need no look at the others."""
    try:
        schema = read_schema(path)
    except ValueError:
        return False  # reading all of it says what is wrong
    version = (schema.metadata or {}).get(_VERSION_KEY)
    return version == str(SCHEMA_VERSION).encode() and set(columns) <= set(schema.names)


def _with_dictionaries(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    fields = [
        field.with_type(pa.dictionary(pa.int32(), field.type)) if field.name in names else field
        for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def typed(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    """Return the columns of `schema`; raises DamagedFile for other types or repeated names."""
    try:
        return harmless(table.select(schema.names).cast(schema), path)
    except (pa.ArrowException, KeyError) as error:
        why = str(error).splitlines()[0]
        raise DamagedFile(f"{path} is no table of this suite ({why}); delete it") from error


def files(folder: Path, kind: str) -> list[Path]:
    """Return the files of a table, oldest first; a trial counts in the newest that holds it."""
    gathered = folder / f"{kind}.parquet"
    parts = sorted((folder / "parts").glob(f"*.{kind}.parquet"))
    # The table, joined parts in their order, the parts of single trials.
    parts.sort(key=lambda path: not path.name.startswith(JOINED))
    return ([gathered] if gathered.exists() else []) + parts


def _all_rows(
    folder: Path,
    kind: str,
    columns: list[str] | None,
    dictionaries: Sequence[str],
    tries: int = 20,
) -> list[pa.Table]:
    """Return the rows of each file, also while a run joins some and removes what it joined."""
    listed = files(folder, kind)
    try:
        return [rows_in(path, kind, columns, dictionaries) for path in listed]
    except DamagedFile:
        if not tries or all(path.exists() for path in listed):
            raise
    return _all_rows(folder, kind, columns, dictionaries, tries - 1)


def gather(
    folder: Path, kind: str, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> pa.Table:
    """Return all rows of a table, each trial from the newest file that holds it.

    `columns` and `dictionaries` as of `rows_in`. Trials stand in the order of their runs. Raises
    DamagedFile, and UsageError for a table of a newer version.
    """
    tables = _all_rows(folder, kind, columns, dictionaries)
    if not tables:
        empty = _with_dictionaries(SCHEMAS[kind], dictionaries).empty_table()
        return empty if columns is None else empty.select(columns)
    newer = pa.array([], pa.string())
    for position in reversed(range(len(tables))) if len(tables) > 1 else ():
        ids = tables[position]["trial_id"].cast(pa.string())
        tables[position] = tables[position].filter(pc.invert(pc.is_in(ids, newer)))
        newer = pa.concat_arrays([newer, pc.unique(ids)])
    rows = pa.concat_tables(tables)
    older = len(tables[0]) if (folder / f"{kind}.parquet").exists() else 0
    if "started_at" in rows.schema.names:
        rows = pa.concat_tables([rows.slice(0, older), rows.slice(older).sort_by("started_at")])
    return rows
