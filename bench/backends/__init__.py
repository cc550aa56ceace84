"""Backends: one ANN library or vector database in one file each."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench import registry
from bench.libraries import installed

LIBRARY, DATABASE, SERVER = "library", "database", "server"

PRECISIONS = ("float32", "float16", "bfloat16", "int8", "int4", "binary", "binary_asymmetric")
"""The usual ways to store a component, most bits first."""
ORDER = (
    "faiss-flat",
    "faiss-hnsw",
    "faiss-ivf",
    "annoy",
    "adanns-ivf",
    "adanns-ivf-opq",
    "hnswlib",
    "usearch",
    "faiss-ivf-pq",
    "faiss-ivf-rabitq",
    "voyager",
    "scann",
    "pgvector-hnsw",
    "pgvector-ivfflat",
    "svs-vamana",
    "ngt",
    "faiss-refine",
    "duckdb",
    "sqlite-vec",
    "lancedb",
    "chroma",
    "qdrant-edge",
    "qdrant-local",
    "milvus-lite",
    "pynndescent",
    "faiss-pq",
    "faiss-factory",
    "qdrant",
    "milvus",
    "weaviate",
    "elasticsearch",
    "opensearch",
)
"""Names in the order of the figures' colours; append new ones, so that no colour changes.

Names close together are told apart best. A backend that is not listed gets a colour from its name.
"""


class Backend(ABC):
    """An index over unit-length float32 vectors, searched by cosine (= inner product).

    A subclass states what it is in class attributes; the runner reads them and never asks for a name. The library is
    imported inside the methods, so that listing the backends loads none of them.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    """What must import; where it does not, the trial is 'skipped' with `install`."""
    install: ClassVar[str]
    """What to type to get `module`."""
    summary: ClassVar[str]
    licence: ClassVar[str] = ""
    kind: ClassVar[str] = LIBRARY
    """`LIBRARY`, `DATABASE` (in this process) or `SERVER` (another process, asked over a connection)."""
    build_grid: ClassVar[dict[str, list[Any]]] = {}
    """Build parameters and the values swept when a study does not say."""
    search_grid: ClassVar[dict[str, list[Any]]] = {}
    """Search parameters and the values swept when a study does not say. Changing them needs no rebuild."""
    precisions: ClassVar[tuple[str, ...]] = ("float32",)
    """How a component can be stored, first what a study that says nothing gets. What a precision needs to know of the vectors is fitted in `build`, on the corpus."""
    label_parameters: ClassVar[tuple[str, ...]] = ()
    """Build and search parameters that a configuration's label shows."""
    exact: ClassVar[bool] = False
    """True when the search is exhaustive."""
    deterministic: ClassVar[bool] = True
    """Whether two builds of the same vectors answer alike."""
    returns_memory: ClassVar[bool] = True
    """Whether closing an index gives its memory back; what does not is freed when the process ends, as each trial's does."""
    own_threads: ClassVar[bool] = False
    """Whether it starts more threads than it is told; the runner holds them on the same cores, and a row tells their number."""
    full_width: ClassVar[bool] = False
    """True where `build` and `search` are to be handed vectors at the full dimension, to use different prefixes of them for
    different steps; `dimension` is then that of the trial, the one the distances are computed at."""

    native_stages: ClassVar[bool] = False
    """Whether it rescores a shortlist by itself (`search_stages`); such a backend is `full_width`."""

    def __init__(
        self, precision: str = "float32", dimension: int | None = None, threads: int = 1
    ) -> None:
        """`precision` is one of `precisions`; `dimension` is read by backends that are `full_width`; `threads` is how many
        the library may use, where it has to be told beside the environment."""
        self.precision, self.dimension, self.threads = precision, dimension, threads

    @classmethod
    def available(cls) -> bool:
        """Say whether the library is installed, without loading it."""
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def version(cls) -> str:
        """Return the installed version of the library; empty where it is not installed."""
        return next(iter(installed(cls.module).values()), "")

    @classmethod
    def load(cls) -> None:
        """Load the library; the time and memory of that are nobody's index."""
        importlib.import_module(cls.module)

    @abstractmethod
    def build(self, vectors: np.ndarray, **parameters: Any) -> None:
        """Index `vectors`, (n, d) float32 C-contiguous, unit length (or zero), at `precision`; position i gets id i."""

    def configure(self, **parameters: Any) -> None:
        """Set the search parameters, without a rebuild."""

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """(q, d) float32 unit length → ids (q, k) int64, best first; -1 pads where fewer than k are found."""

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        """Milliseconds that the server itself spent on each of `queries`, (q,) float64, asked anew; None where it does not tell."""
        return None

    def reconnect(self) -> None:
        """Open a connection of its own to what is built, in another process; a `SERVER` pickles without its connection."""
        raise TypeError(f"{self.name} has no connection")

    def server_version(self) -> str:
        """Name and version of the `SERVER` that is asked; empty for what runs in this process."""
        return ""

    def alive(self) -> bool:
        """Whether it can go on after a search that failed; a `SERVER` that cannot is built anew for the next trial."""
        return True

    def save(self, folder: Path) -> None:
        """Write the built index into an empty folder; asked of a `LIBRARY` only: a database keeps its own files."""
        raise TypeError(f"{self.name} cannot be saved")

    def restore(self, folder: Path) -> None:
        """Take up what `save` wrote, in place of `build`; `configure` comes after it, as after a build."""
        raise TypeError(f"{self.name} cannot be restored")

    def size_bytes(self) -> int | None:
        """Bytes of the index as it is saved, measured, not computed; None where a server does not tell."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder))
            return folder_bytes(Path(folder))

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        """As `search`, with its own rescore of a shortlist at the full dimension; where `native_stages` says that it can.

        `queries` (q, D) → ids (q, k) int64.
        """
        raise TypeError(f"{self.name} does not rescore by itself")

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        """As `search`, comparing every stored vector: what is lost by the precision alone. Asked only for a precision that
        exhaustive search of its own does not know; None where the index cannot."""
        return None

    def bytes_read(self, queries: np.ndarray, k: int) -> float | None:
        """Bytes of vectors that one of `queries` reads on average, counted by the library; None where it cannot say."""
        return None

    def close(self) -> None:
        """Give back what the index holds."""


def padded(rows: Iterable[Any], k: int) -> np.ndarray:
    """Return rows of ids, each of at most k, as (q, k) int64 with -1 where a row is shorter."""
    rows = list(rows)
    ids = np.full((len(rows), k), -1, dtype=np.int64)
    for position, row in enumerate(rows):
        ids[position, : len(row)] = row
    return ids


def needs_vectors(vectors: np.ndarray) -> None:
    """Raise ValueError where there are none, for a library that would end the process."""
    if not len(vectors):
        raise ValueError("there is no vector to index")


def folder_bytes(folder: Path, allocated: bool = False) -> int:
    """Return the bytes of all files under `folder`; `allocated`: without the room that a file sets aside and has not written to."""
    found = [path.stat() for path in folder.rglob("*") if path.is_file()]
    if allocated:
        return sum(
            min(file.st_size, getattr(file, "st_blocks", file.st_size) * 512) for file in found
        )
    return sum(file.st_size for file in found)


def backends() -> dict[str, type[Backend]]:
    """Return every backend by name."""
    return registry.found("backends", Backend)


def get_backend(name: str) -> type[Backend]:
    """Return the backend's class; raises UsageError, with the near miss of an unknown name."""
    return registry.get("backends", Backend, name)
