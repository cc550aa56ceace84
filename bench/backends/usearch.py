"""HNSW with USearch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, packed_signs, padded
from bench.backends.precisions import BFLOAT16, BINARY, FLOAT16, FLOAT32, INT8
from bench.source import Code, Deployment, written


class Usearch(Backend):
    """HNSW graph at several precisions. Source: Vardanian 2023; Malkov & Yashunin 2018."""

    name = "usearch"
    module = "usearch"
    install = "pip install usearch"
    licence = "Apache-2.0"
    summary = "HNSW graph (USearch)"
    precisions = (FLOAT32, FLOAT16, BFLOAT16, INT8, BINARY)
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        # faiss crashes if it is imported after usearch: both export the same C++ symbols.
        import faiss  # noqa: F401
        from usearch.index import Index

        binary = self.precision == "binary"
        data = self._stored(vectors)
        self.index = Index(
            ndim=8 * data.shape[1] if binary else vectors.shape[1],
            metric="hamming" if binary else "cos",
            dtype=_TYPES[self.precision],
            connectivity=M,
            expansion_add=ef_construction,
        )
        self.index.add(np.arange(len(vectors)), data, threads=self.threads)

    def _stored(self, vectors: np.ndarray) -> np.ndarray:
        return packed_signs(vectors) if self.precision == "binary" else vectors

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
        if found is None:
            raise ValueError(f"{folder} holds no usearch index")
        self.index = found

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment, kind=_TYPES[deployment.precision]),
            ("from usearch.index import Index",),
            ("usearch",),
            deployment.parameters(),
        )


_TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "int8": "i8", "binary": "b1"}

_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
{% if precision == "binary" %}
    vectors = packed_signs(vectors)
{% endif %}
    index = Index(
        ndim={{ "8 * vectors.shape[1]" if precision == "binary" else "DIMENSION" }},
        metric="{{ "hamming" if precision == "binary" else "cos" }}",
        dtype="{{ kind }}",
        connectivity=M,
        expansion_add=EF_CONSTRUCTION,
        expansion_search=EF,
    )
    index.add(np.arange(len(vectors)), vectors, threads=THREADS)
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
{% if precision == "binary" %}
    queries = packed_signs(queries)
{% endif %}
    found = index.search(queries, k, threads=THREADS)
    return np.atleast_2d(found.keys).astype(np.int64)
'''
