"""HNSW with faiss."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.backends import batches, packed_signs
from bench.backends._faiss import (
    RANGES,
    FaissBackend,
    faiss,
    faiss_code,
    reserve,
    train_alone,
)
from bench.backends.precisions import BFLOAT16, BINARY, FLOAT16, FLOAT32, INT4, INT8
from bench.codes import HNSW
from bench.codes.deployed import coded
from bench.codes.table import BY_NAME, precisions
from bench.source import Code, Deployment

_ROWS = 1_000_000
"""Vectors added at a time. faiss orders those of one call by their level in the graph."""


class FaissHnsw(FaissBackend):
    """HNSW graph over stored vectors. Source: Malkov & Yashunin 2018; Douze et al. 2024."""

    name = "faiss-hnsw"
    summary = "HNSW graph (faiss IndexHNSWFlat, IndexHNSWSQ, IndexBinaryHNSW)"
    build_grid = {"M": [16, 32], "ef_construction": [200]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("M", "ef")
    precisions = (FLOAT32, FLOAT16, BFLOAT16, INT8, INT4, BINARY, *precisions(HNSW))

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int) -> None:
        if self.coding:
            self.build_coded(self.coding, vectors, M=M, ef=ef_construction)
            return
        library, d = faiss(), vectors.shape[1]
        if self.precision == "float32":
            self.index = library.IndexHNSWFlat(d, M, library.METRIC_INNER_PRODUCT)
        elif self.precision == "binary":
            vectors = packed_signs(vectors)
            self.index = library.IndexBinaryHNSW(8 * vectors.shape[1], M)
        else:
            self.index = library.IndexHNSWSQ(d, self.scalar(), M, library.METRIC_INNER_PRODUCT)
            train_alone(self.ranged(library.downcast_index(self.index.storage)), vectors)
            self.index.is_trained = True
        self.index.hnsw.efConstruction = ef_construction
        if len(vectors) <= _ROWS:
            self.index.add(vectors)
            return
        # In blocks, to tell how far it is. An index that grows takes twice the memory for a moment.
        reserve(self._codes(), len(vectors) * self.code_bytes)
        reserve(self.index.hnsw.neighbors, len(vectors) * (2 * M + 2))
        for _, block in batches(vectors, _ROWS):
            self.index.add(block)

    def _codes(self) -> Any:
        """Return faiss's vector of the stored codes."""
        if self.precision == "binary":
            return faiss().downcast_IndexBinary(self.index.storage).xb
        return faiss().downcast_index(self.index.storage).codes

    def configure(self, *, ef: int) -> None:
        self.core.hnsw.efSearch = ef

    @property
    def code_bytes(self) -> int:
        storage = self.core.storage
        if not self.is_binary:
            storage = faiss().downcast_index(storage)
        return int(storage.code_size)

    def bytes_read(self, queries: np.ndarray, k: int) -> float | None:
        stats = faiss().cvar.hnsw_stats
        stats.reset()
        self.search(queries, k)
        # The binary graph does not count its comparisons.
        return stats.ndis / len(queries) * self.code_bytes if stats.ndis else None

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        if deployment.precision in BY_NAME:
            return coded(BY_NAME[deployment.precision], HNSW, deployment)
        return faiss_code(deployment, _BUILD)


_BUILD = (
    """\
{% if precision == "binary" %}
    vectors = packed_signs(vectors)
    index = faiss.IndexBinaryHNSW(8 * vectors.shape[1], M)
{% elif precision == "float32" %}
    index = faiss.IndexHNSWFlat(DIMENSION, M, faiss.METRIC_INNER_PRODUCT)
{% else %}
    kind = faiss.ScalarQuantizer.{{ scalar }}
    index = faiss.IndexHNSWSQ(DIMENSION, kind, M, faiss.METRIC_INNER_PRODUCT)
{% if precision == "int4" %}
    quantiser = faiss.downcast_index(index.storage).sq
"""
    + RANGES
    + """\
{% endif %}
    index.train(vectors)
{% endif %}
    index.hnsw.efConstruction = EF_CONSTRUCTION
    index.add(vectors)
    index.hnsw.efSearch = EF
"""
)
