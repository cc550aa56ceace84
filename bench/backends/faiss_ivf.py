"""Inverted lists with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends import cells, packed_signs
from bench.backends._faiss import (
    RANGES,
    FaissBackend,
    faiss,
    faiss_code,
    train_alone,
    with_every_cell,
)
from bench.backends.precisions import BFLOAT16, BINARY, FLOAT16, FLOAT32, INT4, INT8
from bench.codes import IVF
from bench.codes.deployed import coded
from bench.codes.table import BY_NAME, precisions
from bench.source import Code, Deployment


class FaissIvf(FaissBackend):
    """Scans the `nprobe` nearest k-means cells. Source: Jégou et al. 2011; Douze et al. 2024."""

    name = "faiss-ivf"
    summary = "inverted lists (faiss IndexIVFFlat, IndexIVFScalarQuantizer, IndexBinaryIVF)"
    build_grid = {"lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    label_parameters = ("nprobe",)
    precisions = (FLOAT32, FLOAT16, BFLOAT16, INT8, INT4, BINARY, *precisions(IVF))

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float) -> None:
        if self.coding:
            self.build_coded(self.coding, vectors, per_sqrt_n=lists_per_sqrt_n)
            return
        library = faiss()
        n, d = vectors.shape
        product = library.METRIC_INNER_PRODUCT
        lists = cells(n, lists_per_sqrt_n)
        if self.precision == "binary":
            vectors = packed_signs(vectors)
            self.quantiser = library.IndexBinaryFlat(8 * vectors.shape[1])
            self.index = library.IndexBinaryIVF(self.quantiser, 8 * vectors.shape[1], lists)
        else:
            self.quantiser = library.IndexFlatIP(d)
            if self.precision == "float32":
                self.index = library.IndexIVFFlat(self.quantiser, d, lists, product)
            else:
                # Components instead of residuals, so that ranges equal exhaustive search's.
                by_residual = False
                self.index = library.IndexIVFScalarQuantizer(
                    self.quantiser, d, lists, self.scalar(), product, by_residual
                )
                self.ranged(self.index)
        # faiss warns on standard error below 39 vectors per cell; a small corpus has fewer.
        self.index.cp.min_points_per_centroid = 1
        train_alone(self.index, vectors)
        self.index.add(vectors)

    def configure(self, *, nprobe: int) -> None:
        self.core.nprobe = min(nprobe, self.core.nlist)

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        if self.coding is None or not self.coding.by_cell:
            return None
        return with_every_cell(self.core, lambda: self.search(queries, k))

    def bytes_read(self, queries: np.ndarray, k: int) -> float | None:
        stats = faiss().cvar.indexIVF_stats
        stats.reset()
        self.search(queries, k)
        if not stats.ndis:
            return None
        centroid = self.core.d // 8 if self.is_binary else self.core.d * 4
        return float(stats.ndis / len(queries) * self.code_bytes + self.core.nlist * centroid)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        if deployment.precision in BY_NAME:
            return coded(BY_NAME[deployment.precision], IVF, deployment)
        return faiss_code(deployment, _BUILD)


_BUILD = (
    """\
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
{% if precision == "binary" %}
    vectors = packed_signs(vectors)
    bits = 8 * vectors.shape[1]
    index = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, lists)
{% elif precision == "float32" %}
    cells = faiss.IndexFlatIP(DIMENSION)
    index = faiss.IndexIVFFlat(cells, DIMENSION, lists, faiss.METRIC_INNER_PRODUCT)
{% else %}
    cells = faiss.IndexFlatIP(DIMENSION)
    kind = faiss.ScalarQuantizer.{{ scalar }}
    by_residual = False  # so that the ranges are those of the components
    index = faiss.IndexIVFScalarQuantizer(
        cells, DIMENSION, lists, kind, faiss.METRIC_INNER_PRODUCT, by_residual
    )
{% endif %}
{% if precision == "int4" %}
    quantiser = index.sq
"""
    + RANGES
    + """\
{% endif %}
    index.train(vectors)
    index.add(vectors)
    index.nprobe = NPROBE
"""
)
