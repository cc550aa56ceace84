"""Exact search that reads a prefix of every vector, and more of those that may be near."""

from __future__ import annotations

import inspect
from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.backends import Backend
from bench.source import Code, Deployment, written


class PrefixScan(Backend):
    """Exhaustive and exact, on one thread: levels of doubling prefix lengths, pruned by bounds.

    With 3 `levels`, vectors are read up to d / 4, d / 2 and d. It stores the length of what follows
    each level. Like `faiss-panorama` it reads least after the reducer `pca`, a rotation that loses
    nothing at the full dimension. Source of the bound: Ramani et al. 2025 (arXiv 2510.00566); of
    the layout of the first level, vectors side by side: Kuffo et al. 2025 (PDX).
    """

    name = "prefix-scan"
    module = "numba"
    install = "pip install numba"
    licence = "Apache-2.0"
    summary = "exhaustive, pruned by prefixes (a loop of this package, compiled by numba)"
    build_grid = {"levels": [2, 3, 4]}
    label_parameters = ("levels",)
    exact = True

    @classmethod
    def load(cls) -> None:
        """Compile the loop, or read it from numba's cache."""
        tiny = cls()
        tiny.build(np.eye(2, 8, dtype=np.float32), levels=2)
        tiny.search(np.eye(1, 8, dtype=np.float32), 1)

    def build(self, vectors: np.ndarray, *, levels: int) -> None:
        from bench.backends._prefix_kernel import BLOCK

        self.n, d = vectors.shape
        self.bounds = _bounds(d, levels)
        start, blocks = int(self.bounds[0]), -(-self.n // BLOCK)
        self.first = np.zeros((blocks, start, BLOCK), dtype=np.float32)
        # Block by block: another order needs no second copy of the vectors.
        for block in range(blocks):
            rows = vectors[block * BLOCK : (block + 1) * BLOCK, :start]
            self.first[block, :, : len(rows)] = rows.T
        self.later = np.empty(self.n * (d - start), dtype=np.float32)
        self.rests = np.zeros((len(self.bounds) - 1, self.n), dtype=np.float32)
        offset = 0
        for level, (low, high) in enumerate(pairwise(self.bounds)):
            part, size = vectors[:, low:high], self.n * (high - low)
            self.later[offset : offset + size] = part.ravel()
            offset += size
            squares = np.einsum("ij,ij->i", part, part, dtype=np.float64)
            self.rests[: level + 1] += squares.astype(np.float32)
        # Rounded up, so that a bound holds.
        self.rests = np.sqrt(self.rests) * np.float32(1 + 1e-6)
        self._prepare()

    def _prepare(self) -> None:
        """Allocate what a search overwrites."""
        self.products = np.empty(self.first.shape[0] * self.first.shape[2], dtype=np.float32)
        self.candidates = np.empty(self.n + 1, dtype=np.int32)
        # Rounding may raise a sum of d products of unit vectors by at most this, twice.
        self.margin = float(2 * self.bounds[-1] * np.finfo(np.float32).eps)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self._search(queries, k)[0]

    def _search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, int]:
        """Return ids (q, k) int64 and how many numbers were read."""
        from bench.backends._prefix_kernel import scan

        found = np.empty((len(queries), k), dtype=np.int64)
        read = scan(
            self.n, self.first, self.later, self.bounds, self.rests, queries, self.margin,
            self.products, self.candidates, found,
        )  # fmt: skip
        return found, int(read)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        return 4 * self._search(queries, k)[1] / len(queries)

    def save(self, folder: Path) -> None:
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))

    def restore(self, folder: Path) -> None:
        for name in _ARRAYS:
            setattr(self, name, np.load(folder / f"{name}.npy", allow_pickle=False))
        self.n = self.rests.shape[1]
        self._prepare()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        from bench.backends import _prefix_kernel

        # The loop itself, so that there is one text of it.
        kernel = "\n\n".join(
            inspect.getsource(each.py_func) for each in (_prefix_kernel.insert, _prefix_kernel.scan)
        )
        bounds = _bounds(deployment.dimension, deployment.build["levels"]).tolist()
        text = written(_CODE, deployment, kernel=kernel, bounds=bounds)
        constants = {"BLOCK": _prefix_kernel.BLOCK}
        return Code(text, ("from numba import njit",), ("numba",), constants)


_ARRAYS = ("first", "later", "bounds", "rests")


def _bounds(d: int, levels: int) -> np.ndarray:
    """Return the ends of the levels, int64: d and its halves, at most `levels`, none twice."""
    return np.unique([-(-d // 2**halved) for halved in range(levels)])


_CODE = '''
{{ kernel }}

def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    # {{ build["levels"] }} levels; in the first, vectors lie side by side.
    bounds = np.array({{ bounds }})
    n, start = len(vectors), bounds[0]
    blocks = -(-n // BLOCK)
    whole = np.zeros((blocks * BLOCK, start), np.float32)
    whole[:n] = vectors[:, :start]
    first = np.ascontiguousarray(whole.reshape(blocks, BLOCK, start).transpose(0, 2, 1))
    parts = [vectors[:, low:high] for low, high in zip(bounds, bounds[1:])]
    later = np.concatenate([np.empty(0, np.float32), *(part.ravel() for part in parts)])
    rests = np.empty((len(parts), n), np.float32)
    for level, end in enumerate(bounds[:-1]):
        rests[level] = np.linalg.norm(vectors[:, end:], axis=1) * (1 + 1e-6)
    products, alive = np.empty(blocks * BLOCK, np.float32), np.empty(n + 1, np.int32)
    return n, first, later, bounds, rests, products, alive


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    n, first, later, bounds, rests, products, alive = index
    found = np.empty((len(queries), k), np.int64)
    # What rounding may add to a product.
    margin = float(2 * bounds[-1] * np.finfo(np.float32).eps)
    scan(n, first, later, bounds, rests, queries, margin, products, alive, found)
    return found
'''
