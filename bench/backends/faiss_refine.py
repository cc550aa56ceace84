"""Product codes with a rescore inside faiss."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend, faiss, faiss_code
from bench.backends.faiss_ivf_pq import n_codes, trainable, trainable_code
from bench.source import Code, Deployment


class FaissRefine(FaissBackend):
    """Product codes select `k_factor` × k candidates, which the float32 vectors rescore.

    Source: Douze et al. 2024.
    """

    name = "faiss-refine"
    summary = "product codes rescored with the vectors (faiss IndexRefine over IndexPQFastScan)"
    build_grid = {"components_per_code": [2, 4]}
    search_grid = {"k_factor": [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]}
    label_parameters = ("components_per_code", "k_factor")

    def build(self, vectors: np.ndarray, *, components_per_code: int) -> None:
        library, d = faiss(), vectors.shape[1]
        product = library.METRIC_INNER_PRODUCT
        self.codes = library.IndexPQFastScan(d, n_codes(d, components_per_code), 4, product)
        self.codes.pq.cp.min_points_per_centroid = 1
        self.codes.train(trainable(vectors))
        self.vectors = library.IndexFlatIP(d)
        self.index = library.IndexRefine(self.codes, self.vectors)
        self.index.add(vectors)

    def configure(self, *, k_factor: float) -> None:
        self.index.k_factor = k_factor

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return faiss_code(deployment, _BUILD, sample=trainable_code(deployment.n))


_BUILD = """\
    width = DIMENSION // COMPONENTS_PER_CODE
    codes = faiss.IndexPQFastScan(DIMENSION, width, 4, faiss.METRIC_INNER_PRODUCT)
    codes.train({{ sample }})
    index = faiss.IndexRefineFlat(codes)
    index.k_factor = K_FACTOR
    index.add(vectors)
"""
