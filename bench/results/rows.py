"""Which rows of the trials table are which."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.results.schema import CONFIGURATION
from bench.study.plan import EXACT


@dataclass(frozen=True)
class Quality:
    """The columns that hold the quality of a frame, with the bounds of their 95 % intervals."""

    column: str
    label: str

    @property
    def low(self) -> str:
        """Column of the lower bound."""
        return f"{self.column}_low"

    @property
    def high(self) -> str:
        """Column of the upper bound."""
        return f"{self.column}_high"

    @property
    def retained(self) -> str:
        """Column of the share kept of exact search at the full dimension; fidelity is such a share itself."""
        return f"retained_{self.column}" if self is NDCG else self.column

    @property
    def retained_low(self) -> str:
        """Column of that share's lower bound."""
        return f"{self.retained}_low"

    @property
    def retained_high(self) -> str:
        """Column of that share's upper bound."""
        return f"{self.retained}_high"


NDCG = Quality("ndcg_at_10", "nDCG@10")
FIDELITY = Quality("fidelity_at_10", "fidelity@10")


def quality_of(frame: pd.DataFrame) -> Quality:
    """Return nDCG@10 where there are judgements, else fidelity@10 to exact search at the full dimension."""
    return NDCG if frame["ndcg_at_10"].notna().any() else FIDELITY


def groups(frame: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Return ((dataset, encoder), its rows), in order of appearance."""
    return [
        (key, part) for key, part in frame.groupby(["dataset", "encoder"], sort=False, dropna=False)
    ]


def timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that ended ok and have a latency, of one client at a time: load is another question."""
    return frame[
        (frame["status"] == "ok") & frame["latency_ms_p50"].notna() & (frame["clients"] == 1)
    ]


def loads(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the timed rows of the configurations that were measured with several clients, their one-client rows included.

    Of each backend, reducer, precision, dimension and choice of stages one configuration is kept: with one client the
    fastest of those within a hundredth of the best quality.
    """
    rows = frame[(frame["status"] == "ok") & frame["latency_ms_p50"].notna()]
    setting = [c for c in CONFIGURATION if c != "clients"]
    rows = rows[rows.groupby(setting, dropna=False)["clients"].transform("max") > 1]
    kept = []
    for _, part in rows.groupby(
        ["dataset", "encoder", "backend", "reducer", "precision", "dim", "stages"],
        dropna=False,
        sort=False,
    ):
        column, fewest = quality_of(part).column, part[part["clients"] == part["clients"].min()]
        good = fewest[fewest[column] >= fewest[column].max() - 0.01]
        best = good.loc[good["latency_ms_p50"].idxmin(), setting]
        kept.append(part[(part[setting].fillna("") == best.fillna("")).all(axis=1)])
    return pd.concat(kept) if kept else rows


def exact_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the exact pass: quality of every reducer and dimension, no times."""
    return frame[(frame["status"] == "ok") & (frame["backend"] == EXACT)]


def pareto(frame: pd.DataFrame, maximise: list[str], minimise: list[str]) -> pd.Series:
    """Return which rows no other row beats: at least as good in every column and better in one. NaN is never optimal.

    Of rows equal in all columns the first is kept.
    """
    values = np.column_stack(
        [
            *(-frame[c].to_numpy(float) for c in maximise),
            *(frame[c].to_numpy(float) for c in minimise),
        ]
    )
    optimal = ~np.isnan(values).any(axis=1)
    for i in np.flatnonzero(optimal):
        no_worse = (values <= values[i]).all(axis=1)
        beaten = no_worse & (values < values[i]).any(axis=1)
        copies = no_worse & ~beaten
        optimal[i] = not beaten.any() and np.flatnonzero(copies)[0] == i
    return pd.Series(optimal, index=frame.index)


def two_stage(frame: pd.DataFrame) -> pd.Series:
    """Return which rows rescore a shortlist, bool."""
    return frame["stages"].fillna("") != ""


def is_synthetic(frame: pd.DataFrame) -> bool:
    """Return whether any row is of synthetic vectors."""
    return bool(frame["synthetic"].fillna(False).astype(bool).any())
