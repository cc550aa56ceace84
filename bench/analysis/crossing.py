"""From which number of documents on an index answers faster than the exhaustive scan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis.sizing import growth
from bench.analysis.tables import plain_trials
from bench.backends import REFERENCE, exhaustive_backends
from bench.results.rows import base_dataset

RECALL = 0.95
"""ANN recall@10 that an index must have to count: a search that finds little is fast."""
MOST_TIMES = 100
"""Times the largest size up to which a crossing is looked for beyond the data."""
_SIZES = 2


@dataclass(frozen=True)
class Crossing:
    """The latencies of the scan and of one index over the same vectors, by size of the corpus."""

    dataset: str
    """The whole dataset."""
    encoder: str
    dim: int
    backend: str
    scan: pd.Series
    """Median latency of the exhaustive scan, ms, by number of documents, ascending."""
    index: pd.Series
    """That of the fastest search of the index that finds `RECALL`; empty if none does."""
    documents: float
    """Where the index begins to win: the smallest size if it always does; NaN if it never does, or
    does not find `RECALL` at the largest size."""
    ms: float
    """Latency of both there; that of the index at the smallest size if it always wins."""
    is_beyond: bool
    """Whether that is extrapolated by what both grow by."""

    @property
    def always(self) -> bool:
        """Whether the index wins at every size measured."""
        return bool(self.documents == self.index.index.min()) and not self.is_beyond


def crossings(frame: pd.DataFrame) -> list[Crossing]:
    """Return where each index begins to win, by dataset, encoder and dimension.

    `frame` holds rows of several sizes of the corpus (`corpus_sizes` of a study). Searched are
    truncated float32 vectors, in one stage, with the fewest threads and results. A dimension whose
    scan was timed at one size has none.
    """
    rows = plain_trials(frame)
    rows = rows[(rows["threads"] == rows["threads"].min()) & (rows["k"] == rows["k"].min())]
    rows = rows.assign(base=base_dataset(rows), encoder=rows["encoder"].fillna(""))
    exact = exhaustive_backends()
    power = {name: own.power for name, own in growth(frame).items()}
    found = []
    for (base, encoder, dim), part in rows.groupby(["base", "encoder", "dim"], sort=False):
        scan = _fastest(part[part["backend"] == REFERENCE])
        if len(scan) < _SIZES:
            continue
        good = part[part["ann_recall_at_10"] >= RECALL]
        for backend in part.loc[~part["backend"].isin(exact), "backend"].unique():
            index = _fastest(good[good["backend"] == backend])
            at, ms, beyond = _crossing(scan, index, power[REFERENCE], power[str(backend)])
            found.append(
                Crossing(
                    str(base), str(encoder), int(dim), str(backend), scan, index, at, ms, beyond
                )
            )
    return found


def _fastest(rows: pd.DataFrame) -> pd.Series:
    return rows.groupby("n_corpus")["latency_ms_p50"].min().sort_index()


def _crossing(
    scan: pd.Series, index: pd.Series, scan_power: float, index_power: float
) -> tuple[float, float, bool]:
    """Return documents, latency in ms, and whether they lie beyond the data; NaN if never.

    Between sizes both are taken to grow by a power. The index must win from there on, so that one
    noisy size does not count.
    """
    nowhere = (float("nan"), float("nan"), False)
    sizes = scan.index.intersection(index.index)
    if not len(sizes) or sizes[-1] != scan.index[-1]:
        return nowhere  # the searches tried do not find enough in the largest corpus
    x = np.log(sizes.to_numpy(float))
    mine, theirs = np.log(index[sizes].to_numpy(float)), np.log(scan[sizes].to_numpy(float))
    behind = mine - theirs
    lost = np.flatnonzero(behind >= 0)
    if not len(lost):
        return float(sizes[0]), float(index[sizes[0]]), False
    last = int(lost[-1])
    if last + 1 < len(sizes):
        share = behind[last] / (behind[last] - behind[last + 1])
        at = x[last] + share * (x[last + 1] - x[last])
        ms = mine[last] + share * (mine[last + 1] - mine[last])
        return float(np.exp(at)), float(np.exp(ms)), False
    gained = scan_power - index_power
    further = behind[last] / gained if gained > 0 else np.inf
    if further > np.log(MOST_TIMES):
        return nowhere
    return float(np.exp(x[last] + further)), float(np.exp(mine[last] + index_power * further)), True
