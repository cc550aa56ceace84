"""CSR: sparse codes of few active latents, searched by an inverted file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends import Backend, UnsupportedDimension, needs_vectors
from bench.backends.precisions import Precision
from bench.errors import DamagedFile, UsageError
from bench.source import Code, Deployment, written

WEIGHTS, META = "csr.safetensors", "csr.json"
SPARSE = Precision("sparse", bits=None, recall_floor=0.5)
"""Active latents only: the document and a value of 16 bits for each."""
_SCALE = 65_535
_ROWS = 4_096


class Csr(Backend):
    """Documents and queries as sparse codes; a search adds up the lists of the query's latents.

    The trial's dimension is the number of active latents, as the paper counts: a code of 32 is
    compared with 32 dimensions. Each takes 4 bytes up to 65,536 documents and 6 beyond, a float32
    component 4. `path` is a folder of `python -m bench train … --form csr`. Without one, nothing is
    trained: the latents are the positive and negative parts of the principal components of the
    corpus. The weights are not counted in the size of the index, as the map of a reducer is not.
    Source: Wen et al., Beyond Matryoshka, 2025.
    """

    name = "csr"
    module = "numba"
    install = "pip install numba"
    licence = "BSD-2-Clause"
    summary = "sparse codes in an inverted file (CSR); the dimension counts active latents"
    precisions = (SPARSE,)
    build_grid = {"path": [""]}
    label_parameters = ("path",)
    full_width = True

    @classmethod
    def load(cls) -> None:
        super().load()
        one = np.zeros(1, np.float32)
        for kind in (np.uint16, np.uint32):  # compiled before anything is timed
            lists = np.zeros(2, np.int64), np.zeros(1, kind), np.zeros(1, np.uint16)
            _kernel()(np.zeros(1, np.int64), one, *lists, one)

    def build(self, vectors: np.ndarray, *, path: str) -> None:
        needs_vectors(vectors)
        self.dimension = self.dimension or vectors.shape[1]
        weights = read_weights(Path(path)) if path else principal_latents(vectors)
        if len(weights["encoder"]) != vectors.shape[1]:
            known = len(weights["encoder"])
            raise UnsupportedDimension(f"the codes in {path} are of {known} dimensions")
        self.build_with(weights, vectors)

    def build_with(self, weights: dict[str, np.ndarray], vectors: np.ndarray) -> None:
        """Index (n, D) float32 `vectors` by the codes of `weights`; see `sparse_codes`."""
        self.weights = weights
        latents, n = self.weights["encoder"].shape[1], len(vectors)
        codes = [self._encoded(vectors[i : i + _ROWS]) for i in range(0, n, _ROWS)]
        found, values = (np.concatenate(parts) for parts in zip(*codes, strict=True))
        kept = values > 0
        documents = np.broadcast_to(np.arange(n)[:, None], found.shape)[kept]
        order = np.argsort(found[kept], kind="stable")
        self.starts = np.concatenate([[0], np.cumsum(np.bincount(found[kept], minlength=latents))])
        self.documents = documents[order].astype(np.uint16 if n <= 2**16 else np.uint32)
        self.values = np.rint(values[kept][order] * _SCALE).astype(np.uint16)
        self.n = n

    def _encoded(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return sparse_codes(self.weights, vectors, int(self.dimension or 1))

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        scores, few = np.empty(self.n, np.float32), min(k, self.n)
        for row, (latents, values) in enumerate(zip(*self._encoded(queries), strict=True)):
            _kernel()(latents, values, self.starts, self.documents, self.values, scores)
            near = np.argpartition(-scores, few - 1)[:few]
            near.sort()  # so that equal scores are in the order of ids
            ids[row, :few] = near[np.argsort(-scores[near], kind="stable")]
        return ids

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.search(queries, k)

    def bytes_read(self, queries: np.ndarray, k: int) -> float:
        latents, values = self._encoded(queries)
        touched = np.where(values > 0, np.diff(self.starts)[latents], 0).sum()
        each = self.documents.itemsize + self.values.itemsize
        return float(touched * each / len(queries))

    def size_bytes(self) -> int:
        return int(self.starts.nbytes + self.documents.nbytes + self.values.nbytes)

    def stored_bytes(self) -> float:
        return float((self.documents.nbytes + self.values.nbytes) / self.n)

    @classmethod
    def identity(cls, parameters: Mapping[str, Any]) -> str:
        if not (path := parameters["path"]):
            return ""
        read_weights(Path(path))
        content = (Path(path) / WEIGHTS).read_bytes()
        return hashlib.blake2b(content, digest_size=8).hexdigest()

    def save(self, folder: Path) -> None:
        arrays: dict[str, Any] = {"sizes": np.array([self.n, self.dimension]), **self.weights}
        arrays |= {"starts": self.starts, "documents": self.documents, "values": self.values}
        np.savez(folder / "index.npz", **arrays)

    def restore(self, folder: Path) -> None:
        with np.load(folder / "index.npz", allow_pickle=False) as kept:
            found = dict(kept)
        self.n, self.dimension = (int(size) for size in found.pop("sizes"))
        self.starts, self.documents, self.values = (
            found.pop(name) for name in ("starts", "documents", "values")
        )
        self.weights = found

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        trained = bool(deployment.build["path"])
        text = written(_CODE, deployment, trained=trained)
        imports, needs = ["from scipy import sparse"], ["scipy"]
        if trained:
            imports.append("from safetensors.numpy import load_file")
            needs.append("safetensors")
        constants = deployment.parameters() if trained else {}
        return Code(text, tuple(imports), tuple(needs), constants, full_width=True)


def sparse_codes(
    weights: dict[str, np.ndarray], vectors: np.ndarray, active: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `active` largest latents of (n, D) vectors: which, and how much, (n, active).

    int64 and float32, each row of unit length. A latent below zero counts as zero. The weights are
    ``encoder`` (D, h), ``pre_bias`` (D,) and ``latent_bias`` (h,), float32; at most h are active.
    """
    latents = (vectors - weights["pre_bias"]) @ weights["encoder"] + weights["latent_bias"]
    active = min(active, latents.shape[1])
    found = np.argpartition(-latents, active - 1, axis=1)[:, :active]
    values = np.maximum(np.take_along_axis(latents, found, axis=1), 0).astype(np.float32)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return found, values / np.where(lengths > 0, lengths, 1)


def principal_latents(vectors: np.ndarray) -> dict[str, np.ndarray]:
    """Return weights without training: both signs of the principal axes of (n, D) vectors."""
    axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)[1].astype(np.float32)
    return {
        "encoder": np.concatenate([axes, -axes], axis=1),
        "pre_bias": np.zeros(len(axes), np.float32),
        "latent_bias": np.zeros(2 * len(axes), np.float32),
    }


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Return the weights in a folder; raises UsageError without them, DamagedFile for bad ones."""
    from safetensors.numpy import load_file

    if not (folder / WEIGHTS).is_file():
        raise UsageError(
            f"csr: {folder} does not contain {WEIGHTS}: train it "
            "(python -m bench train DATASET ENCODER --form csr --out DIR) and give path = DIR"
        )
    try:
        found = dict(load_file(folder / WEIGHTS))
        full, latents = found["encoder"].shape
        shapes = {"encoder": (full, latents), "pre_bias": (full,), "latent_bias": (latents,)}
        if {name: array.shape for name, array in found.items()} != shapes:
            raise ValueError(f"its weights are not {shapes}")
        if not all(a.dtype == np.float32 and np.isfinite(a).all() for a in found.values()):
            raise ValueError("its weights are not finite float32 numbers")
    except Exception as error:  # the library does not export its error type
        raise DamagedFile(f"{folder / WEIGHTS} is damaged ({error}); train it again") from error
    return found


def save_weights(folder: Path, weights: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write weights and their description into `folder`; raises UsageError if it cannot."""
    from safetensors.numpy import save_file

    try:
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {name: np.ascontiguousarray(array) for name, array in weights.items()}
        save_file(arrays, folder / WEIGHTS)
        (folder / WEIGHTS).chmod(0o644)  # the library makes it private to its owner
        (folder / META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error


@cache
def _kernel() -> Any:
    """Return the compiled sum over the lists of a query's latents."""
    import numba

    @numba.njit(nogil=True, fastmath=True)
    def score(latents, values, starts, documents, stored, scores):  # type: ignore[no-untyped-def]
        scores[:] = 0
        for i in range(len(latents)):
            for place in range(starts[latents[i]], starts[latents[i] + 1]):
                scores[documents[place]] += values[i] * stored[place]

    return score


_CODE = '''
def codes(vectors, weights):
    """Return the sparse codes of (n, D) float32 vectors, unit length, values of 16 bits."""
    latents = (vectors - weights["pre_bias"]) @ weights["encoder"] + weights["latent_bias"]
    active = min(DIMENSION, latents.shape[1])
    found = np.argpartition(-latents, active - 1, axis=1)[:, :active]
    values = np.maximum(np.take_along_axis(latents, found, axis=1), 0)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    values = values / np.where(lengths > 0, lengths, 1)
    rows = np.repeat(np.arange(len(vectors)), active)
    shape = (len(vectors), latents.shape[1])
    return sparse.csr_matrix((values.ravel(), (rows, found.ravel())), shape=shape)


def build(vectors):
    """Index (n, D) float32 vectors of unit length."""
{% if trained %}
    weights = load_file(PATH + "/csr.safetensors")
{% else %}
    # Without training, both signs of the principal axes.
    axes = np.linalg.eigh(vectors.T.astype(np.float64) @ vectors)[1].astype(np.float32)
    encoder = np.concatenate([axes, -axes], axis=1)
    weights = {"encoder": encoder, "pre_bias": 0, "latent_bias": 0}
{% endif %}
    stored = codes(vectors, weights)
    stored.data = (np.rint(stored.data * 65_535) / 65_535).astype(np.float32)
    return stored.T.tocsr(), weights


def search(index, queries, k):
    """Return the ids of the nearest, best first: (q, D) float32 to (q, k) int64."""
    lists, weights = index
    scores = (codes(queries, weights) @ lists).toarray()
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
'''
