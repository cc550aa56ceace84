"""Exhaustive search of product codes with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend, faiss, faiss_code
from bench.backends.faiss_ivf_pq import n_codes, trainable, trainable_code
from bench.backends.precisions import OPQ4, PQ, PQ4
from bench.source import Code, Deployment


class FaissPq(FaissBackend):
    """Compares every code; `opq4` first applies a rotation fitted to lose least.

    Source: Jégou et al. 2011; Ge et al. 2013.
    """

    name = "faiss-pq"
    summary = "exhaustive over product codes (faiss IndexPQFastScan, IndexPQ, OPQ)"
    precisions = (PQ4, OPQ4, PQ)
    build_grid = {"components_per_code": [2, 4]}
    label_parameters = ("components_per_code",)

    def build(self, vectors: np.ndarray, *, components_per_code: int) -> None:
        library, d = faiss(), vectors.shape[1]
        codes = n_codes(d, components_per_code)
        product = library.METRIC_INNER_PRODUCT
        self.codes = (
            library.IndexPQ(d, codes, 8, product)
            if self.precision == "pq"
            else library.IndexPQFastScan(d, codes, 4, product)
        )
        self.codes.pq.cp.min_points_per_centroid = 1
        self.index = self.codes
        if self.precision == "opq4":
            self.trainer = library.ProductQuantizer(d, codes, 4)
            self.trainer.cp.min_points_per_centroid = 1
            self.rotation = library.OPQMatrix(d, codes)
            self.rotation.pq = self.trainer
            # The default of 50 iterations takes minutes at 256 d.
            self.rotation.niter, self.rotation.niter_pq = 10, 4
            self.index = library.IndexPreTransform(self.rotation, self.codes)
        self.index.train(trainable(vectors))
        self.index.add(vectors)

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.search(queries, k)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return faiss_code(deployment, _BUILD, sample=trainable_code(deployment.n))


_BUILD = """\
    codes = DIMENSION // COMPONENTS_PER_CODE
{% if precision == "pq" %}
    index = faiss.IndexPQ(DIMENSION, codes, 8, faiss.METRIC_INNER_PRODUCT)
{% else %}
    index = faiss.IndexPQFastScan(DIMENSION, codes, 4, faiss.METRIC_INNER_PRODUCT)
{% endif %}
{% if precision == "opq4" %}
    rotation = faiss.OPQMatrix(DIMENSION, codes)
    quantiser = faiss.ProductQuantizer(DIMENSION, codes, 4)
    rotation.pq = quantiser
    rotation.niter, rotation.niter_pq = 10, 4
    index = faiss.IndexPreTransform(rotation, index)
{% endif %}
    index.train({{ sample }})
    index.add(vectors)
"""
