"""Backends: one file per ANN library or vector database."""

from __future__ import annotations

import importlib
import importlib.util
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from bench import registry
from bench.backends.precisions import FLOAT32, Precision
from bench.errors import UsageError, near_miss
from bench.libraries import installed
from bench.source import Code, Deployment

LIBRARY, DATABASE, SERVER = "library", "database", "server"

REFERENCE = "faiss-flat"
"""Name of the backend that paired speed-ups are measured against. It must be exact."""


class UnsupportedDimension(ValueError):
    """Raised by `Backend.build` if the index cannot hold vectors of that dimension."""


class Backend(ABC):
    """An index over unit-length float32 vectors, searched by cosine (= inner product).

    A subclass declares its properties as class attributes. The runner reads these and never checks
    a backend's name. Import the library inside the methods, so that listing backends loads none.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    """Module to import. If it is missing, trials are 'skipped' and the row shows `install`."""
    install: ClassVar[str]
    """Command that installs `module`."""
    summary: ClassVar[str]
    licence: ClassVar[str] = ""
    kind: ClassVar[str] = LIBRARY
    """`LIBRARY`, `DATABASE` (embedded in this process) or `SERVER` (another process)."""

    build_grid: ClassVar[dict[str, list[Any]]] = {}
    """Build parameters and their default values, all swept."""
    search_grid: ClassVar[dict[str, list[Any]]] = {}
    """Search parameters and their default values, all swept, from narrow to wide. Changing them
    needs no rebuild."""
    label_parameters: ClassVar[tuple[str, ...]] = ()
    """Build and search parameters that a configuration's label always shows. Others are shown only
    where they differ."""
    dimension_parameters: ClassVar[tuple[str, ...]] = ()
    """Build parameters that are dimensions themselves, so at most the dimension of the vectors."""
    precisions: ClassVar[tuple[Precision, ...]] = (FLOAT32,)
    """Supported precisions; the first is the default. Anything a precision must learn from the data
    (ranges, codebooks) is fitted in `build`, on the corpus."""

    exact: ClassVar[bool] = False
    """True if the search is exhaustive."""
    deterministic: ClassVar[bool] = True
    """False if two builds over the same vectors can give different results."""
    returns_memory: ClassVar[bool] = True
    """False if closing an index does not free its memory. Each build runs in its own process."""
    own_threads: ClassVar[bool] = False
    """True if the library starts more threads than requested. They stay on the same cores, and a
    row records their number."""
    full_width: ClassVar[bool] = False
    """True if `build` and `search` take vectors at the full dimension, to use several prefixes.
    Distances are then computed at `dimension`, the trial's."""
    native_stages: ClassVar[bool] = False
    """True if it can rescore a shortlist itself (`search_stages`). Requires `full_width`."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        super().__init_subclass__(**arguments)
        for precision in cls.precisions:
            if not isinstance(precision, Precision):
                raise UsageError(
                    f"backend '{getattr(cls, 'name', cls.__name__)}': {precision!r} in `precisions`"
                    " is not a Precision of bench.backends.precisions"
                )

    def __init__(self, precision: str = "", dimension: int | None = None, threads: int = 1) -> None:
        """Create an empty index.

        `precision`: name of one of `precisions`; the default one if empty.
        `dimension`: of the distances, for backends that are `full_width`, and of the vectors to
        `restore`. `threads`: how many the library may use, if the environment does not limit it.
        """
        self.precision = precision or self.precision_names()[0]
        self.dimension = dimension
        self.threads = threads

    @classmethod
    def precision_names(cls) -> tuple[str, ...]:
        """Return the names of the supported precisions, the default first."""
        return tuple(precision.name for precision in cls.precisions)

    @classmethod
    def precision_of(cls, name: str) -> Precision:
        """Return the precision called `name`; raises UsageError with the near miss."""
        for precision in cls.precisions:
            if precision.name == name:
                return precision
        from bench.codes.table import NO_KERNEL, unkernelled

        if name in [precision.name for precision in unkernelled()]:
            raise UsageError(f"precision '{name}' is for backend 'exact' alone: {NO_KERNEL}")
        missed = near_miss(name, cls.precision_names())
        raise UsageError(f"backend '{cls.name}' has no precision '{name}'{missed}")

    @classmethod
    def available(cls) -> bool:
        """Return whether the backend can run here, without importing the library."""
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def version(cls) -> str:
        """Return the installed version of the library; empty if it is not installed."""
        return next(iter(installed(cls.module).values()), "")

    @classmethod
    def load(cls) -> None:
        """Import the library, so that its time and memory are not charged to the index."""
        importlib.import_module(cls.module)

    @abstractmethod
    def build(self, vectors: np.ndarray, **parameters: Any) -> None:
        """Index (n, d) float32 `vectors` at `precision`; the vector in row i gets id i.

        Rows are C-contiguous and of unit length (or zero). Raises UnsupportedDimension if the index
        cannot hold this d.
        """

    def built(self) -> int | None:
        """Return how many vectors are indexed so far; None if the library does not tell.

        Called from another thread during `build`, for the progress that is shown.
        """
        return None

    def build_in_place(self, vectors: np.ndarray) -> None:
        """As `build`, but search `vectors` where they lie, if the backend can; else copy them.

        They are float32, possibly a memory map, and stay unchanged while the index is used.
        """
        self.build(vectors)

    def configure(self, **parameters: Any) -> None:
        """Set the search parameters, without a rebuild."""

    @abstractmethod
    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        """Return the ids of the k nearest, best first: (q, d) float32 unit length → (q, k) int64.

        -1 pads a row that has fewer than k results.
        """

    def server_ms(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        """Search again and return the server's own time per query, (q,) float64, milliseconds.

        None if the server does not report it.
        """
        return None

    def reconnect(self) -> None:
        """Open a new connection to the built index, in another process.

        A `SERVER` is pickled without its connection. Raises TypeError if there is no server.
        """
        raise TypeError(f"{self.name} has no connection")

    def server_version(self) -> str:
        """Return name and version of the `SERVER`; empty for other kinds."""
        return ""

    def alive(self) -> bool:
        """Return whether the index is still usable after a failed search.

        If it is not, the runner rebuilds it for the next trial.
        """
        return True

    def save(self, folder: Path) -> None:
        """Write the built index into an empty folder. Called for a `LIBRARY` only.

        Raises TypeError if the backend does not support it.
        """
        raise TypeError(f"{self.name} cannot be saved")

    def restore(self, folder: Path) -> None:
        """Read the index that `save` wrote, instead of `build`; `configure` follows.

        Raises TypeError if the backend does not support it. Never unpickle: a file can be anyone's.
        """
        raise TypeError(f"{self.name} cannot be restored")

    def size_bytes(self) -> int | None:
        """Return the bytes of the serialised index, measured; None if they are unknown."""
        with tempfile.TemporaryDirectory() as folder:
            self.save(Path(folder))
            return folder_bytes(Path(folder))

    def stored_bytes(self) -> float | None:
        """Return the bytes of one stored vector, without what all vectors share.

        None if it is unknown, or if the index adds to each vector, as a graph adds links.
        """
        return None

    @classmethod
    def identity(cls, parameters: Mapping[str, Any]) -> str:
        """Return what else an index with these build parameters depends on; empty for nothing.

        Such as a digest of weights in a file: results of other weights are not reused. Raises
        UsageError for a file that is not there, before anything is measured.
        """
        return ""

    def search_stages(self, queries: np.ndarray, shortlist: int, k: int) -> np.ndarray:
        """As `search`, after rescoring a shortlist at the full dimension; needs `native_stages`.

        (q, D) float32 `queries` → ids (q, k) int64. Raises TypeError if it is not supported.
        """
        raise TypeError(f"{self.name} does not rescore by itself")

    def exhaustive(self, queries: np.ndarray, k: int) -> np.ndarray | None:
        """As `search`, but compare every stored vector: this isolates the loss due to precision.

        None if it is not supported, or if the reference compares the same codes.
        """
        return None

    def bytes_read(self, queries: np.ndarray, k: int) -> float | None:
        """Return the bytes of vectors read per query, counted by the library; None if unknown."""
        return None

    @classmethod
    def code(cls, deployment: Deployment) -> Code:
        """Return the code that builds and searches the index without this package.

        Its text defines ``build(vectors)``, (n, d) float32 unit vectors → index, and
        ``search(index, queries, k)``, (q, d) float32 unit vectors → ids (q, k) int64, best first.
        If `deployment.native`, they take full vectors, and `search` rescores `SHORTLIST` ids
        itself. Raises UsageError if the backend does not offer its code.
        """
        raise UsageError(
            f"backend '{cls.name}' does not offer its code: its class needs the method `code`"
        )

    def close(self) -> None:
        """Free what the index holds."""

    @classmethod
    def clear_leftovers(cls) -> None:
        """End the processes and remove the folders that killed processes left on this machine."""


def padded(rows: Iterable[Any], k: int) -> np.ndarray:
    """Return rows of at most k ids as (q, k) int64, short rows padded with -1."""
    rows = list(rows)
    ids = np.full((len(rows), k), -1, dtype=np.int64)
    for position, row in enumerate(rows):
        ids[position, : len(row)] = row
    return ids


def batches(vectors: np.ndarray, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (id of the first vector, block) for blocks of at most `size` rows."""
    for start in range(0, len(vectors), size):
        yield start, vectors[start : start + size]


def cells(n: int, per_sqrt_n: float) -> int:
    """Return the number of k-means cells for `n` vectors, between 1 and n."""
    root: float = n**0.5
    return max(1, min(n, round(per_sqrt_n * root)))


def packed_signs(vectors: np.ndarray) -> np.ndarray:
    """Return the signs of (n, d) vectors as (n, ⌈d / 8⌉) uint8, eight per byte, zero-padded."""
    return np.packbits(vectors > 0, axis=1)


def needs_vectors(vectors: np.ndarray) -> None:
    """Raise ValueError if `vectors` is empty, for libraries that would crash."""
    if not len(vectors):
        raise ValueError("there is no vector to index")


def folder_bytes(folder: Path, allocated: bool = False) -> int:
    """Return the bytes of all files under `folder`; `allocated` leaves out sparse files' holes."""
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    if allocated and all(hasattr(file, "st_blocks") for file in files):
        return sum(min(file.st_size, file.st_blocks * 512) for file in files)
    return sum(file.st_size for file in files)


def backends() -> dict[str, type[Backend]]:
    """Return every backend by name."""
    return registry.found("backends", Backend)


def clear_leftovers() -> None:
    """End the processes and remove the folders of all backends that killed processes left."""
    for backend in backends().values():
        backend.clear_leftovers()


def exhaustive_backends() -> set[str]:
    """Return the names of the backends that compare every vector."""
    return {name for name, backend in backends().items() if backend.exact}


def get_backend(name: str) -> type[Backend]:
    """Return the backend's class; raises UsageError with the near miss of an unknown name."""
    return registry.get("backends", Backend, name)
