"""Inverted lists of product codes with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends import UnsupportedDimension, cells, needs_vectors
from bench.backends._faiss import FaissBackend, faiss, faiss_code, with_every_cell
from bench.backends.precisions import PQ, PQ4
from bench.source import Code, Deployment


class FaissIvfPq(FaissBackend):
    """k-means cells of product-coded residuals; `pq4` scans them in registers.

    Source: Jégou et al. 2011; André et al. 2015.
    """

    name = "faiss-ivf-pq"
    summary = "inverted lists of product codes (faiss IndexIVFPQFastScan, IndexIVFPQ)"
    precisions = (PQ4, PQ)
    build_grid = {"lists_per_sqrt_n": [1.0], "components_per_code": [2, 4]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64]}
    label_parameters = ("components_per_code", "nprobe")

    def build(
        self, vectors: np.ndarray, *, lists_per_sqrt_n: float, components_per_code: int
    ) -> None:
        library, (n, d) = faiss(), vectors.shape
        codes = n_codes(d, components_per_code)
        self.quantiser = library.IndexFlatIP(d)
        kind, bits = library.IndexIVFPQ, 8
        if self.precision == "pq4":
            kind, bits = library.IndexIVFPQFastScan, 4
        lists = cells(n, lists_per_sqrt_n)
        self.index = kind(self.quantiser, d, lists, codes, bits, library.METRIC_INNER_PRODUCT)
        self.index.cp.min_points_per_centroid = 1
        self.index.pq.cp.min_points_per_centroid = 1
        self.index.train(trainable(vectors))
        self.index.add(vectors)

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return with_every_cell(self.index, lambda: self.search(queries, k))

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return faiss_code(deployment, _BUILD, sample=trainable_code(deployment.n))


def n_codes(d: int, components: int) -> int:
    """Return the number of codes per vector of `d` components, each for so many `components`.

    Raises UnsupportedDimension if `components` does not divide `d`.
    """
    if d % components:
        raise UnsupportedDimension(
            f"components_per_code = {components} does not divide the dimension {d}"
        )
    return d // components


def trainable(vectors: np.ndarray) -> np.ndarray:
    """Return (max(n, 256), d) vectors to train 8-bit codes on, repeating those of a small corpus.

    Training needs at least as many vectors as centroids. Raises ValueError if there are none.
    """
    needs_vectors(vectors)
    return vectors if len(vectors) >= 256 else np.resize(vectors, (256, vectors.shape[1]))


def trainable_code(n: int) -> str:
    """Return the source of what `trainable` returns of `vectors`."""
    return "vectors" if n >= 256 else "np.resize(vectors, (256, DIMENSION))"


_BUILD = """\
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
    cells = faiss.IndexFlatIP(DIMENSION)
    codes = DIMENSION // COMPONENTS_PER_CODE
{% if precision == "pq" %}
    index = faiss.IndexIVFPQ(cells, DIMENSION, lists, codes, 8, faiss.METRIC_INNER_PRODUCT)
{% else %}
    index = faiss.IndexIVFPQFastScan(cells, DIMENSION, lists, codes, 4, faiss.METRIC_INNER_PRODUCT)
{% endif %}
    index.train({{ sample }})
    index.add(vectors)
    index.nprobe = NPROBE
"""
