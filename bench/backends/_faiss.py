"""Shared by the faiss backends: the library and its scalar quantisers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, packed_signs
from bench.source import Code, Deployment, written

SCALAR = {"float16": "QT_fp16", "bfloat16": "QT_bf16", "int8": "QT_8bit", "int4": "QT_4bit"}
"""faiss's scalar quantisers. The query stays float32; components are decoded in registers."""
_INT4_DEVIATIONS = 2.5
"""int4 spreads its 16 levels over the mean ± this many standard deviations, and clips the rest."""


def faiss() -> Any:
    """Import and return the library."""
    return importlib.import_module("faiss")


class FaissBackend(Backend):
    """A faiss index in `index`; a subclass builds and configures it."""

    module = "faiss"
    install = "pip install faiss-cpu"
    licence = "MIT"
    index: Any = None

    def built(self) -> int | None:
        return None if self.index is None else int(self.index.ntotal)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        if self.precision == "binary":
            return np.asarray(self.index.search(packed_signs(queries), k)[1])
        return np.asarray(self.index.search(queries, k)[1])

    def save(self, folder: Path) -> None:
        write = faiss().write_index_binary if self.precision == "binary" else faiss().write_index
        write(self.index, str(folder / "index"))

    def restore(self, folder: Path) -> None:
        read = faiss().read_index_binary if self.precision == "binary" else faiss().read_index
        self.index = read(str(folder / "index"))

    def size_bytes(self) -> int:
        """Return the bytes of the serialised index, counted as faiss writes them to nowhere."""
        library, sizes = faiss(), list[int]()
        write = library.write_index_binary if self.precision == "binary" else library.write_index
        write(self.index, library.PyCallbackIOWriter(lambda part: sizes.append(len(part))))
        return sum(sizes)

    @property
    def code_bytes(self) -> int:
        """Bytes per stored vector."""
        return int(self.index.code_size)

    def scalar(self) -> Any:
        """Return faiss's constant for the scalar quantiser of `precision`."""
        return getattr(faiss().ScalarQuantizer, SCALAR[self.precision])

    def ranged(self, index: Any) -> Any:
        """Choose how an untrained scalar quantiser fits its ranges; return the index."""
        if self.precision == "int4":
            index.sq.rangestat = faiss().ScalarQuantizer.RS_meanstd
            index.sq.rangestat_arg = _INT4_DEVIATIONS
        return index


def train_alone(index: Any, vectors: np.ndarray) -> None:
    """Train an index on one thread.

    On several threads, faiss 1.15 fits different scalar ranges in about one run of a hundred.
    """
    library = faiss()
    threads = library.omp_get_max_threads()
    library.omp_set_num_threads(1)
    try:
        index.train(vectors)
    finally:
        library.omp_set_num_threads(threads)


def reserve(codes: Any, count: int) -> None:
    """Give an empty vector of faiss's room for `count` elements, so that it need not grow."""
    codes.resize(count)
    codes.resize(0)


def with_every_cell(lists: Any, search: Callable[[], np.ndarray]) -> np.ndarray:
    """Run `search` while the inverted file `lists` probes every cell; return its result."""
    nprobe, lists.nprobe = lists.nprobe, lists.nlist
    try:
        return search()
    finally:
        lists.nprobe = nprobe


def faiss_code(deployment: Deployment, build: str, **names: object) -> Code:
    """Return the code of an index of faiss.

    `build` is a template of the indented lines that set `index` from `vectors`.
    """
    template = _CODE.replace("BUILD\n", build)
    scalar, deviations = SCALAR.get(deployment.precision), _INT4_DEVIATIONS
    text = written(template, deployment, scalar=scalar, deviations=deviations, **names)
    return Code(text, ("import faiss",), ("faiss-cpu",), deployment.parameters())


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    faiss.omp_set_num_threads(THREADS)
BUILD
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    return index.search({{ "packed_signs(queries)" if precision == "binary" else "queries" }}, k)[1]
'''
RANGES = """\
    # 16 levels over the mean ± {{ deviations }} standard deviations; the rest is clipped.
    quantiser.rangestat = faiss.ScalarQuantizer.RS_meanstd
    quantiser.rangestat_arg = {{ deviations }}
"""
"""Template of `FaissBackend.ranged`."""
