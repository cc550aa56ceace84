"""Neighbourhood graph and tree with NGT."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from bench.backends import Backend, padded
from bench.source import Code, Deployment, written


class Ngt(Backend):
    """ANNG, a neighbourhood graph entered through a tree. Source: Iwasaki & Miyazaki 2018."""

    name = "ngt"
    module = "ngtpy"
    install = "pip install ngt"
    licence = "Apache-2.0"
    summary = "neighbourhood graph and tree (NGT, ANNG)"
    build_grid = {"edges": [10, 30]}
    search_grid = {"epsilon": [0.0, 0.05, 0.1, 0.2, 0.3]}
    label_parameters = ("edges", "epsilon")

    def build(self, vectors: np.ndarray, *, edges: int) -> None:
        import ngtpy

        self.n = len(vectors)
        self.folder = tempfile.mkdtemp(prefix="ngt-")
        path = str(Path(self.folder) / "index")
        settings = {"edge_size_for_creation": edges, "distance_type": "Normalized Cosine"}
        ngtpy.create(path, vectors.shape[1], **settings)
        self.index = ngtpy.Index(path)
        self.index.batch_insert(vectors, num_threads=self.threads)
        self.index.save()

    def configure(self, *, epsilon: float) -> None:
        self.epsilon = epsilon

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        asked = min(k, self.n)
        ask = self.index.search
        return padded((ask(q, asked, self.epsilon, with_distance=False) for q in queries), k)

    def save(self, folder: Path) -> None:
        shutil.copytree(Path(self.folder) / "index", folder / "index")

    def restore(self, folder: Path) -> None:
        import ngtpy

        self.folder = tempfile.mkdtemp(prefix="ngt-")
        shutil.copytree(folder, self.folder, dirs_exist_ok=True)
        self.index = ngtpy.Index(str(Path(self.folder) / "index"))
        self.n = self.index.get_num_of_objects()

    def close(self) -> None:
        self.index.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        return Code(
            written(_CODE, deployment),
            ("import ngtpy",),
            ("ngt",),
            {"FOLDER": "ngt", **deployment.parameters()},
        )


_CODE = '''
def build(vectors):
    """Index (n, d) float32 vectors of unit length."""
    ngtpy.create(FOLDER, DIMENSION, edge_size_for_creation=EDGES, distance_type="Normalized Cosine")
    index = ngtpy.Index(FOLDER)
    index.batch_insert(vectors, num_threads=THREADS)
    index.save()
    return index


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, d) float32 to (q, k) int64."""
    ask = index.search
    return padded((ask(query, k, EPSILON, with_distance=False) for query in queries), k)
'''
