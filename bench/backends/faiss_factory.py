"""Any index of faiss's factory, for those without a backend here."""

from __future__ import annotations

import numpy as np

from bench.backends._faiss import FaissBackend, faiss, faiss_code
from bench.source import Code, Deployment


class FaissFactory(FaissBackend):
    """The index of a factory string, such as ``IVF256,PQ32x4fs,RFlat`` or ``HNSW32,SQfp16``.

    `set` holds search parameters in faiss's syntax, such as ``nprobe=16`` or ``efSearch=64``; empty
    for none. Source: Douze et al. 2024.
    """

    name = "faiss-factory"
    summary = 'any index_factory string of faiss: build.factory = "…", search.set = "nprobe=16"'
    build_grid = {"factory": ["Flat"]}
    search_grid = {"set": [""]}
    label_parameters = ("factory", "set")

    def build(self, vectors: np.ndarray, *, factory: str) -> None:
        library = faiss()
        self.index = library.index_factory(vectors.shape[1], factory, library.METRIC_INNER_PRODUCT)
        self.index.train(vectors)
        self.index.add(vectors)

    def configure(self, *, set: str) -> None:
        if set:
            faiss().ParameterSpace().set_index_parameters(self.index, set)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return faiss_code(deployment, _BUILD)


_BUILD = """\
    index = faiss.index_factory(DIMENSION, FACTORY, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
{% if search.set %}
    faiss.ParameterSpace().set_index_parameters(index, SET)
{% endif %}
"""
