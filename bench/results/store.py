"""The tables: their schema, and a store that a kill cannot damage.

A results folder holds ``trials.parquet`` (one row a trial), ``queries.parquet`` (one row a trial and query) and
``rankings/TRIAL.parquet`` (what each query found). While a
run is under way each trial's rows lie in ``parts/``, written under another name and renamed when whole; the end of
the run gathers them. Readers see both, so nothing measured is ever lost or read twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.errors import UsageError
from bench.results.schema import (
    _BEFORE,
    _VERSION_KEY,
    CONFIGURATION,
    QUERIES,
    RANKINGS,
    SCHEMA_VERSION,
    TRIALS,
)


def _rankings(folder: Path, trial_id: str) -> Path:
    return folder / "rankings" / f"{trial_id}.parquet"


def _write(table: pa.Table, path: Path) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        pq.write_table(table, partial, compression="zstd")
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}); what was measured before is kept: "
            "free some room and run again, it goes on where it stopped"
        ) from error


def _read(path: Path, schema: pa.Schema) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UsageError(
            f"{path} is damaged ({str(error).splitlines()[0]}); delete it and run again"
        ) from error
    written = int((table.schema.metadata or {}).get(_VERSION_KEY, b"0"))
    if written > SCHEMA_VERSION:
        raise UsageError(
            f"{path} was written by a newer matryoshka-bench (table schema {written}, this one reads up to "
            f"{SCHEMA_VERSION}); upgrade to read it"
        )
    missing = [name for name in schema.names if name not in table.column_names]
    if 0 < written < SCHEMA_VERSION:
        for name in missing:  # what an older version did not measure yet
            kind = schema.field(name).type
            known = _BEFORE.get(name)
            column = (
                pa.nulls(len(table), kind)
                if known is None
                else pa.array([known] * len(table), kind)
            )
            table = table.append_column(name, column)
    elif missing:
        raise UsageError(f"{path} is no table of this suite: it has no column '{missing[0]}'")
    return table.select(schema.names).cast(schema)


class Store:
    """A results folder that trials are added to."""

    def __init__(self, folder: str | Path) -> None:
        """Open or create `folder`; raises UsageError when it cannot be written or its tables cannot be read."""
        self.folder = Path(folder)
        self.parts = self.folder / "parts"
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.folder} cannot be made a results folder: {error.strerror or error}"
            ) from error
        for leftover in [*self.folder.glob(".*.partial"), *self.parts.glob(".*.partial")]:
            leftover.unlink(missing_ok=True)

    def done(self) -> dict[str, str]:
        """Return the status of each trial that the folder holds, by trial id."""
        table = _gather(self.folder, "trials", TRIALS, ["trial_id", "status"])
        return dict(zip(table["trial_id"].to_pylist(), table["status"].to_pylist(), strict=True))

    def add(
        self,
        trial: Mapping[str, Any],
        queries: Mapping[str, Iterable[Any]] | None = None,
        rankings: list[list[str]] | None = None,
    ) -> None:
        """Add one trial's row, the rows of its queries as columns, and the ids of what each query found, best first.

        All is on disk and whole when this returns.
        """
        name = trial["trial_id"]
        if queries is not None and rankings is not None:
            (self.folder / "rankings").mkdir(exist_ok=True)
            columns = {"query_id": list(queries["query_id"]), "doc_ids": rankings}
            _write(pa.table(columns, schema=RANKINGS), _rankings(self.folder, name))
        if queries is not None:
            rows = dict(queries)
            rows["trial_id"] = [name] * len(list(rows["query_id"]))
            _write(
                pa.table({c: rows[c] for c in QUERIES.names}, schema=QUERIES),
                self.parts / f"{name}.queries.parquet",
            )
        row = {column: [trial.get(column)] for column in TRIALS.names}
        # The trial's own part comes last: without it the trial does not count as measured.
        _write(pa.table(row, schema=TRIALS), self.parts / f"{name}.trials.parquet")

    def gather(self) -> None:
        """Move the parts into the two tables."""
        for kind, schema in (("queries", QUERIES), ("trials", TRIALS)):
            if any(self.parts.glob(f"*.{kind}.parquet")):
                _write(_gather(self.folder, kind, schema), self.folder / f"{kind}.parquet")
        for part in self.parts.glob("*.parquet"):
            part.unlink()


def _gather(
    folder: Path, kind: str, schema: pa.Schema, columns: list[str] | None = None
) -> pa.Table:
    whole, parts = folder / f"{kind}.parquet", sorted((folder / "parts").glob(f"*.{kind}.parquet"))
    tables = [_read(path, schema) for path in ([whole] if whole.exists() else []) + parts]
    if not tables:
        return schema.empty_table().select(columns or schema.names)
    newer = {path.name.partition(".")[0] for path in parts}
    if whole.exists() and newer:
        tables[0] = tables[0].filter(
            pa.array([i not in newer for i in tables[0]["trial_id"].to_pylist()], pa.bool_())
        )
    return pa.concat_tables(tables).select(columns or schema.names)


def load(folder: str | Path, all_machines: bool = False) -> pd.DataFrame:
    """Return the trials of a results folder (or of a ``trials.parquet``) as a frame, a row a trial.

    Of a configuration measured again with other library versions only the newest row is given, and only the rows of the
    machine that measured last, unless `all_machines`: times of unlike machines do not belong into one figure.
    Raises UsageError when there are none, or a table is damaged or of a newer schema.
    """
    folder = Path(folder)
    if folder.is_file():
        frame = _read(folder, TRIALS).to_pandas()
    elif folder.is_dir():
        frame = _gather(folder, "trials", TRIALS).to_pandas()
    else:
        raise UsageError(
            f"there is no results folder {folder}; `python -m bench run STUDY.toml --out {folder}` makes one"
        )
    if frame.empty:
        raise UsageError(
            f"{folder} holds no measured trial yet; `python -m bench run STUDY.toml --out {folder}` measures"
        )
    frame = frame.sort_values("started_at", kind="stable")
    frame = frame.drop_duplicates([*CONFIGURATION, "machine"], keep="last")
    machines = list(frame["machine"].unique())
    last = frame["machine"].iloc[-1]
    if len(machines) > 1 and not all_machines:
        frame = frame[frame["machine"] == last]
    frame = frame.reset_index(drop=True)
    frame.attrs["other_machines"] = [m for m in machines if m != last]
    return frame


def load_queries(folder: str | Path) -> pd.DataFrame:
    """Return the per-query rows of a results folder: ``trial_id, query_id, ndcg_at_10, recall_at_10, …, latency_ms``."""
    return _gather(Path(folder), "queries", QUERIES).to_pandas()


def load_rankings(folder: str | Path, trial_id: str) -> pd.DataFrame | None:
    """Return what each query of a trial found: ``query_id``, ``doc_ids`` (best first); None where that was not kept."""
    path = _rankings(Path(folder), trial_id)
    return pq.read_table(path).to_pandas() if path.exists() else None
