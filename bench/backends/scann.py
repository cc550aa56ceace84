"""Partitions and anisotropic codes with ScaNN."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend, cells, padded
from bench.source import Code, Deployment, written


class Scann(Backend):
    """Partitions, codes that preserve large inner products, a rescore. Source: Guo et al. 2020."""

    name = "scann"
    module = "scann"
    install = "pip install scann"
    licence = "Apache-2.0"
    summary = "partitions, anisotropic codes, rescoring (ScaNN)"
    deterministic = False  # its training sample cannot be seeded
    build_grid = {"leaves_per_sqrt_n": [1.0], "dimensions_per_block": [2]}
    search_grid = {"leaves": [2, 4, 8, 16, 32, 64, 128], "reorder": [100, 400]}
    label_parameters = ("leaves", "reorder")

    def build(
        self, vectors: np.ndarray, *, leaves_per_sqrt_n: float, dimensions_per_block: int
    ) -> None:
        import scann

        self.n = n = len(vectors)
        builder = scann.scann_ops_pybind.builder(vectors, 10, "dot_product")
        builder = builder.set_n_training_threads(self.threads)
        if n >= _LEAST:
            leaves, block = cells(n, leaves_per_sqrt_n), min(dimensions_per_block, vectors.shape[1])
            builder = (
                builder.tree(num_leaves=leaves, num_leaves_to_search=leaves, training_sample_size=n)
                .score_ah(block, anisotropic_quantization_threshold=0.2)
                .reorder(100)
            )
        else:
            builder = builder.score_brute_force()
        self.index = builder.build()

    def configure(self, *, leaves: int, reorder: int) -> None:
        self.leaves, self.reorder = leaves, reorder

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = min(k, self.n)
        settings = {"final_num_neighbors": asked}
        if self.n >= _LEAST:
            settings["leaves_to_search"] = self.leaves
            settings["pre_reorder_num_neighbors"] = max(self.reorder, asked)
        if len(queries) == 1:
            return padded([self.index.search(queries[0], **settings)[0]], k)
        parallel = self.threads > 1
        search = self.index.search_batched_parallel if parallel else self.index.search_batched
        return padded(search(queries, **settings)[0], k)

    def save(self, folder: Path) -> None:
        self.index.serialize(str(folder))

    def restore(self, folder: Path) -> None:
        import scann

        self.index = scann.scann_ops_pybind.load_searcher(str(folder))
        self.n = self.index.size()

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment, small=deployment.n < _LEAST),
            ("from scann import scann_ops_pybind",),
            ("scann",),
            deployment.parameters(),
        )


_LEAST = 256
"""Below this number of vectors, the centroids of its codes, it cannot train them, and scans."""

_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    builder = scann_ops_pybind.builder(vectors, K, "dot_product")
    builder.set_n_training_threads(THREADS)
{% if small %}
    return builder.score_brute_force().build()
{% else %}
    leaves = round(LEAVES_PER_SQRT_N * len(vectors) ** 0.5)
    builder.tree(leaves, leaves, training_sample_size=len(vectors))
    builder.score_ah(min(DIMENSIONS_PER_BLOCK, DIMENSION), anisotropic_quantization_threshold=0.2)
    return builder.reorder(100).build()
{% endif %}


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    found = index.search_batched{{ "_parallel" if threads > 1 }}(
        queries,
        final_num_neighbors=k,
{% if not small %}
        leaves_to_search=LEAVES,
        pre_reorder_num_neighbors=max(REORDER, k),
{% endif %}
    )[0]
    return found.astype(np.int64)
'''
