"""Tables of a results folder that may be larger than memory, read and written piece by piece."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import DamagedFile
from bench.files import whole
from bench.parquet import read_batches
from bench.results.tables import files, upgraded

_PIECE_BYTES = 64 * 2**20
"""Rows of so many bytes are written together: a file of many small groups is slow to read."""


def rows_of(
    folder: Path, kind: str, trial_ids: Collection[str] | None = None
) -> Iterator[pa.Table]:
    """Yield the rows of some trials, by default all, each from the newest file that holds it.

    `kind` is "trials" or "queries". Some thousand rows are in memory at a time. Raises DamagedFile,
    and UsageError for a table of a newer version.
    """
    seen: set[str] = set()
    wanted = []
    for path in reversed(files(folder, kind)):
        found = _ids(path) - seen
        seen |= found
        asked = found if trial_ids is None else found.intersection(trial_ids)
        wanted.append((path, pa.array(sorted(asked), pa.string())))
    for path, ids in reversed(wanted):
        for table in _tables(path) if len(ids) else ():
            rows = upgraded(table, kind, path)
            yield rows.filter(pc.is_in(rows["trial_id"], ids))


def write_rows(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write a table of `schema`, whole or not at all; raises OSError if the disk is full."""
    with whole(path) as partial:
        options = {"compression": "zstd", "write_page_checksum": True}
        with pq.ParquetWriter(partial, schema, **options) as file:
            held: list[pa.Table] = []
            for table in tables:
                held.append(table)
                if sum(piece.nbytes for piece in held) > _PIECE_BYTES:
                    file.write_table(pa.concat_tables(held))
                    held = []
            if held:
                file.write_table(pa.concat_tables(held))


def _ids(path: Path) -> set[str]:
    tables = _tables(path, ["trial_id"])
    return {i for table in tables for i in table["trial_id"].unique().to_pylist()}


def _tables(path: Path, columns: list[str] | None = None) -> Iterator[pa.Table]:
    try:
        for batch in read_batches(path, columns):
            yield pa.Table.from_batches([batch])
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged ({error}); delete it and run again") from error
