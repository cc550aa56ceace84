"""Choose the rows that a page carries, so that no front and no recommendation changes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.backends import exhaustive_backends
from bench.backends.precisions import FLOAT32
from bench.results.rows import pareto

MOST_ROWS = 5_000
"""Rows that a page carries whatever they are; of more it leaves out dominated ones."""
_FRONTS = (("quality", "latency_ms_p50"), ("quality", "latency_ms_p95"), ("kept", "latency_ms_p50"))
_FACETS = ("group", "backend", "reducer", "dim", "precision", "stages")
_BYTES = "bytes_per_vector"
_AT_ONCE = 256
"""Rows that are compared with all others at a time."""


def thinned(runs: pd.DataFrame, factors: np.ndarray) -> pd.DataFrame:
    """Return the rows of `runs` that a page carries, in their order.

    `runs` has the columns of `bench.report.page.runs.runs_of`. `factors` (n, sizes) holds what each
    row keeps at other numbers of documents, as a share of what it keeps as measured; 0 where
    nothing is said. All rows are kept if there are at most `MOST_ROWS`. Else kept is whatever
    `recommend` could choose, at any setting; the front of quality, latency and bytes, for each
    dataset, backend, reducer, dimension, precision and stages; and others, evenly drawn, up to
    `MOST_ROWS`.
    """
    if len(runs) <= MOST_ROWS:
        return runs
    kept = ~runs["timed"].to_numpy(bool)
    kept |= _can_be_chosen(runs, factors)
    for facet in _FACETS:
        for _, part in runs.groupby(["group", facet], sort=False):
            for quality, latency in _FRONTS:
                best = pareto(part, [quality], [latency, _BYTES]).to_numpy(bool)
                kept[runs.index.get_indexer(part.index[best])] = True
    others = np.flatnonzero(~kept)
    room = MOST_ROWS - int(kept.sum())
    if room > 0:
        kept[others[np.linspace(0, len(others) - 1, room).round().astype(int)]] = True
    return runs[kept]


def _can_be_chosen(runs: pd.DataFrame, factors: np.ndarray) -> np.ndarray:
    """Return which rows no other of the backend dominates in all that `recommend` looks at (n,).

    That is what each is sure to keep at every size, its bytes, and the parts of its latency that
    grow with the corpus by different laws.
    """
    scans = runs["backend"].isin(exhaustive_backends()).to_numpy()
    low = runs["low"].fillna(-1.0).to_numpy(float)[:, None]
    rescored = runs["rescore_ms_p50"].fillna(0.0)
    bits = runs["dim"] * runs["component_bits"].fillna(FLOAT32.bits)
    columns = [
        runs[_BYTES].fillna(np.inf),
        runs["disk_bytes"].fillna(0.0),
        rescored,
        (runs["latency_ms_p50"] - rescored).clip(lower=0),
        (runs["latency_ms_p95"] - rescored).clip(lower=0),
        # A scan slows down as it outgrows a cache: by its bandwidth, from its size on.
        np.where(scans, runs["bandwidth_fraction"].fillna(1.0), 0.0),
        np.where(scans, bits, 0.0),
    ]
    costs = np.column_stack([-low, -low * factors, *columns]).astype(float)
    left = np.flatnonzero(runs["timed"].to_numpy(bool) & (runs["caution"] == "").to_numpy(bool))
    # First among those that change alike with the corpus: that leaves few to compare with all.
    for keys in (["group", "backend", "alike"], ["group", "backend"]):
        parts = runs.iloc[left].groupby(keys, sort=False).indices.values()
        left = np.sort(
            np.concatenate([left[part[_undominated(costs[left[part]])]] for part in parts])
        )
    found = np.zeros(len(runs), dtype=bool)
    found[left] = True
    return found


def _undominated(costs: np.ndarray) -> np.ndarray:
    """Return which rows of `costs` (n, c) no other matches in all and beats in one (n,) bool."""
    dominated = np.zeros(len(costs), dtype=bool)
    for start in range(0, len(costs), _AT_ONCE):
        some = costs[start : start + _AT_ONCE, None, :]
        no_worse = (some <= costs[None]).all(axis=2)
        dominated |= (no_worse & (some < costs[None]).any(axis=2)).any(axis=0)
    return ~dominated
