"""A navigable small-world graph with USearch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, padded
from bench.backends._faiss import bits


class Usearch(Backend):
    """HNSW graph whose nodes are stored at any precision. Source: Vardanian, USearch, 2023; Malkov & Yashunin 2018."""

    name = "usearch"
    module = "usearch"
    install = "pip install usearch"
    licence = "Apache-2.0"
    summary = "HNSW graph of float32, float16, int8 or bits (USearch)"
    precisions = ("float32", "float16", "bfloat16", "int8", "binary")
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        # Loaded before faiss, usearch makes faiss crash: both bring the same C++ symbols.
        import faiss  # noqa: F401
        from usearch.index import Index

        kinds = {
            "float32": "f32",
            "float16": "f16",
            "bfloat16": "bf16",
            "int8": "i8",
            "binary": "b1",
        }
        binary = self.precision == "binary"
        data = self._stored(vectors)
        self.index = Index(
            ndim=8 * data.shape[1] if binary else vectors.shape[1],
            metric="hamming" if binary else "cos",
            dtype=kinds[self.precision],
            connectivity=M,
            expansion_add=ef_construction,
        )
        self.index.add(np.arange(len(vectors)), data, threads=self.threads)

    def _stored(self, vectors: np.ndarray) -> np.ndarray:
        return bits(vectors) if self.precision == "binary" else vectors

    def configure(self, *, ef: int) -> None:
        self.index.expansion_search = ef  # type: ignore[misc]

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        found: Any = self.index.search(self._stored(queries), k, threads=self.threads)
        if len(queries) == 1:
            return padded([np.asarray(found.keys).ravel()], k)
        return padded([found.keys[row, :count] for row, count in enumerate(found.counts)], k)

    def save(self, folder: Path) -> None:
        self.index.save(str(folder / "index"))

    def restore(self, folder: Path) -> None:
        import faiss  # noqa: F401
        from usearch.index import Index

        found = Index.restore(str(folder / "index"))
        assert found is not None
        self.index = found
