"""Inputs that a worker prepares before it measures: reducer, reduced vectors, exact results."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.arrays import is_archive, mapped_matrix, read_array, read_arrays
from bench.embeddings.sets import Embeddings, open_embeddings
from bench.embeddings.training import unscored
from bench.errors import DamagedFile
from bench.exact.scan import Exact
from bench.files import make_folder, whole
from bench.measuring import mapped
from bench.measuring.jobs import Data, ExactKey
from bench.reducers import PLAIN, PREFIX, Reducer, get_reducer
from bench.study.plan import parameters
from bench.vectors import normalise, truncate

_ROWS = 16_384


def opened(data: Data) -> Embeddings:
    """Open the embeddings of a job."""
    embeddings = open_embeddings(data.folder, max_queries=data.max_queries, seed=data.seed)
    mapped.as_read(embeddings.corpus)
    return embeddings


def fitted_reducer(key: ExactKey, embeddings: Embeddings) -> Reducer:
    """Return the fitted reducer; the first worker fits it and saves its arrays for the others."""
    reducer, is_fitted = restored_reducer(key)
    if is_fitted:
        return reducer
    if reducer.needs_queries and key.training is not None:
        asked = open_embeddings(key.data.folder).queries
        reducer.queries = unscored(open_embeddings(key.training).queries, asked)
    reducer.fit(embeddings.corpus)
    state = reducer.state()
    embeddings.check_unchanged()
    if state:
        kept = reducer_file(key)
        make_folder(kept.parent)
        with whole(kept) as partial:
            np.savez(partial, **_named(state))
    return reducer


def restored_reducer(key: ExactKey) -> tuple[Reducer, bool]:
    """Return the reducer as an earlier worker fitted it, and whether one did."""
    reducer = get_reducer(key.reducer)(key.data.encoder, **parameters(key.reducer_params))
    if reducer.fitted is not None:
        with contextlib.suppress(ValueError, KeyError):
            reducer.restore(read_arrays(reducer_file(key)))
            return reducer, True
    return reducer, False


def reducer_file(key: ExactKey) -> Path:
    """Return the path of the arrays of a fitted reducer, kept for all workers."""
    return key.stem.with_suffix(".reducer.npz")


def plain() -> Reducer:
    """Return plain truncation."""
    return get_reducer(PLAIN)()


def reduced(reducer: Reducer, embeddings: Embeddings, dimension: int) -> np.ndarray:
    """Return the whole corpus at `dimension`, (n, d) float32 unit length, made in blocks.

    Large ones are mapped: from the file of all full vectors, or from one without a name.
    """
    shape = len(embeddings.corpus), dimension
    uncut = reducer.kind == PREFIX and dimension == embeddings.full_dim
    if uncut and not mapped.is_small(*shape):
        return unit_vectors(embeddings)
    blocks = _reduced_blocks(reducer, embeddings.corpus, dimension)
    return mapped.filled(shape, blocks, embeddings.folder)


def _reduced_blocks(reducer: Reducer, corpus: np.ndarray, dimension: int) -> Iterator[np.ndarray]:
    for start in range(0, len(corpus), _ROWS):
        yield truncate(reducer.map(normalise(corpus[start : start + _ROWS])), dimension)


def unit_vectors(embeddings: Embeddings) -> np.ndarray:
    """Return the whole corpus at the full dimension, (n, D) float32 unit length.

    Large vectors are the mapped ones themselves if those are of unit length, or else a mapped file
    that the first worker makes; in both cases the page cache holds them once for all.
    """
    n, full = embeddings.corpus.shape
    if mapped.is_small(n, full):
        return reduced(plain(), embeddings, full)
    vectors = embeddings.corpus
    if not embeddings.unit:
        vectors = _kept(embeddings.folder / "unit.npy", plain(), embeddings)
    mapped.in_huge_pages(vectors)
    return np.asarray(vectors)


def _kept(path: Path, reducer: Reducer, embeddings: Embeddings) -> np.memmap:
    """Return a map of the corpus mapped to all D dimensions, unit length; the first call makes it.

    (n, D) float32. A file that is cut short is made again.
    """
    shape = embeddings.corpus.shape
    with contextlib.suppress(OSError, ValueError):
        kept = mapped_matrix(path)
        if kept.shape == shape:
            return kept
    make_folder(path.parent)
    with whole(path) as partial, partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f4", "fortran_order": False, "shape": shape}
        )
        for block in _reduced_blocks(reducer, embeddings.corpus, shape[1]):
            file.write(block.data)
        embeddings.check_unchanged()
    return mapped_matrix(path)


class ExactResults:
    """Exact neighbours of every query at every dimension, with one reducer, kept in a file."""

    def __init__(self, key: ExactKey) -> None:
        self.path = key.stem.with_suffix(".npz")

    def exist(self) -> bool:
        """Return whether an earlier pass saved them, and nothing has damaged them since."""
        if not self.path.is_file():
            return False
        stat = self.path.stat()
        return _is_sound(self.path, stat.st_size, stat.st_mtime_ns)

    def save(self, found: Exact, n_documents: int) -> None:
        """Save the results of a pass over `n_documents`."""
        small = np.int32 if n_documents < 2**31 else np.int64
        arrays: dict[str, np.ndarray] = {
            f"ids_{d}": ids.astype(small) for d, (ids, _) in found.nearest.items()
        }
        arrays |= {f"ranks_{d}": ranks.astype(small) for d, (_, ranks) in found.relevant.items()}
        make_folder(self.path.parent)
        with whole(self.path) as partial:
            np.savez(partial, **_named(arrays))

    def ids(self, dimension: int) -> np.ndarray:
        """Return the documents found, (q, depth) int64, best first, -1 pads."""
        return self._array(f"ids_{dimension}")

    def ranks(self, dimension: int) -> np.ndarray:
        """Return the rank of each pair of `Embeddings.relevant_pairs` in the corpus, (p,) int64."""
        return self._array(f"ranks_{dimension}")

    def _array(self, name: str) -> np.ndarray:
        try:
            return read_array(self.path, name).astype(np.int64)
        except ValueError as error:
            raise DamagedFile(
                f"{self.path} is damaged ({error}); delete it and run again"
            ) from error


class StoredVectors:
    """The mapped vectors at the full dimension, which later stages of a search score."""

    def __init__(
        self, reducer: Reducer, embeddings: Embeddings, full: np.ndarray, path: Path
    ) -> None:
        """`full` (n, D) are the unit vectors; `path` names the file of mapped rows."""
        self._reducer = reducer
        self._embeddings = embeddings
        self._full = full
        self._path = path

    @cached_property
    def memory(self) -> np.ndarray:
        """(n, D) float32 unit length; large ones are mapped from a file."""
        if self._reducer.kind == PREFIX:
            return self._full
        if mapped.is_small(*self._embeddings.corpus.shape):
            return reduced(self._reducer, self._embeddings, self._embeddings.full_dim)
        return np.asarray(_kept(self._path, self._reducer, self._embeddings))

    def disk(self) -> tuple[np.memmap, bool]:
        """Return a memory map (n, D) float32, and whether its rows are of unit length.

        Its pages are dropped before each search, so no file that the reference reads will do.
        """
        corpus = self._embeddings.corpus
        if (
            self._reducer.kind == PREFIX
            and isinstance(corpus, np.memmap)
            and mapped.is_small(*corpus.shape)
        ):
            return corpus, False
        return _kept(self._path, self._reducer, self._embeddings), True


def _named(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    return dict(arrays)


@lru_cache
def _is_sound(path: Path, size: int, mtime_ns: int) -> bool:
    """Return whether the results in a file of this size and time can be read, looked at once."""
    return is_archive(path)
