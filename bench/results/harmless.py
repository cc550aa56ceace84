"""Tables of results from strangers: their texts made harmless, their ids fit to name a file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from bench.errors import DamagedFile, UsageError
from bench.harmless import CONTROLS, is_name, shown, shown_lines

_TRIAL_ID = "trial_id"
_OF_LINES = ("error", "notes")
"""Columns whose texts may have several lines."""


def file_of(trial_id: str, suffix: str) -> str:
    """Return the name of a trial's file; raises UsageError for an id that cannot name one."""
    if not is_name(trial_id):
        raise UsageError(f"'{trial_id}' is no id of a trial: it cannot name a file")
    return f"{trial_id}.{suffix}"


def harmless(table: pa.Table, path: Path) -> pa.Table:
    """Return a table of trials as it may be shown: control signs in its texts are escapes.

    A table of queries stays as it is, since ids join files: what prints an id makes it harmless.
    Raises DamagedFile for the id of a trial that cannot name a file.
    """
    if "query_id" in table.column_names:
        return table
    for place, field in enumerate(table.schema):
        column = table[field.name]
        if field.name == _TRIAL_ID:
            _check_ids(column, path)
        elif pa.types.is_string(field.type) and _acts(column):
            make = shown_lines if field.name in _OF_LINES else shown
            texts = [None if text is None else make(text) for text in column.to_pylist()]
            table = table.set_column(place, field, pa.array(texts, field.type))
    return table


def _acts(column: pa.ChunkedArray) -> bool:
    return bool(pc.any(pc.match_substring_regex(column, f"[{CONTROLS}]")).as_py())


def _check_ids(column: pa.ChunkedArray, path: Path) -> None:
    for trial_id in column.unique().to_pylist():
        if trial_id is None or not is_name(trial_id):
            raise DamagedFile(f"{path} is no table of this suite: {trial_id!r} is no id of a trial")
