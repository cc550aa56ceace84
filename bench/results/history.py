"""A history: what each commit measured, one parquet file that grows.

One row holds one figure of one trial. A measurement belongs to the commit that it was first added
for: adding a results folder again adds what is new in it. Measured anew, a commit has another
sample. A reader finds the file whole while another process adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import filelock
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.commits import Commit
from bench.errors import DamagedFile, NothingToShow, UsageError
from bench.files import whole
from bench.parquet import read_table
from bench.results.columns import Column
from bench.results.harmless import harmless
from bench.results.schema import COLUMNS, CONFIGURATION
from bench.results.store import load_of_last_machine
from bench.results.tables import arrow_schema

FILE = Path("results/history.parquet")
FIGURES = tuple(column.name for column in COLUMNS.values() if column.history)
"""Figures that a history follows."""
VERSION = 1
_VERSION_KEY = b"matryoshka-bench.history"
_OF_TRIAL = (
    "study",
    *CONFIGURATION,
    "reducer_kind",
    "dataset_fingerprint",
    "n_queries",
    "machine",
    "library_versions",
    "trial_id",
    "started_at",
)
HISTORY_COLUMNS = (
    Column("commit", "text", "identity", "the commit that was measured"),
    Column("commit_date", "text", "identity", "when it was committed, ISO 8601 in UTC"),
    Column("commit_number", "int", "identity", "commits up to it; empty if git does not know it"),
    Column("added_at", "text", "identity", "when the row was added, ISO 8601 in UTC"),
    *(replace(COLUMNS[name], since=1, before=None, interval=False) for name in _OF_TRIAL),
    Column("figure", "text", "identity", "the column of `trials.parquet` that `value` is of"),
    Column("value", "float", "quality", "the figure, in its own unit"),
    Column("low", "float", "quality", "lower bound of its 95 % interval; empty if it has none"),
    Column("high", "float", "quality", "upper bound of its 95 % interval; empty if it has none"),
)
"""``history.parquet``: one row per commit, trial and figure."""
_SCHEMA = arrow_schema(HISTORY_COLUMNS).with_metadata({_VERSION_KEY: str(VERSION).encode()})
_MEASUREMENT = ["trial_id", "started_at"]


@dataclass(frozen=True)
class Added:
    """What an addition to a history did."""

    commit: Commit
    trials: int
    """Trials added."""
    known: dict[str, int]
    """Trials that were in the history already, by the commit that they are of."""
    sample: int
    """How many samples of the commit there are now, for the configuration with the most."""
    other_machines: tuple[str, ...]
    """Machines whose trials were left out, as `bench.load` does."""


def add(results: Path, commit: Commit, path: Path = FILE) -> Added:
    """Add the trials of a results folder to the history at `path`, as measured at `commit`.

    Trials that did not end ok have no figures. On return the file is completely on disk; another
    process that adds at the same time waits. Raises UsageError if the folder has no trial or the
    file is no history or cannot be written.
    """
    frame, others = load_of_last_machine(results)
    rows = _rows(frame[frame["status"] == "ok"], commit)
    if rows.empty:
        raise NothingToShow(f"{results} holds no trial that ended ok: nothing to add")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):
            return _add(rows, commit, path, tuple(others))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error})") from error


def load_history(path: Path = FILE) -> pd.DataFrame:
    """Return a history, oldest commit first; raises UsageError if there is none.

    Columns are those of `HISTORY_COLUMNS`.
    """
    if not path.is_file():
        raise NothingToShow(
            f"there is no history {path}; `matryoshka-bench history add RESULTS` begins one"
        )
    frame = _read(path).to_pandas()
    # Of one commit given with two dates, the earlier counts.
    first = frame.groupby("commit")["commit_date"].transform("min")
    frame = frame.assign(commit_date=first)
    order = ["commit_date", "commit_number", "commit", "started_at"]
    return frame.sort_values(order, kind="stable").reset_index(drop=True)


def _add(rows: pd.DataFrame, commit: Commit, path: Path, others: tuple[str, ...]) -> Added:
    before = _read(path) if path.exists() else _SCHEMA.empty_table()
    kept = before.select(["commit", *_MEASUREMENT]).to_pandas().drop_duplicates()
    owner = kept.set_index(_MEASUREMENT)["commit"]
    mine = pd.MultiIndex.from_frame(rows[_MEASUREMENT])
    known = owner[owner.index.isin(mine)]
    new = rows[~mine.isin(owner.index)]
    if len(new):
        table = pa.Table.from_pandas(new, schema=_SCHEMA, preserve_index=False)
        with whole(path) as partial:
            joined = pa.concat_tables([before, table.replace_schema_metadata(_SCHEMA.metadata)])
            pq.write_table(joined, partial, compression="zstd", write_page_checksum=True)
    of_commit = kept[kept["commit"] == commit.name]
    measured = pd.concat([of_commit, new[_MEASUREMENT].drop_duplicates()])
    return Added(
        commit=commit,
        trials=len(new[_MEASUREMENT].drop_duplicates()),
        known=known.value_counts().to_dict(),
        sample=int(measured["trial_id"].value_counts().max()) if len(measured) else 0,
        other_machines=others,
    )


def _rows(frame: pd.DataFrame, commit: Commit) -> pd.DataFrame:
    """Return the rows of the trials, one per figure that they have."""
    trials = frame[[*_OF_TRIAL]].assign(
        commit=commit.name,
        commit_date=commit.date,
        commit_number=commit.number,
        added_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    parts = []
    for figure in FIGURES:
        bounds = {
            side: frame[f"{figure}_{side}"] if COLUMNS[figure].interval else np.nan
            for side in ("low", "high")
        }
        parts.append(trials.assign(figure=figure, value=frame[figure], **bounds))
    rows = pd.concat(parts)[_SCHEMA.names]
    return rows[rows["value"].notna()]


def _read(path: Path) -> pa.Table:
    try:
        table = read_table(path)
    except ValueError as error:
        raise DamagedFile(f"{path} is damaged or no history ({error})") from error
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"")
    if not version.isdigit():
        raise UsageError(f"{path} is no history: `history add RESULTS --history FILE` makes one")
    if int(version) > VERSION:
        raise UsageError(
            f"{path} was written by a newer matryoshka-bench (history {int(version)}, this one "
            f"reads up to {VERSION}); upgrade to read it"
        )
    try:
        return harmless(table.select(_SCHEMA.names).cast(_SCHEMA), path)
    except (pa.ArrowException, KeyError) as error:
        why = str(error).splitlines()[0]
        raise DamagedFile(f"{path} is no history of this suite ({why})") from error
