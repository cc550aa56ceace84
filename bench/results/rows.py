"""Selections of rows of the trials table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.backends.precisions import FLOAT32
from bench.reducers import PREFIX
from bench.registry import PART, whole_dataset
from bench.results.schema import CONFIGURATION
from bench.study.plan import BM25, CLOSED, EXACT, parameters
from bench.study.schema import DISK, FUSION, RERANK, VECTORS, reads_texts, rescores

UNCOMPRESSED = FLOAT32.name
"""The precision that others are compared with."""


@dataclass(frozen=True)
class Quality:
    """The columns that hold the quality of a frame, with the bounds of their 95 % intervals."""

    column: str
    label: str
    retained: str
    """Share kept of exact search at the full dimension."""

    @property
    def low(self) -> str:
        """Column of the lower bound."""
        return f"{self.column}_low"

    @property
    def high(self) -> str:
        """Column of the upper bound."""
        return f"{self.column}_high"

    @property
    def retained_low(self) -> str:
        """Column of the lower bound of the share kept."""
        return f"{self.retained}_low"

    @property
    def retained_high(self) -> str:
        """Column of the upper bound of the share kept."""
        return f"{self.retained}_high"


NDCG = Quality("ndcg_at_10", "nDCG@10", "retained_ndcg_at_10")
FIDELITY = Quality("fidelity_at_10", "fidelity@10", "fidelity_at_10")
"""Fidelity is already a share."""


def quality_of(frame: pd.DataFrame) -> Quality:
    """Return nDCG@10 if there are judgements, else fidelity@10 to the full dimension."""
    return NDCG if frame["ndcg_at_10"].notna().any() else FIDELITY


def oldest_first(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows in the order in which they began, wherever the machine's clock is set to."""
    order = pd.DataFrame({"moment": moments(frame), "text": frame["started_at"]})
    order = order.reset_index(drop=True)
    order = order.sort_values(["moment", "text"], kind="stable", na_position="first")
    return frame.iloc[order.index]


def moments(frame: pd.DataFrame) -> pd.Series:
    """Return when each row's trial began, in UTC."""
    return pd.to_datetime(frame["started_at"], utc=True, format="ISO8601", errors="coerce")


def groups(frame: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Return ((dataset, encoder), its rows), in order of appearance."""
    found = frame.groupby(["dataset", "encoder"], sort=False, dropna=False)
    return [(key, part) for key, part in found]


def wholes(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without those of smaller parts of a corpus (`corpus_sizes` of a study).

    Where the whole corpus was not measured, its largest part stands for it. Parts only tell how
    figures grow.
    """
    if not any(PART in name for name in frame["dataset"].unique()):
        return frame
    base = base_dataset(frame)
    largest = frame.groupby([base, frame["encoder"]], dropna=False)["n_corpus"].transform("max")
    return frame[(base == frame["dataset"]) | (frame["n_corpus"] == largest)]


def base_dataset(frame: pd.DataFrame) -> pd.Series:
    """Return the dataset that each row's own is a part of, or its own if it is whole, text."""
    names = {
        (name, n): whole_dataset(name) if name.endswith(f"{PART}{n:.0f}") else name
        for name, n in frame[["dataset", "n_corpus"]].drop_duplicates().itertuples(index=False)
    }
    pairs = zip(frame["dataset"], frame["n_corpus"], strict=True)
    return pd.Series([names[pair] for pair in pairs], index=frame.index, dtype=object)


def answered(frame: pd.DataFrame) -> pd.DataFrame:
    """Return successful rows with a latency, whatever the number of clients or the loop."""
    return frame[_answered(frame)]


def _answered(frame: pd.DataFrame) -> pd.Series:
    return (frame["status"] == "ok") & frame["latency_ms_p50"].notna()


def timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return successful, timed rows of one client in a closed loop; load tests are in `loads`."""
    return frame[_answered(frame) & (frame["clients"] == 1) & (frame["arrival"] == CLOSED)]


def arrivals(frame: pd.DataFrame) -> pd.DataFrame:
    """Return successful rows of the open loop: queries arrive at a fixed rate."""
    return frame[_answered(frame) & (frame["arrival"] != CLOSED)]


def loads(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of closed-loop load tests, with those of one client beside them.

    One configuration is kept per backend, reducer, precision, dimension and choice of stages: the
    fastest with one client among those within 0.01 of the best quality.
    """
    if not (frame["clients"] > 1).any():
        return frame.iloc[:0]
    rows = frame[_answered(frame) & (frame["arrival"] == CLOSED)]
    setting = [c for c in CONFIGURATION if c != "clients"]
    rows = rows[rows.groupby(setting, dropna=False)["clients"].transform("max") > 1]
    kept = []
    family = ["dataset", "encoder", "backend", "reducer", "precision", "dim", "stages"]
    for _, part in rows.groupby(family, dropna=False, sort=False):
        column = quality_of(part).column
        fewest = part[part["clients"] == part["clients"].min()]
        good = fewest[fewest[column] >= fewest[column].max() - 0.01]
        best = good.loc[good["latency_ms_p50"].idxmin(), setting]
        kept.append(part[(part[setting].fillna("") == best.fillna("")).all(axis=1)])
    return pd.concat(kept) if kept else rows


def exact_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the exact pass: quality of every reducer and dimension, no times.

    Its rows at other precisions, or with a rescore, are in `untimed`.
    """
    rows = exhaustive_rows(frame)
    return rows[rows["precision"] == UNCOMPRESSED]


def exhaustive_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of quality alone at every precision, without those of a rescore."""
    rows = untimed(frame)
    return rows[~two_stage(rows)]


def untimed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of quality alone: what an exhaustive search finds at any precision."""
    return frame[(frame["status"] == "ok") & (frame["backend"] == EXACT)]


def bm25_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of BM25: quality of the words alone, one per text dataset and encoder."""
    return frame[(frame["status"] == "ok") & (frame["backend"] == BM25)]


def fused_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of quality alone that fuse truncated float32 vectors with BM25, no more."""
    rows = plain(untimed(frame))
    rows = rows[rows["precision"] == UNCOMPRESSED]
    return rows[_of_stages(rows, lambda s: FUSION in s and not rescores(s) and not s.get(RERANK))]


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of truncated vectors, without any other reducer."""
    return frame[frame["reducer_kind"] == PREFIX]


def single_stage(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows without a rescore."""
    return frame[~two_stage(frame)]


def two_stage(frame: pd.DataFrame) -> pd.Series:
    """Return which rows rescore a shortlist, bool."""
    return frame["stages"].fillna("") != ""


def from_disk(frame: pd.DataFrame) -> pd.Series:
    """Return which rows rescore with vectors read from disk, bool."""
    return _of_stages(frame, lambda stages: stages.get(VECTORS) == DISK)


def with_texts(frame: pd.DataFrame) -> pd.Series:
    """Return which rows fuse their results with BM25 or rerank them by a cross-encoder, bool."""
    return _of_stages(frame, reads_texts)


def _of_stages(frame: pd.DataFrame, holds: Callable[[dict[str, Any]], bool]) -> pd.Series:
    """Return for which rows `holds` is true of the later stages, bool."""
    place, texts = pd.factorize(frame["stages"], use_na_sentinel=False)
    found = np.array([holds(parameters(text)) for text in texts], dtype=bool)
    return pd.Series(found[place], index=frame.index, dtype=bool)


def compressed(frame: pd.DataFrame) -> pd.Series:
    """Return which rows store components in a known number of bits below float32, bool."""
    return frame["component_bits"].notna() & (frame["precision"] != UNCOMPRESSED)


def pareto(frame: pd.DataFrame, maximise: list[str], minimise: list[str]) -> pd.Series:
    """Return which rows are not dominated, bool.

    A row is dominated if another is at least as good in every column and better in one. Of equal
    rows the first is kept; a row with NaN is never kept. Two or three columns in all; n log n
    comparisons. Source: Kung, Luccio & Preparata 1975.
    """
    values = np.column_stack(
        [
            *(-frame[c].to_numpy(float) for c in maximise),
            *(frame[c].to_numpy(float) for c in minimise),
        ]
    )
    first, second, *third = values.T
    last = third[0] if third else np.zeros(len(values))
    known = np.flatnonzero(~np.isnan(values).any(axis=1))
    # In this order whatever dominates a row, or equals it, comes before it.
    order = known[np.lexsort((last[known], second[known], first[known]))]
    optimal = np.zeros(len(frame), dtype=bool)
    optimal[order[_undominated(second[order].tolist(), last[order].tolist())]] = True
    return pd.Series(optimal, index=frame.index)


def _undominated(second: list[float], last: list[float]) -> list[int]:
    """Return the positions of pairs that no earlier pair matches or beats in both values."""
    # The stairs hold the best pairs so far: one value rises from step to step, the other falls.
    rising: list[float] = []
    falling: list[float] = []
    found = []
    for position, (x, y) in enumerate(zip(second, last, strict=True)):
        step = bisect_right(rising, x)
        if step and falling[step - 1] <= y:
            continue
        start = step - 1 if step and rising[step - 1] == x else step
        end = step
        while end < len(falling) and falling[end] >= y:
            end += 1
        rising[start:end], falling[start:end] = [x], [y]
        found.append(position)
    return found


def is_synthetic(frame: pd.DataFrame) -> bool:
    """Return whether any row is of synthetic vectors."""
    return bool(frame["synthetic"].fillna(False).astype(bool).any())
