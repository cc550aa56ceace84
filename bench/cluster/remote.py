"""What runs on a node: a worker under watch, a part of the exact pass, an encoder, and a server of
vectors where the run is."""

from __future__ import annotations

import copy
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from threadpoolctl import threadpool_limits

from bench import __version__, machine
from bench.cluster.fetching import corpus_rows, fetched_key, local_job
from bench.embeddings.sets import META, open_embeddings
from bench.encoders import Role, get_encoder
from bench.errors import UsageError
from bench.exact.scan import Pass, Scanned
from bench.files import cache_folder, clear, read_checked
from bench.measuring.exact_pass import transform_of
from bench.measuring.jobs import JOB, BuildJob, ExactKey
from bench.measuring.prepared import fitted_reducer, opened, restored_reducer
from bench.measuring.supervisor import Worker, clear_leftovers
from bench.measuring.workload import versions_of
from bench.reducers import PREFIX


def describe() -> dict[str, Any]:
    """Tidy what killed runs left on a node; return what a run has to know of it."""
    clear_leftovers()
    clear(cache_folder())
    return {
        "host": platform.node(),
        "version": __version__,
        "machine": machine.description(),
        "cores": machine.usable_cores(),
        "memory": psutil.virtual_memory().total,
    }


def run_job(
    text: str, timeout: float, memory_limit: float, wanted: dict[str, str], source: Any
) -> Iterator[str | tuple[str, str, int]]:
    """Run a job in a worker of this node: yield each event, then status, error and peak bytes.

    `wanted` are the versions of libraries that the rows will name; `source` is the `Source` of the
    run. Raises UsageError if this node has others.
    """
    job = local_job(JOB.validate_json(text), source)
    if isinstance(job, BuildJob):
        have = versions_of(job.index.backend)
        for library, version in wanted.items():
            if have.get(library) != version:
                raise UsageError(
                    f"the node {platform.node()} has {library} {have.get(library, 'not')}, the "
                    f"machine of the run {version}: install the same on all"
                )
    with Worker(job, timeout, memory_limit) as worker:
        for event in worker.events():
            yield event.model_dump_json()
    yield worker.status, worker.error, worker.peak_bytes


def scan_part(plan: Pass, text: str, first: int, end: int, threads: int, source: Any) -> Scanned:
    """Scan the documents from `first` to `end` for a pass; `text` is its `ExactKey`."""
    key = ExactKey.model_validate_json(text)
    documents = corpus_rows(key.data, first, end, source)
    reducer, is_fitted = restored_reducer(key)
    if reducer.kind != PREFIX and not is_fitted:
        # Without arrays of its own it takes the whole corpus.
        key = fetched_key(key, source)
        reducer = fitted_reducer(key, opened(key.data))
    plan = copy.deepcopy(plan)  # what came from another process cannot be written to
    cores = machine.usable_cores()[-threads:]
    plan.attach(documents, first, transform_of(reducer), len(cores))
    with threadpool_limits(1, user_api="blas"):
        return plan.scan()


class Encoding:
    """An encoder that stays loaded."""

    def __init__(self, spec: str, identity: str) -> None:
        """Load the encoder `spec`; raises UsageError if it is another than the run's."""
        self.model = get_encoder(spec)
        if self.model.identity != identity:
            raise UsageError(
                f"the encoder {spec} of the node {platform.node()} is another model or version "
                "than that of the machine of the run: install the same on all"
            )

    def encode(self, texts: list[str], role: Role) -> np.ndarray:
        """Return (n, D) float32."""
        return self.model.encode_full(texts, role)


class Source:
    """Serves the sets of a run's cache, each by its folder, to nodes that do not share it."""

    def meta(self, folder: Path) -> dict[str, Any]:
        """Return the description of a set."""
        found: dict[str, Any] = read_checked(folder / META)
        return found

    def shape(self, folder: Path, role: str) -> tuple[int, int]:
        """Return the shape of the vectors of a `role`, ``corpus`` or ``queries``."""
        n, width = self._vectors(folder, role).shape
        return n, width

    def rows(self, folder: Path, role: str, first: int, end: int) -> np.ndarray:
        """Return the vectors (n, D) float32 from `first` to `end`."""
        return np.array(self._vectors(folder, role)[first:end], dtype=np.float32)

    def kept(self, folder: Path, file: str) -> bytes | None:
        """Return a file of exact results or of a reducer; None if there is none."""
        path = folder / "exact" / file
        return path.read_bytes() if path.is_file() else None

    def _vectors(self, folder: Path, role: str) -> np.ndarray:
        found = open_embeddings(folder)
        return found.corpus if role == "corpus" else found.queries
