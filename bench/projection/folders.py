"""What the page and the figures show of a results folder in corpora of other sizes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.projection.projecting import COLUMNS, MOST_TIMES, project
from bench.reducers import PREFIX
from bench.results.rows import UNCOMPRESSED, exhaustive_rows, groups, wholes
from bench.results.store import load_relevant

MOST_DIMENSIONS = 10
"""Dimensions of each reducer that are projected: a line each."""
_FIRST = 100
_STEPS = (1, 3)
"""Sizes within a decade."""


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows to project: of each reducer one seed, evenly spread dimensions.

    Beside float32, the precisions of truncated vectors that were searched without a clock. Those of
    smaller parts of a corpus say nothing that the whole does not.
    """
    parts = []
    rows = exhaustive_rows(wholes(frame))
    rows = rows[(rows["precision"] == UNCOMPRESSED) | (rows["reducer_kind"] == PREFIX)]
    for _, part in groups(rows):
        for _, rows in part.groupby(["reducer", "precision"], sort=False):
            of = rows[rows["reducer_params"].fillna("") == (rows["reducer_params"].iloc[0] or "")]
            of = of.drop_duplicates("dim", keep="last").sort_values("dim")
            count, most = len(of), min(len(of), MOST_DIMENSIONS)
            places = {round(i * (count - 1) / max(1, most - 1)) for i in range(most)}
            parts.append(of.iloc[sorted(places)])
    return pd.concat(parts) if parts else rows


def sizes(n_corpus: int) -> list[int]:
    """Return the sizes of a curve: 100, 300, 1,000, … to a hundred times `n_corpus`, and that."""
    found, decade = {n_corpus}, _FIRST
    while decade <= MOST_TIMES * n_corpus:
        found |= {s * decade for s in _STEPS if s * decade <= MOST_TIMES * n_corpus}
        decade *= 10
    return sorted(found)


def project_folder(results: str | Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return what `project` returns for the `shown` rows of a results folder, at `sizes`.

    `results` is the folder or its ``trials.parquet``, `frame` its trials. Only these rows of the
    queries table are read.
    """
    path = Path(results)
    folder = path.parent if path.is_file() else path
    rows = shown(frame)
    queries = load_relevant(folder, rows["trial_id"])
    parts = [project(part, queries, sizes(int(part["n_corpus"].max()))) for _, part in groups(rows)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
