"""The configurations measured so far that a new one must better in something."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.measuring.jobs import QueryRows, Rival
from bench.measuring.workload import Workload
from bench.results.rows import timed
from bench.results.store import load, load_queries


class Rivals:
    """The rivals of each embeddings set, those of earlier runs of the study included."""

    def __init__(self, folder: Path, done: Collection[str]) -> None:
        """`done` are the trials of the study in the results `folder`, by id."""
        self.folder = folder
        self.done = done
        self._found: dict[str, list[Rival]] = {}

    def of(self, work: Workload) -> list[Rival]:
        """Return the undominated configurations measured so far on these embeddings."""
        key = work.embeddings.key
        if key not in self._found:
            self._found[key] = self._earlier(work) if self.done else []
        return undominated(self._found[key])

    def add(self, work: Workload, row: dict[str, Any], queries: QueryRows) -> None:
        """Remember a configuration, if the rivals on its embeddings were asked for."""
        if work.embeddings.key not in self._found:
            return
        by_query = getattr(queries, work.measure)
        rival = _rival(by_query, row["latency_ms_p50"], row["bytes_per_vector"])
        if rival:
            self._found[work.embeddings.key].append(rival)

    def _earlier(self, work: Workload) -> list[Rival]:
        trials = load(self.folder)
        held = timed(trials[trials["trial_id"].isin(self.done)])
        held = held[
            (held["dataset"] == work.embeddings.dataset)
            & (held["encoder"] == work.embeddings.encoder)
        ]
        queries = dict(list(load_queries(self.folder).groupby("trial_id")))
        found = []
        for _, row in held.iterrows():
            values = queries[row["trial_id"]].set_index("query_id")[work.measure]
            by_query = values.loc[work.embeddings.query_ids]
            found.append(_rival(by_query.tolist(), row["latency_ms_p50"], row["bytes_per_vector"]))
        return [rival for rival in found if rival]


def _rival(by_query: Sequence[float] | None, ms: float, size: float | None) -> Rival | None:
    """Return a rival; None without a quality of every query or a size to compare by."""
    found = np.array([*(by_query or [np.nan]), np.nan if size is None else size], dtype=float)
    if np.isnan(found).any():
        return None
    return Rival(by_query=found[:-1].tolist(), ms=ms, bytes=float(found[-1]))


def undominated(rivals: Sequence[Rival]) -> list[Rival]:
    """Return the rivals that no other dominates: none is as good in all three and better in one."""
    costs = [(-float(np.mean(r.by_query)), r.ms, r.bytes) for r in rivals]
    values = np.array(costs).reshape(-1, 3)
    kept = []
    for rival, own in zip(rivals, values, strict=True):
        dominates = (values <= own).all(axis=1) & (values < own).any(axis=1)
        if not dominates.any():
            kept.append(rival)
    return kept
