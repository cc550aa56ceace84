"""Inverted lists of RaBitQ codes with faiss."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.backends import cells
from bench.backends._faiss import FaissBackend, faiss, faiss_code, with_every_cell
from bench.backends.precisions import RABITQ
from bench.source import Code, Deployment


class FaissRabitq(FaissBackend):
    """One bit per component of the rotated residual, with factors for an unbiased estimate.

    Source: Gao & Long 2024.
    """

    name = "faiss-ivf-rabitq"
    summary = "inverted lists of one-bit codes with unbiased distances (faiss IndexIVFRaBitQ)"
    precisions = (RABITQ,)
    build_grid = {"lists_per_sqrt_n": [1.0], "seed": [123]}
    search_grid = {"nprobe": [1, 2, 4, 8, 16, 32, 64]}
    label_parameters = ("nprobe",)

    def build(self, vectors: np.ndarray, *, lists_per_sqrt_n: float, seed: int) -> None:
        library, (n, d) = faiss(), vectors.shape
        self.quantiser = library.IndexFlatL2(d)
        lists = cells(n, lists_per_sqrt_n)
        self.lists = library.IndexIVFRaBitQ(self.quantiser, d, lists, library.METRIC_L2)
        self.lists.cp.min_points_per_centroid = 1
        self.rotation = library.RandomRotationMatrix(d, d)
        self.rotation.init(seed)
        self.index = library.IndexPreTransform(self.rotation, self.lists)
        self.index.train(vectors)
        self.index.add(vectors)

    def restore(self, folder: Path) -> None:
        super().restore(folder)
        self.lists = faiss().downcast_index(self.index.index)

    def configure(self, *, nprobe: int) -> None:
        self.lists.nprobe = min(nprobe, self.lists.nlist)

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return with_every_cell(self.lists, lambda: self.search(queries, k))

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return faiss_code(deployment, _BUILD)


_BUILD = """\
    lists = round(LISTS_PER_SQRT_N * len(vectors) ** 0.5)
    cells = faiss.IndexFlatL2(DIMENSION)
    codes = faiss.IndexIVFRaBitQ(cells, DIMENSION, lists, faiss.METRIC_L2)
    codes.nprobe = NPROBE
    rotation = faiss.RandomRotationMatrix(DIMENSION, DIMENSION)
    rotation.init(SEED)
    index = faiss.IndexPreTransform(rotation, codes)
    index.train(vectors)
    index.add(vectors)
"""
