"""Panorama: faiss's indexes that give up on a vector after a prefix of it."""

from __future__ import annotations

import numpy as np

from bench.backends import cells
from bench.backends._faiss import FaissBackend, faiss, faiss_code, train_alone
from bench.source import Code, Deployment
from bench.vectors import normalise

_LIST_ROWS = 32
"""Vectors of an inverted list stored together. A list is padded to a multiple of them."""


class _Panorama(FaissBackend):
    """What the three indexes share."""

    @property
    def levels(self) -> int:
        """The number of levels that vectors are stored in."""
        return int(self.index.n_levels)

    def components_read(self, queries: np.ndarray, k: int, counted: int) -> float:
        """Return the bytes of components and of lengths of rests read per query.

        faiss counts each compared vector as `counted`, and the share of that it read. A vector has
        a length for all of it and for the rest after each level that was read.
        """
        stats, d = faiss().cvar.indexPanorama_stats, int(self.index.d)
        stats.reset()
        # One by one: faiss counts right on one thread only, and a single query has one.
        for position in range(len(queries)):
            self.search(queries[position : position + 1], k)
        compared = stats.total_dims / counted / len(queries)
        share = stats.total_dims_scanned / max(1, stats.total_dims)
        return float(compared * (share * (d + self.levels) + 1) * 4)


class FaissPanorama(_Panorama):
    """Exhaustive and exact: a vector is read level by level, while it can still be among the best.

    The product over the coordinates to come is at most that of the two rests' lengths, which are
    stored. So it reads least where the first coordinates hold most of a vector: after the reducer
    `pca`, which is a rotation and loses nothing at the full dimension. `batch` vectors share a
    block, in which their levels follow each other. Source: Ramani et al. 2025 (arXiv 2510.00566).
    """

    name = "faiss-panorama"
    summary = "exhaustive, pruned by prefixes (faiss IndexFlatIPPanorama)"
    build_grid = {"levels": [8], "batch": [128, 1024]}
    label_parameters = ("levels", "batch")
    exact = True

    def build(self, vectors: np.ndarray, *, levels: int, batch: int) -> None:
        d = vectors.shape[1]
        self.index = faiss().IndexFlatIPPanorama(d, levels_of(d, levels), batch)
        self.index.add(vectors)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        return self.components_read(queries, k, self.levels)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return _code(deployment, _FLAT)


class FaissIvfPanorama(_Panorama):
    """Scans the `nprobe` nearest k-means cells as `faiss-panorama` does; no less is found.

    Source: Ramani et al. 2025 (arXiv 2510.00566); Jégou et al. 2011.
    """

    name = "faiss-ivf-panorama"
    summary = "inverted lists, pruned by prefixes (faiss IndexIVFFlatPanorama)"
    build_grid = {"lists_per_sqrt_n": [1.0], "levels": [8]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64, 128]}
    label_parameters = ("levels", "nprobe")

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float, levels: int) -> None:
        library, (n, d) = faiss(), vectors.shape
        product, lists = library.METRIC_INNER_PRODUCT, cells(n, lists_per_sqrt_n)
        self.quantiser, own = library.IndexFlatIP(d), True
        self.index = library.IndexIVFFlatPanorama(
            self.quantiser, d, lists, levels_of(d, levels), product, own, _LIST_ROWS
        )
        # faiss warns on standard error below 39 vectors per cell; a small corpus has fewer.
        self.index.cp.min_points_per_centroid = 1
        train_alone(self.index, vectors)
        self.index.add(vectors)

    def configure(self, *, nprobe: int) -> None:
        self.index.nprobe = min(nprobe, self.index.nlist)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        centroids = int(self.index.nlist * self.index.d) * 4
        return self.components_read(queries, k, self.levels) + centroids

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return _code(deployment, _IVF)


class FaissHnswPanorama(_Panorama):
    """HNSW graph whose candidates are compared prefix by prefix, by distance.

    Unit vectors have the same order by distance as by cosine. A vector of zeros would not: it is
    stored as the opposite of the mean, and so found late. The walk ranks candidates by bounds, so
    it finds others than `faiss-hnsw`. Source: Ramani et al. 2025 (arXiv 2510.00566); Malkov &
    Yashunin 2018.
    """

    name = "faiss-hnsw-panorama"
    summary = "HNSW graph, pruned by prefixes (faiss IndexHNSWFlatPanorama)"
    build_grid = {"M": [16], "ef_construction": [200], "levels": [8]}
    search_grid = {"ef": [16, 32, 64, 128, 256, 512]}
    label_parameters = ("M", "levels", "ef")

    def build(self, vectors: np.ndarray, *, M: int, ef_construction: int, levels: int) -> None:
        d = vectors.shape[1]
        self.index = faiss().IndexHNSWFlatPanorama(d, M, levels_of(d, levels))
        self.index.hnsw.efConstruction = ef_construction
        filled = vectors.any(axis=1, keepdims=True)
        if not filled.all():
            vectors = np.where(filled, vectors, -normalise(vectors.mean(axis=0, keepdims=True)))
        self.index.add(vectors)

    def configure(self, *, ef: int) -> None:
        self.index.hnsw.efSearch = ef

    @property
    def levels(self) -> int:
        return int(self.index.num_panorama_levels)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        # Without the few vectors on the way down, which faiss does not count.
        return self.components_read(queries, k, self.index.d)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return _code(deployment, _HNSW)


def levels_of(d: int, levels: int) -> int:
    """Return how many levels of equal width, but for the last, faiss can store `d` dimensions in.

    At most `levels`; faiss would print a warning for more.
    """
    return -(-d // -(-d // min(levels, d)))


def _code(deployment: Deployment, build: str) -> Code:
    levels = levels_of(deployment.dimension, deployment.build["levels"])
    return faiss_code(deployment, build, levels=levels, rows=_LIST_ROWS)


_FLAT = """\
    index = faiss.IndexFlatIPPanorama(DIMENSION, {{ levels }}, BATCH)
    index.add(vectors)
"""
_IVF = """\
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
    cells, product = faiss.IndexFlatIP(DIMENSION), faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFFlatPanorama(
        cells, DIMENSION, lists, {{ levels }}, product, True, {{ rows }}
    )
    cells.this.disown()
    index.own_fields = True  # or Python would free them
    index.train(vectors)
    index.add(vectors)
    index.nprobe = NPROBE
"""
_HNSW = """\
    # By distance: of unit vectors, the order is that of cosines.
    index = faiss.IndexHNSWFlatPanorama(DIMENSION, M, {{ levels }})
    index.hnsw.efConstruction = EF_CONSTRUCTION
    filled = vectors.any(axis=1, keepdims=True)
    vectors = np.where(filled, vectors, -normalise(vectors.mean(axis=0, keepdims=True)))
    index.add(vectors)
    index.hnsw.efSearch = EF
"""
