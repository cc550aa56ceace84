"""Read parquet files that may be damaged or malicious."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")

_ALWAYS_FINE = 256 * 2**20
"""Bytes that a table may take, however small its file."""
_MOST_INFLATED = 1000
"""Bytes that a table may take per byte of its file: sound ones stay below 100."""
_BATCH_ROWS = 8_192
_BUFFER = 2**20
"""Bytes read at a time: a row group may be larger than memory."""


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of a file; raises ValueError with the reason in one line."""
    return guarded(lambda: pq.read_schema(path))


def count_rows(path: Path) -> int:
    """Return the number of rows that a file claims; raises ValueError likewise."""
    return _claimed(guarded(lambda: pq.read_metadata(path)), path)


def read_table(
    path: Path, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> pa.Table:
    """Return a table, or only its `columns`; texts of `dictionaries` are held once each.

    Raises ValueError as `read_batches` does.
    """
    batches = list(read_batches(path, columns, dictionaries))
    schema = None if batches else read_schema(path)
    table = pa.Table.from_batches(batches, schema)
    return table if columns is None else guarded(lambda: table.select(columns))


def read_batches(
    path: Path, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> Iterator[Any]:
    """Yield a table, or only its `columns`, in batches of some thousand rows.

    Every value is checked: texts are UTF-8, lists lie within their values, pages match the checksum
    if they have one. Raises ValueError with the reason in one line, also for a file whose values
    take far more than its size.
    """
    batches = _read(path, columns, dictionaries)
    while (batch := guarded(lambda: next(batches, None))) is not None:
        yield batch


def guarded(read: Callable[[], T]) -> T:
    """Return what `read` returns; any error of Arrow becomes a ValueError of one line."""
    try:
        return read()
    # The bindings translate each error code of the library into one of these.
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        KeyError,
        TypeError,
        OverflowError,
        MemoryError,
    ) as error:
        reason = next(
            (line for line in str(error).splitlines() if line.strip()), type(error).__name__
        )
        raise ValueError(reason.strip()) from error


def _read(path: Path, columns: list[str] | None, dictionaries: Sequence[str]) -> Iterator[Any]:
    most, rows, held = most_bytes(path), 0, 0
    # The footer's statistics of a column are not read: the library aborts if they are damaged.
    with pq.ParquetFile(
        path,
        page_checksum_verification=True,
        buffer_size=_BUFFER,
        read_dictionary=list(dictionaries),
    ) as file:
        claimed = _claimed(file.metadata, path)
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            batch.validate(full=True)
            batch = _decoded(batch, dictionaries)
            rows += len(batch)
            held += batch.nbytes
            if held > most:
                raise ValueError(f"its values take more than {most} bytes, too much for its size")
            yield batch
        if rows != claimed:
            raise ValueError(f"it holds {rows} of its {claimed} rows")


def _decoded(batch: Any, kept: Sequence[str]) -> Any:
    """Return a batch whose values stand in each row, but for the dictionaries that are `kept`.

    A file can ask for dictionaries by itself, and hide in them how large its values are.
    """
    for field in batch.schema:
        if "dictionary<" in str(field.type) and not pa.types.is_dictionary(field.type):
            raise ValueError(f"its column '{field.name}' holds dictionaries within lists")
    columns = [
        column.dictionary_decode()
        if pa.types.is_dictionary(column.type) and name not in kept
        else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, batch.schema.names).replace_schema_metadata(
        batch.schema.metadata
    )


def most_bytes(path: Path) -> int:
    """Return how many bytes, and so how many rows, a sound table in a file of this size holds."""
    return max(_ALWAYS_FINE, _MOST_INFLATED * path.stat().st_size)


def _claimed(metadata: Any, path: Path) -> int:
    rows = int(metadata.num_rows)
    if not 0 <= rows <= most_bytes(path):
        raise ValueError(f"it claims {rows} rows, which a file of its size cannot hold")
    return rows
