"""Read parquet files that may be damaged or malicious."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

T = TypeVar("T")

_ALWAYS_FINE = 256 * 2**20
"""Bytes that a table may take, however small its file."""
_MOST_INFLATED = 1000
"""Bytes that a table may take per byte of its file: sound ones stay below 100."""
_BATCH_ROWS = 8_192


def read_schema(path: Path) -> pa.Schema:
    """Return the columns of a file; raises ValueError with the reason in one line."""
    return _guarded(lambda: pq.read_schema(path))


def read_table(
    path: Path, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> pa.Table:
    """Return a table, or only its `columns`; texts of `dictionaries` are held once each.

    Every value is checked: texts are UTF-8, lists lie within their values, pages match the checksum
    if they have one. Raises ValueError with the reason in one line, also for a file whose values
    take far more than its size.
    """
    return _guarded(lambda: _read(path, columns, dictionaries))


def _guarded(read: Callable[[], T]) -> T:
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


def _read(path: Path, columns: list[str] | None, dictionaries: Sequence[str]) -> pa.Table:
    most = max(_ALWAYS_FINE, _MOST_INFLATED * path.stat().st_size)
    batches, held = [], 0
    # The footer's statistics of a column are not read: the library aborts if they are damaged.
    with pq.ParquetFile(
        path, page_checksum_verification=True, read_dictionary=list(dictionaries)
    ) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
        for batch in file.iter_batches(_BATCH_ROWS, columns=columns):
            batches.append(batch)
            held += batch.nbytes
            if held > most:
                raise ValueError(f"its values take more than {most} bytes, too much for its size")
    table = pa.Table.from_batches(batches) if batches else schema.empty_table()
    if len(table) != rows:
        raise ValueError(f"it holds {len(table)} of its {rows} rows")
    table.validate(full=True)
    return table if columns is None else table.select(columns)
