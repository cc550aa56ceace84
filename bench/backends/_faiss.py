"""Shared by the faiss backends: the library and its scalar quantisers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, cells, needs_vectors, packed_signs
from bench.codes import Coding, loaded
from bench.codes.table import BY_NAME
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
    turn: tuple[np.ndarray | None, np.ndarray] | None = None
    """Of codes that are signs: rotation and thresholds, as `recipes.turned` takes them."""

    @property
    def coding(self) -> Coding | None:
        """The codes of `precision`; None for a type of number or for plain signs."""
        return BY_NAME.get(self.precision)

    @property
    def is_binary(self) -> bool:
        """Whether the index compares bits by Hamming distance."""
        return self.precision == "binary" or bool(self.coding and self.coding.turn)

    @property
    def core(self) -> Any:
        """The index behind a rotation or padding; `index` itself without one."""
        return loaded().inner(self.index) if self.coding else self.index

    def build_coded(
        self, coding: Coding, vectors: np.ndarray, per_sqrt_n: float = 0, M: int = 0, ef: int = 0
    ) -> None:
        """Index (n, d) vectors by `coding`: exhaustively, in cells, or in a graph.

        `per_sqrt_n` is that of `cells`, 0 for no cells; `M` and `ef` are those of a graph, 0 for
        none. Raises ValueError if there is no vector.
        """
        needs_vectors(vectors)
        made = loaded()
        shape: dict[str, int] = {}
        if per_sqrt_n:
            shape["lists"] = cells(len(vectors), per_sqrt_n)
        if M:
            shape["M"] = M
        if coding.turn:
            self.turn = getattr(made, coding.turn)(vectors)
            vectors = packed_signs(made.turned(vectors, *self.turn))
        recipe = partial(getattr(made, coding.recipe), vectors, **coding.given, **shape)
        self.index = alone(recipe)
        if M:
            self.core.hnsw.efConstruction = ef
        self.index.add(coding.mapped(vectors))
        if M and coding.is_product:
            made.scored_by_product(self.core)

    def asked(self, queries: np.ndarray) -> np.ndarray:
        """Return what the index is asked in place of (q, d) queries: themselves, or signs."""
        if self.turn is not None:
            queries = loaded().turned(queries, *self.turn)
        return packed_signs(queries) if self.is_binary else queries

    def built(self) -> int | None:
        return None if self.index is None else int(self.index.ntotal)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return np.asarray(self.index.search(self.asked(queries), k)[1])

    def save(self, folder: Path) -> None:
        write = faiss().write_index_binary if self.is_binary else faiss().write_index
        write(self.index, str(folder / "index"))
        for name, part in self._turn_files():
            np.save(folder / name, part)

    def restore(self, folder: Path) -> None:
        read = faiss().read_index_binary if self.is_binary else faiss().read_index
        self.index = read(str(folder / "index"))
        if self.coding and self.coding.turn:
            rotation, threshold = (folder / name for name in _TURN_FILES)
            matrix = np.load(rotation, allow_pickle=False) if rotation.exists() else None
            self.turn = matrix, np.load(threshold, allow_pickle=False)

    def _turn_files(self) -> list[tuple[str, np.ndarray]]:
        """Return name and content of each file that `turn` is kept in."""
        parts = zip(_TURN_FILES, self.turn or (), strict=False)
        return [(name, part) for name, part in parts if part is not None]

    def size_bytes(self) -> int:
        """Return the bytes of the serialised index, counted as faiss writes them to nowhere."""
        library, sizes = faiss(), list[int]()
        write = library.write_index_binary if self.is_binary else library.write_index
        write(self.index, library.PyCallbackIOWriter(lambda part: sizes.append(len(part))))
        return sum(sizes) + sum(part.nbytes for _, part in self._turn_files())

    @property
    def code_bytes(self) -> int:
        """Bytes per stored vector."""
        return int(self.core.code_size)

    def scalar(self) -> Any:
        """Return faiss's constant for the scalar quantiser of `precision`."""
        return getattr(faiss().ScalarQuantizer, SCALAR[self.precision])

    def ranged(self, index: Any) -> Any:
        """Choose how an untrained scalar quantiser fits its ranges; return the index."""
        if self.precision == "int4":
            index.sq.rangestat = faiss().ScalarQuantizer.RS_meanstd
            index.sq.rangestat_arg = _INT4_DEVIATIONS
        return index


_TURN_FILES = ("rotation.npy", "threshold.npy")


def train_alone(index: Any, vectors: np.ndarray) -> None:
    """Train an index on one thread, as `alone` does."""
    alone(partial(index.train, vectors))


def alone(train: Callable[[], Any]) -> Any:
    """Return what `train` returns, run on one thread.

    On several threads, faiss 1.15 fits different scalar ranges in about one run of a hundred.
    """
    library = faiss()
    threads = library.omp_get_max_threads()
    library.omp_set_num_threads(1)
    try:
        return train()
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
