"""Exhaustive search of product codes with faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend, faiss
from bench.backends.faiss_ivf_pq import n_codes, trainable


class FaissPq(FaissBackend):
    """Every code is compared; `opq4` rotates the vectors first so that the codes lose least. Source: Jégou et al. 2011; Ge et al. 2013."""

    name = "faiss-pq"
    summary = "every product code is compared (faiss IndexPQFastScan, IndexPQ, OPQ)"
    precisions = ("pq4", "opq4", "pq")
    build_grid = {"components_per_code": [2, 4]}

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
            self.rotation, self.trainer = (
                library.OPQMatrix(d, codes),
                library.ProductQuantizer(d, codes, 4),
            )
            self.trainer.cp.min_points_per_centroid = 1
            # Fifty rounds, the library's own number, take minutes at 256 d.
            self.rotation.niter, self.rotation.niter_pq, self.rotation.pq = 10, 4, self.trainer
            self.index = library.IndexPreTransform(self.rotation, self.codes)
        self.index.train(trainable(vectors))
        self.index.add(vectors)

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.search(queries, k)
