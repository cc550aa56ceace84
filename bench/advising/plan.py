"""The study that a search writes out, so that the same can be run again and extended."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

from bench.advising.candidates import reducer_choice
from bench.advising.evidence import ALL, Evidence
from bench.errors import UsageError
from bench.files import whole, writing
from bench.study.plan import EXACT
from bench.study.schema import Configuration

PLAN = "plan.toml"
"""Its file in the results folder."""
_SHORTLISTS = (20, 50, 100)
_PRECISIONS, _FEW = ("int8", "int4", "binary"), ("int8", "binary")
_BEST_REDUCERS = 2
"""Reducers whose precisions are measured, per dimension."""


def earlier_tables(folder: Path, keep: float) -> list[dict[str, Any]]:
    """Return the tables of an earlier search in a results folder, which is made if it is not there.

    Raises UsageError if that search was for another share of the quality than `keep`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = tomllib.loads((folder / PLAN).read_text(encoding="utf-8"))
        kept, tables = float(held["keep"]), list(held.get("configurations", []))
        for table in tables:
            Configuration.model_validate(table)
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{folder} cannot be used: its {PLAN} is damaged: {error}") from error
    if kept != keep:
        raise UsageError(
            f"{folder} holds a search for {kept:.1%} of the quality: choose another "
            f"--out for {keep:.1%}"
        )
    return tables


def write_plan(folder: Path, study: Mapping[str, Any]) -> None:
    """Write the study of a search into its results folder."""
    with writing(folder / PLAN), whole(folder / PLAN) as partial:
        partial.write_text(tomli_w.dumps(study), encoding="utf-8")


def untimed_tables(
    rows: pd.DataFrame, evidence: Evidence, keep: float, is_large: bool
) -> list[dict[str, Any]]:
    """Return tables of precisions and rescores for the best reducers at each dimension.

    `rows` are those of the exact pass. Fewer are tried of a large corpus.
    """
    most, precisions = (1, _FEW) if is_large else (_BEST_REDUCERS, _PRECISIONS)
    tables = []
    for (dim, full_dim), part in rows.groupby(["dim", "full_dim"]):
        kept = [evidence.searched(trial) for trial in part["trial_id"]]
        part = part.assign(may_keep=[each.high >= keep for each in kept])
        # Codes of the uncut vectors are the surest, even if another reducer seems better.
        shares = [np.inf if each == ALL else each.share for each in kept]
        best = part.iloc[np.argsort(shares, kind="stable")[::-1][:most]]
        for row in best.fillna({"reducer_params": ""}).itertuples():
            chosen = reducer_choice(row.reducer, row.reducer_params)
            table = {"backend": EXACT, "reducer": chosen, "dimensions": int(dim)}
            if row.may_keep:
                tables.append({**table, "precision": list(precisions)})
            every = [*(["float32"] if dim < full_dim else []), *precisions]
            tables.append({**table, "precision": every, "stages": {"shortlist": [*_SHORTLISTS]}})
    # If the time ends before the last: first what may keep enough alone, and long vectors.
    return sorted(tables, key=lambda table: ("stages" in table, -table["dimensions"]))
