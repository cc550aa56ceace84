"""Inputs that a worker prepares before it measures: reducer, reduced vectors, exact results."""

from __future__ import annotations

import contextlib
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.embeddings import Embeddings, open_embeddings
from bench.exact.one_pass import Exact
from bench.files import whole
from bench.measuring.jobs import Data, ExactKey
from bench.reducers import PLAIN, PREFIX, Reducer, get_reducer
from bench.study.plan import parameters
from bench.vectors import normalise, truncate

_ROWS = 16_384


def opened(data: Data) -> Embeddings:
    """Open the embeddings of a job."""
    return open_embeddings(data.folder, max_queries=data.max_queries, seed=data.seed)


def fitted_reducer(key: ExactKey, embeddings: Embeddings) -> Reducer:
    """Return the fitted reducer; the first worker fits it and saves its arrays for the others."""
    reducer = get_reducer(key.reducer)(key.data.encoder, **parameters(key.reducer_params))
    kept = key.stem.with_suffix(".reducer.npz")
    damaged = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
    if reducer.fitted is not None:
        with contextlib.suppress(*damaged), np.load(kept, allow_pickle=False) as state:
            reducer.restore(state)
            return reducer
    reducer.fit(embeddings.corpus)
    state = reducer.state()
    if state:
        kept.parent.mkdir(exist_ok=True)
        with whole(kept) as partial:
            np.savez(partial, **_named(state))
    return reducer


def plain() -> Reducer:
    """Return plain truncation."""
    return get_reducer(PLAIN)()


def reduced(reducer: Reducer, corpus: np.ndarray, dimension: int) -> np.ndarray:
    """Return the whole corpus at `dimension`, (n, d) float32 unit length, read in blocks."""
    vectors = np.empty((len(corpus), dimension), dtype=np.float32)
    for start in range(0, len(corpus), _ROWS):
        rows = slice(start, start + _ROWS)
        vectors[rows] = truncate(reducer.map(normalise(corpus[rows])), dimension)
    return vectors


class ExactResults:
    """Exact neighbours of every query at every dimension, with one reducer, kept in a file."""

    def __init__(self, key: ExactKey) -> None:
        self.path = key.stem.with_suffix(".npz")

    def exist(self) -> bool:
        """Return whether an earlier pass saved them."""
        return self.path.exists()

    def save(self, found: Exact, n_documents: int, rows: np.ndarray) -> None:
        """Save the results of a pass; `rows` (p,) int64 are the queries of the ranked pairs."""
        small = np.int32 if n_documents < 2**31 else np.int64
        arrays: dict[str, np.ndarray] = {
            f"ids_{d}": ids.astype(small) for d, (ids, _) in found.nearest.items()
        }
        for d, (_, ranks) in found.relevant.items():
            first = np.full(len(arrays[f"ids_{d}"]), n_documents + 1)
            np.minimum.at(first, rows, ranks)
            arrays[f"first_relevant_{d}"] = first
        self.path.parent.mkdir(exist_ok=True)
        with whole(self.path) as partial:
            np.savez(partial, **_named(arrays))

    def ids(self, dimension: int) -> np.ndarray:
        """Return the documents found, (q, depth) int64, best first, -1 pads."""
        ids: np.ndarray = self._arrays[f"ids_{dimension}"]
        return ids.astype(np.int64)

    def first_relevant(self, dimension: int) -> np.ndarray:
        """Return the rank of each query's best relevant document in the corpus, (q,) int64."""
        ranks: np.ndarray = self._arrays[f"first_relevant_{dimension}"]
        return ranks

    @cached_property
    def _arrays(self) -> Any:
        return np.load(self.path, allow_pickle=False)


class StoredVectors:
    """The mapped vectors at the full dimension, which later stages of a search score."""

    def __init__(self, reducer: Reducer, corpus: np.ndarray, full: np.ndarray, path: Path) -> None:
        """`corpus` (n, D) as encoded, `full` (n, D) unit length; `path` caches mapped rows."""
        self._reducer = reducer
        self._corpus = corpus
        self._full = full
        self._path = path

    @cached_property
    def memory(self) -> np.ndarray:
        """(n, D) float32 unit length."""
        if self._reducer.kind == PREFIX:
            return self._full
        return reduced(self._reducer, self._corpus, self._corpus.shape[1])

    def disk(self) -> tuple[np.memmap, bool]:
        """Return a memory map (n, D) float32, and whether its rows are of unit length."""
        if self._reducer.kind == PREFIX and isinstance(self._corpus, np.memmap):
            return self._corpus, False
        if not self._path.exists():
            with whole(self._path) as partial:
                np.save(partial, self.memory)
        return np.load(self._path, mmap_mode="r"), True


def _named(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return dict(arrays)
