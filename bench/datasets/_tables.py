"""Tables with a column of vectors: parquet and Arrow, in one file or several."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.datasets._files import few, first_line, quoted
from bench.datasets._stream import VectorStream, block_rows, chained
from bench.errors import DataError
from bench.parquet import count_rows, guarded, most_bytes, read_batches, read_schema

_IDS = ("_id", "id")


@dataclass(frozen=True)
class _Table:
    """A file, read batch by batch; what its functions raise is a ValueError of one line."""

    path: Path
    schema: pa.Schema
    count: Callable[[], int]
    batches: Callable[[list[str]], Iterator[Any]]


def table_stream(
    paths: Sequence[Path], column: str
) -> tuple[VectorStream, Callable[[], Iterator[str]] | None]:
    """Return the vectors of a column, and a function that reads their ids, or None without ids.

    `column` may be empty if the first table has just one column of lists of floats. The ids are in
    a column ``_id`` or ``id``. Raises DataError for a column that is absent, empty, or not one of
    lists of numbers of one length.
    """
    tables = [_open(path) for path in paths]
    column = column or _only_column(tables[0])
    id_column = next((name for name in _IDS if name in tables[0].schema.names), None)
    for table in tables:
        _check(table, column, id_column)
    stream = chained([_vectors(table, column) for table in tables])
    return stream, None if id_column is None else lambda: _ids(tables, id_column)


def _open(path: Path) -> _Table:
    if path.suffix.lower() == ".parquet":
        schema = _read("parquet", path, lambda: _named(read_schema(path)))
        return _Table(
            path, schema, lambda: count_rows(path), lambda names: read_batches(path, names)
        )
    reader = _read("Arrow", path, lambda: guarded(lambda: _arrow_reader(path)))
    return _Table(
        path,
        _read("Arrow", path, lambda: _named(reader.schema)),
        lambda: sum(len(batch) for batch in _arrow_batches(path, [])),
        lambda names: _arrow_batches(path, names),
    )


def _named(schema: Any) -> Any:
    """Return a schema; raises ValueError if one of its names is no Unicode."""
    schema.names  # noqa: B018  (decoded when they are asked for)
    return schema


def _arrow_reader(path: Path) -> Any:
    """Open a file in the file format of Arrow, or in its stream format, as Hugging Face writes."""
    source = pa.memory_map(str(path))
    try:
        return pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        return pa.ipc.open_stream(source)


def _arrow_batches(path: Path, names: list[str]) -> Iterator[Any]:
    """Yield the batches with columns `names`, checked: their lists lie within their values."""
    reader, most, held = guarded(lambda: _arrow_reader(path)), most_bytes(path), 0
    if isinstance(reader, pa.ipc.RecordBatchFileReader):
        each = (reader.get_batch(i) for i in range(reader.num_record_batches))
    else:
        each = iter(reader)

    def following() -> Any:
        batch = next(each, None)
        if batch is not None:
            batch = batch.select(names) if names else batch
            batch.validate(full=bool(names))
        return batch

    while (batch := guarded(following)) is not None:
        held += batch.nbytes
        if held > most:
            raise ValueError(f"its values take more than {most} bytes, too much for its size")
        yield batch


# --------------------------------------------------------------------------------- the columns


def _only_column(table: _Table) -> str:
    lists = _lists(table)
    floats = [name for name, kind in lists.items() if pa.types.is_floating(kind)]
    if len(floats) != 1:
        raise DataError(
            f"{table.path}: name the column of vectors as {table.path}#COLUMN; "
            f"columns of lists: {few(list(lists)) or 'none'}"
        )
    return floats[0]


def _lists(table: _Table) -> dict[str, Any]:
    """Return the type of the values of each column of lists."""
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return {f.name: f.type.value_type for f in table.schema if any(is_(f.type) for is_ in kinds)}


def _check(table: _Table, column: str, id_column: str | None) -> None:
    lists, names = _lists(table), table.schema.names
    if column not in lists:
        raise DataError(
            f"{table.path} has no column of lists called {quoted(column)}; "
            f"there are: {few(list(lists)) or 'none'}"
        )
    kind = lists[column]
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{table.path}: the lists in {quoted(column)} hold {kind}, not numbers")
    wanted = [column] if id_column is None else [column, id_column]
    if missing := [name for name in wanted if name not in names]:
        raise DataError(f"{table.path} has no column {quoted(missing[0])}, unlike the first file")
    if repeated := [name for name in wanted if names.count(name) > 1]:
        raise DataError(
            f"{table.path} has several columns called {quoted(repeated[0])}; rename them"
        )


def _vectors(table: _Table, column: str) -> VectorStream:
    path, what = table.path, quoted(column)
    count = _read_of(table, table.count)
    first = next((batch for batch in _batches(table, column) if len(batch)), None)
    if first is None or not count:
        raise DataError(f"{path}: the column {what} is empty")
    width = _width(first.column(column), path, what)

    def read() -> Iterator[np.ndarray]:
        step = block_rows(width)
        for batch in _batches(table, column):
            for start in range(0, len(batch), step):
                lists = batch.column(column).slice(start, step)
                if _width(lists, path, what) != width:
                    raise _uneven(path, what)
                yield lists.flatten().to_numpy(zero_copy_only=False).reshape(-1, width)

    return VectorStream((count, width), read, (path,), column)


def _width(lists: Any, path: Path, what: str) -> int:
    """Return the length of all of `lists`; raises DataError if they have not one."""
    lengths = pc.min_max(pc.list_value_length(lists)).as_py()
    if lists.null_count or lengths["min"] != lengths["max"]:
        raise _uneven(path, what)
    if not lengths["min"]:
        raise DataError(f"{path}: the column {what} is empty")
    return int(lengths["min"])


def _uneven(path: Path, what: str) -> DataError:
    return DataError(f"{path}: the lists in {what} have different lengths or are missing")


def _ids(tables: Sequence[_Table], column: str) -> Iterator[str]:
    for table in tables:
        for batch in _batches(table, column):
            try:
                yield from (str(each) for each in batch.column(column).to_pylist())
            except (ValueError, OverflowError) as error:  # a time outside the calendar
                raise DataError(
                    f"{table.path}: the ids cannot be read: {first_line(error)}; "
                    "use texts or numbers"
                ) from error


def _batches(table: _Table, column: str) -> Iterator[Any]:
    batches = table.batches([column])
    while (batch := _read_of(table, lambda: next(batches, None))) is not None:
        yield batch


def _read_of(table: _Table, read: Callable[[], Any]) -> Any:
    kind = "parquet" if table.path.suffix.lower() == ".parquet" else "Arrow"
    return _read(kind, table.path, read)


def _read(kind: str, path: Path, read: Callable[[], Any]) -> Any:
    try:
        return read()
    except ValueError as error:
        raise DataError(
            f"{path} cannot be read as {kind}: {error}; write the file again"
        ) from error
