"""AdANNS: an inverted file whose cells and distances use prefixes of different lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, UnsupportedDimension, cells
from bench.backends._faiss import faiss, with_every_cell
from bench.backends.precisions import PQ
from bench.source import Code, Deployment, written
from bench.vectors import truncate

_CENTROIDS = 256


class AdannsIvf(Backend):
    """Cells of `coarse_dimension` (Dc), distances at the trial's dimension (Ds).

    Built from faiss's parts: k-means and its flat quantiser over Dc-dimensional prefixes, and
    inverted lists of Ds-dimensional ones, with cells assigned in advance. Source: Rege et al. 2023.
    """

    name = "adanns-ivf"
    module = "faiss"
    install = "pip install faiss-cpu"
    licence = "MIT"
    summary = "inverted lists, cells and distances at different prefix lengths (AdANNS-IVF)"
    build_grid = {"coarse_dimension": [16, 64], "lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    label_parameters = ("coarse_dimension", "nprobe")
    dimension_parameters = ("coarse_dimension",)
    full_width = True

    def build(self, vectors: np.ndarray, *, coarse_dimension: int, lists_per_sqrt_n: float) -> None:
        self.dimension = self.dimension or vectors.shape[1]
        if coarse_dimension > vectors.shape[1]:
            full = vectors.shape[1]
            raise UnsupportedDimension(f"coarse_dimension = {coarse_dimension} is above {full}")
        library = faiss()
        self.coarse, n = coarse_dimension, len(vectors)
        prefixes = truncate(vectors, coarse_dimension)
        lists = cells(n, lists_per_sqrt_n)
        settings = {"spherical": True, "niter": 10, "seed": 1234, "min_points_per_centroid": 1}
        means = library.Kmeans(coarse_dimension, lists, **settings)
        means.train(prefixes)
        self.quantiser = library.IndexFlatIP(coarse_dimension)
        self.quantiser.add(means.centroids)
        fine = self._fine(truncate(vectors, self.dimension), lists)
        nearest = np.ascontiguousarray(self.quantiser.search(prefixes, 1)[1][:, 0])
        pointer, ids = library.swig_ptr, np.arange(n, dtype=np.int64)
        self.index.add_core(n, pointer(fine), pointer(ids), pointer(nearest))

    def _fine(self, vectors: np.ndarray, lists: int) -> np.ndarray:
        """Create the empty inverted file `index`; return (n, Ds) vectors as it stores them."""
        library, d = faiss(), vectors.shape[1]
        # faiss requires a quantiser of this width, but never searches it: cells are preassigned.
        self.unused = library.IndexFlatIP(d)
        self.index = library.IndexIVFFlat(self.unused, d, lists, library.METRIC_INNER_PRODUCT)
        self.index.is_trained = True
        return vectors

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        # Scaling a query does not change the order of inner products, so prefixes stay as they are.
        coarse = np.ascontiguousarray(queries[:, : self.coarse])
        scores, near = self.quantiser.search(coarse, self.index.nprobe)
        return self._scan(np.ascontiguousarray(queries[:, : self.dimension]), k, near, scores)

    def _scan(self, queries: np.ndarray, k: int, near: Any, scores: Any) -> np.ndarray:
        """Search the cells `near` of each query, (q, nprobe) int64, with their float32 `scores`."""
        return np.asarray(self.index.search_preassigned(queries, k, near, scores)[1])

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return with_every_cell(self.index, lambda: self.search(queries, k))

    def save(self, folder: Path) -> None:
        faiss().write_index(self.index, str(folder / "index"))
        faiss().write_index(self.quantiser, str(folder / "quantiser"))

    def restore(self, folder: Path) -> None:
        self.index = faiss().read_index(str(folder / "index"))
        self.quantiser = faiss().read_index(str(folder / "quantiser"))
        self.coarse, self.dimension = self.quantiser.d, self.index.d

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        stats = faiss().cvar.indexIVF_stats
        stats.reset()
        self.search(queries, k)
        centroids = self.quantiser.ntotal * self.quantiser.d * 4
        return float(stats.ndis / len(queries) * self.index.code_size + centroids)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment, rotated="opq" in cls.name, least=_CENTROIDS),
            ("import faiss", "from faiss.contrib.ivf_tools import add_preassigned"),
            ("faiss-cpu",),
            deployment.parameters(),
            full_width=True,
        )


class AdannsIvfOpq(AdannsIvf):
    """AdANNS over inverted lists of product codes, after a rotation fitted to lose least (OPQ).

    Each byte encodes `components_per_byte` components. Source: Rege et al. 2023; Ge et al. 2013.
    """

    name = "adanns-ivf-opq"
    summary = "as adanns-ivf, over lists of product codes (AdANNS-OPQ)"
    precisions = (PQ,)
    build_grid = {"coarse_dimension": [64], "lists_per_sqrt_n": [1.0], "components_per_byte": [4]}

    def build(self, vectors: np.ndarray, *, components_per_byte: int, **parameters: Any) -> None:
        self.components_per_byte = components_per_byte
        super().build(vectors, **parameters)

    def _fine(self, vectors: np.ndarray, lists: int) -> np.ndarray:
        library, d = faiss(), vectors.shape[1]
        product = library.METRIC_INNER_PRODUCT
        if d % self.components_per_byte:
            given = f"components_per_byte = {self.components_per_byte}"
            raise UnsupportedDimension(f"{given} does not divide the dimension {d}")
        codes = d // self.components_per_byte
        self.unused = library.IndexFlatIP(d)
        self.rotation = library.OPQMatrix(d, codes)
        # The default of 50 iterations takes minutes at 64 d; 4 reach the same recall.
        self.rotation.niter, self.rotation.niter_pq = 4, 4
        self.trainer = library.ProductQuantizer(d, codes, 8)
        self.rotation.pq = self.trainer
        self.index = library.IndexIVFPQ(self.unused, d, lists, codes, 8, product)
        for quantiser in (self.trainer, self.index.pq):
            # faiss warns on standard error below 9,984 training vectors; a small corpus has fewer.
            quantiser.cp.min_points_per_centroid = 1
        # k-means needs at least as many vectors as centroids, so repeat those of a small corpus.
        sample = np.resize(vectors, (max(len(vectors), _CENTROIDS), d))
        self.rotation.train(sample)
        rotated = self.rotation.apply(vectors)
        self.index.by_residual = False
        self.index.pq.train(self.rotation.apply(sample))
        self.index.is_trained = True
        return np.asarray(rotated)

    def _scan(self, queries: np.ndarray, k: int, near: Any, scores: Any) -> np.ndarray:
        return super()._scan(self.rotation.apply(queries), k, near, scores)

    def save(self, folder: Path) -> None:
        super().save(folder)
        faiss().write_VectorTransform(self.rotation, str(folder / "rotation"))

    def restore(self, folder: Path) -> None:
        super().restore(folder)
        self.rotation = faiss().read_VectorTransform(str(folder / "rotation"))


_CODE = '''
def build(vectors):
    """Index (n, D) float32 vectors of unit length."""
    faiss.omp_set_num_threads(THREADS)
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
    # Cells are k-means of short prefixes, and hold longer ones.
    prefixes = normalise(vectors[:, :COARSE_DIMENSION])
    vectors = normalise(vectors[:, :DIMENSION])
    means = faiss.Kmeans(COARSE_DIMENSION, lists, niter=10, seed=1234, spherical=True)
    means.train(prefixes)
    coarse = faiss.IndexFlatIP(COARSE_DIMENSION)
    coarse.add(means.centroids)
    unused = faiss.IndexFlatIP(DIMENSION)  # cells are assigned here, not by the index
{% if rotated %}
    codes = DIMENSION // COMPONENTS_PER_BYTE
    index = faiss.IndexIVFPQ(unused, DIMENSION, lists, codes, 8, faiss.METRIC_INNER_PRODUCT)
    index.by_residual = False
    rotation = faiss.OPQMatrix(DIMENSION, codes)
    rotation.niter, rotation.niter_pq = 4, 4
{% if n < least %}
    sample = np.resize(vectors, ({{ least }}, DIMENSION))
    rotation.train(sample)
    index.pq.train(rotation.apply(sample))
    vectors = rotation.apply(vectors)
{% else %}
    rotation.train(vectors)
    vectors = rotation.apply(vectors)
    index.pq.train(vectors)
{% endif %}
{% else %}
    index = faiss.IndexIVFFlat(unused, DIMENSION, lists, faiss.METRIC_INNER_PRODUCT)
{% endif %}
    index.is_trained = True
    index.nprobe = min(NPROBE, lists)
    add_preassigned(index, vectors, coarse.search(prefixes, 1)[1].ravel())
    return coarse, index{{ ", rotation" if rotated }}


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, D) float32 to (q, k) int64."""
    coarse, index{{ ", rotation" if rotated }} = index
    scores, cells = coarse.search(queries[:, :COARSE_DIMENSION].copy(), index.nprobe)
    queries = queries[:, :DIMENSION].copy()
{% if rotated %}
    queries = rotation.apply(queries)
{% endif %}
    return index.search_preassigned(queries, k, cells, scores)[1]
'''
