"""What the faiss backends share: the library, and how each precision is stored with its own kernels."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend

SCALAR = {"float16": "QT_fp16", "bfloat16": "QT_bf16", "int8": "QT_8bit", "int4": "QT_4bit"}
"""faiss's scalar quantisers: the query stays float32, the corpus is decoded component by component in the registers."""
_INT4_DEVIATIONS = 2.5
"""int4 spends its 16 levels on the mean ± so many standard deviations of each component, and clips what lies outside."""


def faiss() -> Any:
    """Return the library, loaded on first use."""
    return importlib.import_module("faiss")


class FaissBackend(Backend):
    """An index of faiss in `index`; a subclass builds and configures it."""

    module = "faiss"
    install = "pip install faiss-cpu"
    licence = "MIT"
    index: Any

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if self.precision == "binary":
            return np.asarray(self.index.search(bits(queries), k)[1])
        return np.asarray(self.index.search(queries, k)[1])

    def save(self, folder: Path) -> None:
        write = faiss().write_index_binary if self.precision == "binary" else faiss().write_index
        write(self.index, str(folder / "index"))

    def restore(self, folder: Path) -> None:
        read = faiss().read_index_binary if self.precision == "binary" else faiss().read_index
        self.index = read(str(folder / "index"))

    @property
    def code_bytes(self) -> int:
        """Bytes of one stored vector."""
        return int(self.index.code_size)

    def scalar(self) -> Any:
        """Return faiss's number of the scalar quantiser that stores at `precision`."""
        return getattr(faiss().ScalarQuantizer, SCALAR[self.precision])

    def ranged(self, index: Any) -> Any:
        """Set how the ranges of a scalar quantiser are fitted, before it is trained; return the index."""
        if self.precision == "int4":
            index.sq.rangestat = faiss().ScalarQuantizer.RS_meanstd
            index.sq.rangestat_arg = _INT4_DEVIATIONS
        return index


def train_alone(index: Any, vectors: np.ndarray) -> None:
    """Train an index on one thread: on several, faiss 1.15 fits a scalar quantiser's ranges otherwise once in a hundred times."""
    library = faiss()
    threads = library.omp_get_max_threads()
    library.omp_set_num_threads(1)
    try:
        index.train(vectors)
    finally:
        library.omp_set_num_threads(threads)


def with_every_cell(lists: Any, search: Callable[[], np.ndarray]) -> np.ndarray:
    """Return what `search` finds while every cell of the inverted file `lists` is probed."""
    nprobe, lists.nprobe = lists.nprobe, lists.nlist
    try:
        return search()
    finally:
        lists.nprobe = nprobe


def bits(vectors: np.ndarray) -> np.ndarray:
    """Return the signs of (n, d) vectors as (n, ⌈d / 8⌉) uint8, eight a byte; what fills the last byte is zero."""
    return np.packbits(vectors > 0, axis=1)
