"""AdANNS: different prefixes of one vector for the cells of an inverted file and for the distances in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import Backend
from bench.backends._faiss import faiss, with_every_cell
from bench.backends.faiss_ivf import n_lists
from bench.vectors import truncate

_CENTROIDS = 256


class AdannsIvf(Backend):
    """Cells found at `coarse_dimension` (Dc), distances computed at the trial's dimension (Ds). Source: Rege et al. 2023.

    Made of faiss's parts: k-means cells and their flat quantiser over Dc-dimensional prefixes, and inverted lists of
    Ds-dimensional ones, filled and searched with the cells assigned beforehand.
    """

    name = "adanns-ivf"
    module = "faiss"
    install = "pip install faiss-cpu"
    licence = "MIT"
    summary = "inverted lists, cells and distances at different prefix lengths (AdANNS-IVF, of faiss's parts)"
    build_grid = {"coarse_dimension": [16, 64], "lists_per_sqrt_n": [1.0]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    full_width = True

    def build(self, vectors: np.ndarray, *, coarse_dimension: int, lists_per_sqrt_n: float) -> None:
        self.dimension = self.dimension or vectors.shape[1]
        if coarse_dimension > vectors.shape[1]:
            raise ValueError(
                f"coarse_dimension = {coarse_dimension} is above the full dimension {vectors.shape[1]}"
            )
        library = faiss()
        self.coarse, n = coarse_dimension, len(vectors)
        prefixes = truncate(vectors, coarse_dimension)
        lists = n_lists(n, lists_per_sqrt_n)
        means = library.Kmeans(
            coarse_dimension, lists, spherical=True, niter=10, seed=1234, min_points_per_centroid=1
        )
        means.train(prefixes)
        self.quantiser = library.IndexFlatIP(coarse_dimension)
        self.quantiser.add(means.centroids)
        fine = self._fine(truncate(vectors, self.dimension), lists)
        cells = np.ascontiguousarray(self.quantiser.search(prefixes, 1)[1][:, 0])
        pointer, ids = library.swig_ptr, np.arange(n, dtype=np.int64)
        self.index.add_core(n, pointer(fine), pointer(ids), pointer(cells))

    def _fine(self, vectors: np.ndarray, lists: int) -> np.ndarray:
        """Make the empty inverted file in `index` for (n, Ds) vectors; return them as it stores them."""
        library, d = faiss(), vectors.shape[1]
        # The lists' own quantiser is never asked: the cells come assigned. faiss wants one of the right width and size.
        self.unused = library.IndexFlatIP(d)
        self.index = library.IndexIVFFlat(self.unused, d, lists, library.METRIC_INNER_PRODUCT)
        self.index.is_trained = True
        return vectors

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        # Inner products rank alike for any length of the query: nothing needs to be normalised.
        nearness, cells = self.quantiser.search(
            np.ascontiguousarray(queries[:, : self.coarse]), self.index.nprobe
        )
        return self._scan(np.ascontiguousarray(queries[:, : self.dimension]), k, cells, nearness)

    def _scan(
        self, queries: np.ndarray, k: int, cells: np.ndarray, nearness: np.ndarray
    ) -> np.ndarray:
        return np.asarray(self.index.search_preassigned(queries, k, cells, nearness)[1])

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
        return float(
            stats.ndis / len(queries) * self.index.code_size
            + self.quantiser.ntotal * self.quantiser.d * 4
        )


class AdannsIvfOpq(AdannsIvf):
    """AdANNS over inverted lists of product codes: Ds-dimensional prefixes, rotated so that they lose least (OPQ).

    A byte of code stands for `components_per_byte` components. Source: Rege et al. 2023; Ge et al. 2013 (OPQ).
    """

    name = "adanns-ivf-opq"
    summary = "inverted lists of OPQ codes, cells and distances at different prefix lengths (AdANNS-OPQ, of faiss's parts)"
    precisions = ("pq",)
    build_grid = {"coarse_dimension": [64], "lists_per_sqrt_n": [1.0], "components_per_byte": [4]}

    def build(
        self,
        vectors: np.ndarray,
        *,
        coarse_dimension: int,
        lists_per_sqrt_n: float,
        components_per_byte: int,
    ) -> None:
        self.components_per_byte = components_per_byte
        super().build(vectors, coarse_dimension=coarse_dimension, lists_per_sqrt_n=lists_per_sqrt_n)

    def _fine(self, vectors: np.ndarray, lists: int) -> np.ndarray:
        library, d = faiss(), vectors.shape[1]
        if d % self.components_per_byte:
            raise ValueError(
                f"components_per_byte = {self.components_per_byte} does not divide the dimension {d}"
            )
        codes = d // self.components_per_byte
        self.unused = library.IndexFlatIP(d)
        self.rotation = library.OPQMatrix(d, codes)
        # Fifty rounds, the library's own number, take minutes at 64 d; what four leave undone is not seen in the recall.
        self.rotation.niter, self.rotation.niter_pq = 4, 4
        self.trainer = library.ProductQuantizer(d, codes, 8)
        self.rotation.pq = self.trainer
        self.index = library.IndexIVFPQ(
            self.unused, d, lists, codes, 8, library.METRIC_INNER_PRODUCT
        )
        for quantiser in (self.trainer, self.index.pq):
            # 256 centroids want 9,984 vectors, or faiss warns on standard error; a small corpus has fewer.
            quantiser.cp.min_points_per_centroid = 1
        # Fewer vectors than centroids cannot be clustered: then each is taken more than once.
        sample = np.resize(vectors, (max(len(vectors), _CENTROIDS), d))
        self.rotation.train(sample)
        rotated = self.rotation.apply(vectors)
        self.index.by_residual = False
        self.index.pq.train(self.rotation.apply(sample))
        self.index.is_trained = True
        return np.asarray(rotated)

    def _scan(
        self, queries: np.ndarray, k: int, cells: np.ndarray, nearness: np.ndarray
    ) -> np.ndarray:
        return super()._scan(self.rotation.apply(queries), k, cells, nearness)

    def save(self, folder: Path) -> None:
        super().save(folder)
        faiss().write_VectorTransform(self.rotation, str(folder / "rotation"))

    def restore(self, folder: Path) -> None:
        super().restore(folder)
        self.rotation = faiss().read_VectorTransform(str(folder / "rotation"))
