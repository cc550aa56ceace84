"""A results folder: tables that a kill cannot damage.

It holds ``trials.parquet`` (one row per trial), ``queries.parquet`` (one row per trial and query)
and ``rankings/TRIAL.parquet`` (the documents that each query found). During a run each trial's
rows lie in ``parts/``, written under another name and renamed once whole. Every so many parts are
joined into one, since thousands of files are slow to read, and the end of the run gathers them all.
Readers take a trial from the newest file that holds it, so nothing is lost or read twice. Rows
stand in the order of their runs, whatever the clock said.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.errors import DamagedFile, NothingToShow, UsageError
from bench.files import append, clear, make_folder, whole, writing
from bench.parquet import read_schema, read_table
from bench.results.columns import Column, checked
from bench.results.derived import with_derived
from bench.results.schema import (
    CONFIGURATION,
    QUERY_COLUMNS,
    RANKING_COLUMNS,
    SCHEMA_VERSION,
    TRIAL_COLUMNS,
)

ADVICE = "advice.json"
"""The answer of `advise`, where one was asked for."""
TASKS = "tasks.jsonl"
"""What each piece of a run took, one line each, in the order of their ends."""
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
_JOINED = "joined"
"""Beginning of the names of joined parts. A trial's own part is newer: it is written again if more
is measured."""
_MOST_PARTS = 200
"""Trials whose parts are joined into one."""
_HELD_SECONDS = 1.0
"""Longest time that a trial's rows wait for others."""
_DICTIONARIES = ["trial_id", "query_id", "query_group"]
"""Texts of the queries table that repeat in many rows."""
_OF_QUALITY = [*_DICTIONARIES, "ndcg_at_10", "fidelity_at_10"]
_OF_RELEVANT = [*_DICTIONARIES, "first_relevant_rank", "relevant_ranks", "relevant_grades"]
_SAME = [*CONFIGURATION, "dataset_fingerprint", "n_queries", "machine"]
"""Rows equal in these measured the same thing; the newest counts."""


def arrow_schema(columns: Iterable[Column]) -> pa.Schema:
    """Return the parquet schema of a table, bounds of intervals included."""
    fields = {each.name: _ARROW[each.type] for column in columns for each in column.all()}
    return pa.schema(fields, metadata={_VERSION_KEY: str(SCHEMA_VERSION).encode()})


TRIALS = arrow_schema(TRIAL_COLUMNS)
QUERIES = arrow_schema(QUERY_COLUMNS)
RANKINGS = arrow_schema(RANKING_COLUMNS)
_SCHEMAS = {"trials": TRIALS, "queries": QUERIES}
_COLUMNS = {
    "trials": [each for column in TRIAL_COLUMNS for each in column.all()],
    "queries": list(QUERY_COLUMNS),
}


class Store:
    """A results folder that trials are added to."""

    def __init__(self, folder: str | Path) -> None:
        """Open or create `folder`; raises UsageError if it cannot be written."""
        self.folder = Path(folder)
        self.parts = self.folder / "parts"
        with writing(self.folder):
            make_folder(self.parts)
        self._fresh: dict[str, dict[str, pa.Table]] = {"queries": {}, "trials": {}}
        """Tables of the trials that are not in a joined part yet, by trial id."""
        self._held_since: float | None = None
        """When the first trial came that has no part of its own, by the monotonic clock."""

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other writers out, and tidy what a killed one left.

        Raises UsageError if another process has the folder or it cannot be written; DamagedFile.
        """
        with writing(self.folder):
            try:
                lock = filelock.FileLock(self.folder / ".lock").acquire(timeout=0)
            except filelock.Timeout as error:
                busy = f"{self.folder} is being written by another run"
                raise UsageError(f"{busy}; wait for it or choose another --out") from error
        with lock:
            clear(self.folder)
            # So that the rows of an earlier run come before those of this one.
            self.gather()
            yield

    def done(self) -> dict[str, str]:
        """Return the status of each trial in the folder, by trial id; raises DamagedFile."""
        table = _gather(self.folder, "trials", ["trial_id", "status"])
        return dict(zip(table["trial_id"].to_pylist(), table["status"].to_pylist(), strict=True))

    def rows(self, columns: list[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the row of each trial as it was stored, or only its `columns`, by trial id."""
        table = _gather(self.folder, "trials", columns and ["trial_id", *columns])
        return {row["trial_id"]: row for row in table.to_pylist()}

    def add(
        self,
        trial: Mapping[str, Any],
        queries: Mapping[str, Iterable[Any]] | None = None,
        rankings: list[list[str]] | pa.ListArray | None = None,
        *,
        hold: bool = False,
    ) -> None:
        """Add one trial: its row, its queries' rows as columns, the ids that each query found.

        On return all is completely on disk. With `hold` the rows may wait for those of other trials
        for up to a second: files of single trials are slow, and some trials cost less than theirs.
        `flush` ends the wait. Raises UndeclaredColumn for a column that no table has, UsageError if
        the disk is full or cannot be written.
        """
        name = trial["trial_id"]
        row = checked(trial, _COLUMNS["trials"])
        if queries is not None and rankings is not None:
            found = {"query_id": list(queries["query_id"]), "doc_ids": rankings}
            _write(pa.table(found, schema=RANKINGS), _rankings(self.folder, name))
        if queries is not None:
            columns = {column: list(values) for column, values in queries.items()}
            checked(dict.fromkeys(columns), QUERY_COLUMNS)
            columns["trial_id"] = [name] * len(columns["query_id"])
            nothing = [None] * len(columns["query_id"])
            table = pa.table({c: columns.get(c, nothing) for c in QUERIES.names}, schema=QUERIES)
            self._add_part("queries", name, table, hold)
        # The trial's own part comes last: without it the trial does not count as measured.
        table = pa.table({c: [row.get(c)] for c in TRIALS.names}, schema=TRIALS)
        self._add_part("trials", name, table, hold)
        if hold and self._held_since is None:
            self._held_since = time.monotonic()
        held = self._held_since is not None and time.monotonic() - self._held_since > _HELD_SECONDS
        if held or len(self._fresh["trials"]) >= _MOST_PARTS:
            self._join()

    def flush(self) -> None:
        """Write the trials that are held."""
        if self._held_since is not None:
            self._join()

    def log(self, task: str, label: str, begun: float, **figures: float) -> None:
        """Add a line to ``tasks.jsonl``: what a part of the run took, and when it began.

        `begun` by `time.monotonic`, which no change of the clock moves; in the file it is in
        seconds since 1970. `figures` are added as they are.
        """
        seconds = time.monotonic() - begun
        line = {"task": task, "label": label, "begun": time.time() - seconds, "seconds": seconds}
        append(self.folder / TASKS, json.dumps(line | figures))

    def gather(self) -> None:
        """Move the parts into the two tables."""
        self.flush()
        for kind in _SCHEMAS:
            if any(self.parts.glob(f"*.{kind}.parquet")):
                _write(_gather(self.folder, kind), self.folder / f"{kind}.parquet")
        for part in self.parts.glob("*.parquet"):
            part.unlink()
        self._fresh = {kind: {} for kind in _SCHEMAS}

    def _add_part(self, kind: str, name: str, table: pa.Table, hold: bool) -> None:
        if not hold:
            _write(table, self.parts / f"{name}.{kind}.parquet")
        self._fresh[kind][name] = table

    def _join(self) -> None:
        """Write the fresh rows of each table as one file, then remove their own parts."""
        number = 1 + max((int(p.name[7:13]) for p in self.parts.glob(f"{_JOINED}-*")), default=-1)
        for kind in ("queries", "trials"):  # in this order, as in `add`
            if self._fresh[kind]:
                joined = self.parts / f"{_JOINED}-{number:06}.{kind}.parquet"
                _write(pa.concat_tables(self._fresh[kind].values()), joined)
        for kind, tables in self._fresh.items():
            for name in tables:
                (self.parts / f"{name}.{kind}.parquet").unlink(missing_ok=True)
            tables.clear()
        self._held_since = None


def load(folder: str | Path, all_machines: bool = False) -> pd.DataFrame:
    """Return the trials of a results folder (or of a ``trials.parquet``), one row per trial.

    If a configuration was measured with several library versions, only the newest row counts.
    Rows of other machines than the last one are left out unless `all_machines`: their times do not
    belong in one figure (`other_machines` names them). Derived columns are added, and bounds of
    times hold what another run finds (`bench.results.spread`). Lists are tuples. Raises UsageError
    if there is no trial, DamagedFile if a table cannot be read.
    """
    if all_machines:
        return with_derived(
            _newest(folder).sort_values("started_at", kind="stable", ignore_index=True)
        )
    return load_of_last_machine(folder)[0]


def load_of_last_machine(folder: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Return what `load` and `other_machines` return, from one read; raises as `load` does."""
    frame = _newest(folder)
    machines = list(frame["machine"])
    others = [machine for machine in dict.fromkeys(machines) if machine != machines[-1]]
    frame = frame[frame["machine"] == machines[-1]] if others else frame
    return with_derived(frame.sort_values("started_at", kind="stable", ignore_index=True)), others


def other_machines(folder: str | Path) -> list[str]:
    """Return the machines whose trials `load` leaves out; raises as `load` does."""
    return load_of_last_machine(folder)[1]


def load_queries(folder: str | Path) -> pd.DataFrame:
    """Return the per-query rows of a results folder; its README lists the columns."""
    return _gather(Path(folder), "queries").to_pandas()


def load_quality(folder: str | Path) -> pd.DataFrame:
    """Return the columns of `load_queries` that hold ids, groups and quality, ids as categories.

    That is all that a recommendation, a verdict and a finding need, in a tenth of the memory.
    """
    table = _gather(Path(folder), "queries", _OF_QUALITY, _DICTIONARIES)
    return table.unify_dictionaries().to_pandas()


def load_relevant(folder: str | Path, trial_ids: Iterable[str]) -> pd.DataFrame:
    """Return what `load_queries` holds of the ranks of relevant documents, for some trials."""
    table = _gather(Path(folder), "queries", _OF_RELEVANT, _DICTIONARIES).unify_dictionaries()
    asked = pc.is_in(table["trial_id"].cast(pa.string()), pa.array([*trial_ids], pa.string()))
    return table.filter(asked).to_pandas()


def load_rankings(folder: str | Path, trial_id: str) -> pd.DataFrame | None:
    """Return the documents found by each query of a trial; None if they were not kept.

    Columns: ``query_id, doc_ids``.
    """
    path = _rankings(Path(folder), trial_id)
    return _typed(_table(path), RANKINGS, path).to_pandas() if path.is_file() else None


def _newest(folder: str | Path) -> pd.DataFrame:
    folder = Path(folder)
    if folder.is_file():
        frame = _read(folder, "trials").to_pandas()
    elif folder.is_dir():
        frame = _gather(folder, "trials").to_pandas()
    else:
        raise NothingToShow(
            f"there is no results folder {folder}; "
            f"`python -m bench run STUDY.toml --out {folder}` makes one"
        )
    if frame.empty:
        raise NothingToShow(
            f"{folder} holds no measured trial yet; "
            f"`python -m bench run STUDY.toml --out {folder}` measures"
        )
    for column in (c.name for c in _COLUMNS["trials"] if c.type == "floats"):
        # Unlike an array, a tuple is one value to pandas: it is hashed, compared and never missing.
        frame[column] = [None if x is None else tuple(x.tolist()) for x in frame[column]]
    return frame.drop_duplicates(_SAME, keep="last")


def _rankings(folder: Path, trial_id: str) -> Path:
    return folder / "rankings" / f"{trial_id}.parquet"


def _write(table: pa.Table, path: Path) -> None:
    with writing(path):
        make_folder(path.parent)
        with whole(path) as partial:
            # Checksums detect damaged numbers.
            pq.write_table(table, partial, compression="zstd", write_page_checksum=True)


def _table(
    path: Path, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> pa.Table:
    try:
        return read_table(path, columns, dictionaries)
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged ({error}); delete it and run again") from error


def _read(
    path: Path,
    kind: str,
    columns: list[str] | None = None,
    dictionaries: Sequence[str] = (),
) -> pa.Table:
    """Return the table, or only its `columns`; `dictionaries` are those held as dictionaries."""
    schema = _with_dictionaries(_SCHEMAS[kind], dictionaries)
    if columns is not None and _is_current(path, columns):
        schema = pa.schema([schema.field(name) for name in columns])
        return _typed(_table(path, columns, dictionaries), schema, path)
    table = _table(path)
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"0")
    written = int(version) if version.isdigit() else 0
    if written > SCHEMA_VERSION:
        raise UsageError(
            f"{path} was written by a newer matryoshka-bench (table schema {written}, this one "
            f"reads up to {SCHEMA_VERSION}); upgrade to read it"
        )
    for column in _COLUMNS[kind]:
        if column.name in table.column_names:
            continue
        if not 0 < written < column.since:
            raise DamagedFile(f"{path} is no table of this suite: it has no column '{column.name}'")
        try:
            values = pa.array(_before(column, table), _ARROW[column.type])
        except (pa.ArrowException, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DamagedFile(
                f"{path} cannot be brought up to date ({error}); delete it"
            ) from error
        table = table.append_column(column.name, values)
    found = _typed(table, schema, path)
    return found if columns is None else found.select(columns)


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


def _typed(table: pa.Table, schema: pa.Schema, path: Path) -> pa.Table:
    """Return the columns of `schema`; raises DamagedFile for other types or repeated names."""
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowException, KeyError) as error:
        why = str(error).splitlines()[0]
        raise DamagedFile(f"{path} is no table of this suite ({why}); delete it") from error


def _before(column: Column, older: pa.Table) -> list[Any]:
    """Return what `column` holds for each row of a table written before it existed."""
    if callable(column.before):
        return [column.before(row) for row in older.to_pylist()]
    return [column.before] * len(older)


def _gather(
    folder: Path, kind: str, columns: list[str] | None = None, dictionaries: Sequence[str] = ()
) -> pa.Table:
    gathered = folder / f"{kind}.parquet"
    parts = sorted((folder / "parts").glob(f"*.{kind}.parquet"))
    # Oldest first: the table, joined parts in their order, the parts of single trials.
    parts.sort(key=lambda path: not path.name.startswith(_JOINED))
    paths = ([gathered] if gathered.exists() else []) + parts
    tables = [_read(path, kind, columns, dictionaries) for path in paths]
    if not tables:
        empty = _with_dictionaries(_SCHEMAS[kind], dictionaries).empty_table()
        return empty if columns is None else empty.select(columns)
    newer = pa.array([], pa.string())
    for position in reversed(range(len(tables))) if len(tables) > 1 else ():
        ids = tables[position]["trial_id"].cast(pa.string())
        tables[position] = tables[position].filter(pc.invert(pc.is_in(ids, newer)))
        newer = pa.concat_arrays([newer, pc.unique(ids)])
    rows, older = pa.concat_tables(tables), len(tables[0]) if gathered.exists() else 0
    if "started_at" in rows.schema.names:
        rows = pa.concat_tables([rows.slice(0, older), rows.slice(older).sort_by("started_at")])
    return rows
