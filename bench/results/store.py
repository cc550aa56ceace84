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
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from bench.errors import DamagedFile, NothingToShow
from bench.files import append, clear, make_folder, writing
from bench.parquet import read_schema
from bench.results.columns import checked
from bench.results.derived import with_derived
from bench.results.harmless import file_of
from bench.results.locking import only_writer
from bench.results.rows import oldest_first
from bench.results.schema import CONFIGURATION, QUERY_COLUMNS
from bench.results.tables import (
    COLUMNS,
    JOINED,
    QUERIES,
    RANKINGS,
    SCHEMAS,
    TRIALS,
    checked_file,
    files,
    gather,
    rows_in,
    table_of,
    typed,
    write_table,
)

ADVICE = "advice.json"
"""The answer of `advise`, where one was asked for."""
TASKS = "tasks.jsonl"
"""What each piece of a run took, one line each, in the order of their ends."""
RANKED = "rankings"
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
        with only_writer(self.folder):
            clear(self.folder)
            # So that the rows of an earlier run come before those of this one.
            self.gather()
            yield

    def done(self) -> dict[str, str]:
        """Return the status of each trial in the folder, by trial id; raises DamagedFile."""
        table = gather(self.folder, "trials", ["trial_id", "status"])
        return dict(zip(table["trial_id"].to_pylist(), table["status"].to_pylist(), strict=True))

    def rows(self, columns: list[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the row of each trial as it was stored, or only its `columns`, by trial id.

        Raises DamagedFile, also if the rows of queries are cut short.
        """
        for path in files(self.folder, "queries"):
            checked_file(path, partial(read_schema, path))
        table = gather(self.folder, "trials", columns and ["trial_id", *columns])
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
        row = checked(trial, COLUMNS["trials"])
        if queries is not None and rankings is not None:
            found = {"query_id": list(queries["query_id"]), "doc_ids": rankings}
            write_table(pa.table(found, schema=RANKINGS), _rankings(self.folder, name))
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

    def log(self, task: str, label: str, begun: float, node: str = "", **figures: float) -> None:
        """Add a line to ``tasks.jsonl``: what a part of the run took, and when it began.

        `begun` by `time.monotonic`, which no change of the clock moves; in the file it is in
        seconds since 1970. `node` names the machine if it was another than the runner's; `figures`
        are added as they are.
        """
        seconds = time.monotonic() - begun
        line = {"task": task, "label": label, "begun": time.time() - seconds, "seconds": seconds}
        line |= {"node": node} if node else {}
        append(self.folder / TASKS, json.dumps(line | figures))

    def gather(self) -> None:
        """Move the parts into the two tables."""
        self.flush()
        for kind in SCHEMAS:
            if any(self.parts.glob(f"*.{kind}.parquet")):
                write_table(gather(self.folder, kind), self.folder / f"{kind}.parquet")
        for part in self.parts.glob("*.parquet"):
            part.unlink()
        self._fresh = {kind: {} for kind in SCHEMAS}

    def _add_part(self, kind: str, name: str, table: pa.Table, hold: bool) -> None:
        if not hold:
            write_table(table, self.parts / file_of(name, f"{kind}.parquet"))
        self._fresh[kind][name] = table

    def _join(self) -> None:
        """Write the fresh rows of each table as one file, then remove their own parts."""
        number = 1 + max((int(p.name[7:13]) for p in self.parts.glob(f"{JOINED}-*")), default=-1)
        for kind in ("queries", "trials"):  # in this order, as in `add`
            if self._fresh[kind]:
                joined = self.parts / f"{JOINED}-{number:06}.{kind}.parquet"
                write_table(pa.concat_tables(self._fresh[kind].values()), joined)
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
        return with_derived(oldest_first(_newest(folder)).reset_index(drop=True))
    return load_of_last_machine(folder)[0]


def load_of_last_machine(folder: str | Path) -> tuple[pd.DataFrame, list[str]]:
    """Return what `load` and `other_machines` return, from one read; raises as `load` does."""
    frame = _newest(folder)
    machines = list(frame["machine"])
    others = [machine for machine in dict.fromkeys(machines) if machine != machines[-1]]
    frame = frame[frame["machine"] == machines[-1]] if others else frame
    return with_derived(oldest_first(frame).reset_index(drop=True)), others


def other_machines(folder: str | Path) -> list[str]:
    """Return the machines whose trials `load` leaves out; raises as `load` does."""
    return load_of_last_machine(folder)[1]


def load_queries(folder: str | Path) -> pd.DataFrame:
    """Return the per-query rows of a results folder; its README lists the columns."""
    return gather(Path(folder), "queries").to_pandas()


def load_quality(folder: str | Path) -> pd.DataFrame:
    """Return the columns of `load_queries` that hold ids, groups and quality, ids as categories.

    That is all that a recommendation, a verdict and a finding need, in a tenth of the memory.
    """
    table = gather(Path(folder), "queries", _OF_QUALITY, _DICTIONARIES)
    return table.unify_dictionaries().to_pandas()


def load_relevant(folder: str | Path, trial_ids: Iterable[str]) -> pd.DataFrame:
    """Return what `load_queries` holds of the ranks of relevant documents, for some trials."""
    table = gather(Path(folder), "queries", _OF_RELEVANT, _DICTIONARIES).unify_dictionaries()
    asked = pc.is_in(table["trial_id"].cast(pa.string()), pa.array([*trial_ids], pa.string()))
    return table.filter(asked).to_pandas()


def load_rankings(folder: str | Path, trial_id: str) -> pd.DataFrame | None:
    """Return the documents found by each query of a trial; None if they were not kept.

    Columns: ``query_id, doc_ids``.
    """
    path = _rankings(Path(folder), trial_id)
    return typed(table_of(path), RANKINGS, path).to_pandas() if path.is_file() else None


def _newest(folder: str | Path) -> pd.DataFrame:
    folder = Path(folder)
    if folder.is_file():
        frame = rows_in(folder, "trials").to_pandas()
    elif folder.is_dir():
        frame = gather(folder, "trials").to_pandas()
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
    missing = [c for c in ("trial_id", "status", "dataset", "backend") if frame[c].isna().any()]
    if missing:
        raise DamagedFile(f"{folder} is damaged: it holds trials without '{missing[0]}'")
    for column in (c.name for c in COLUMNS["trials"] if c.type == "floats"):
        # Unlike an array, a tuple is one value to pandas: it is hashed, compared and never missing.
        frame[column] = [None if x is None else tuple(x.tolist()) for x in frame[column]]
    return frame.drop_duplicates(_SAME, keep="last")


def _rankings(folder: Path, trial_id: str) -> Path:
    return folder / RANKED / file_of(trial_id, "parquet")
