"""The embeddings of a run on a node: mapped where the cache is shared, else fetched once.

A node whose cache folder has the set, because the folder is shared or the node encoded the same
texts before, reads it there. Another one fetches what it needs from the run: the rows of a part of
the exact pass, or a whole set to build an index. Both stay in its cache.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import filelock
import numpy as np

from bench import machine
from bench.embeddings.sets import Embeddings, open_embeddings, write_meta
from bench.errors import DataError
from bench.files import cache_folder, make_folder, whole
from bench.measuring.jobs import BuildJob, Data, ExactJob, ExactKey, Job
from bench.measuring.prepared import reducer_file

_CHUNK_BYTES = 64 * 2**20
"""Vectors fetched at a time, while the next ones are on their way."""
_FETCHED = ".fetched"
"""End of the name of a set that came from the run."""


def on_own_cores(job: Job) -> Job:
    """Return a job with the cores of this machine in place of another's, as many of them."""
    own = machine.usable_cores()
    update: dict[str, Any] = {"cores": own[-len(job.cores) :]}
    if isinstance(job, BuildJob):
        update["machine_cores"] = own
    return job.model_copy(update=update)


def local_job(job: Job, source: Any) -> Job:
    """Return a job of the run as this node can run it, with all it needs in the node's cache."""
    job = on_own_cores(job)
    if isinstance(job, BuildJob | ExactJob):
        keys = {name: fetched_key(getattr(job, name), source) for name in ("exact", "full")}
        return job.model_copy(update=keys)
    return job


def fetched_key(key: ExactKey, source: Any) -> ExactKey:
    """Return a key whose set, exact results and fitted reducer lie in this node's cache."""
    import ray

    theirs = key.data.folder
    folder = cache_folder() / "sets" / theirs.name
    if _readable(folder) is None:
        folder = folder.with_name(f"{theirs.name}{_FETCHED}")
        _fetch_set(theirs, folder, source)
    own = key.model_copy(update={"data": key.data.model_copy(update={"folder": folder})})
    for path in (own.stem.with_suffix(".npz"), reducer_file(own)):
        if not path.exists():
            content = ray.get(source.kept.remote(theirs, path.name))
            if content is not None:
                make_folder(path.parent)
                with whole(path) as partial:
                    partial.write_bytes(content)
    return own


def corpus_rows(data: Data, first: int, end: int, source: Any) -> np.ndarray:
    """Return the documents of a set from `first` to `end`, (n, D) float32, mapped."""
    name = data.folder.name
    for folder in (name, f"{name}{_FETCHED}"):
        if (found := _readable(cache_folder() / "sets" / folder)) is not None:
            return np.asarray(found.corpus[first:end])
    path = _parts(name).with_name(f"{name}-{first}-{end}.npy")
    _fetch_rows(data.folder, "corpus", first, end, path, source)
    rows: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return rows


def _parts(name: str) -> Path:
    """Return the beginning of the paths of the parts of a corpus."""
    return cache_folder() / "parts" / name


def _readable(folder: Path) -> Embeddings | None:
    """Return the embeddings in a folder; None if it, or the vectors it names, are not here."""
    try:
        return open_embeddings(folder)
    except (OSError, ValueError, KeyError, DataError):
        return None


def _fetch_set(theirs: Path, folder: Path, source: Any) -> None:
    import ray

    make_folder(folder)
    with filelock.FileLock(folder.with_suffix(".lock")):
        if _readable(folder) is not None:
            return
        meta = ray.get(source.meta.remote(theirs))
        for role in ("corpus", "queries"):
            rows = ray.get(source.shape.remote(theirs, role))[0]
            path = cache_folder() / "matrices" / f"{theirs.name}-{role}.npy"
            _fetch_rows(theirs, role, 0, rows, path, source)
            meta[role] = path.stem
        # Ready ground truth stays with the run: what was found from it comes with the results.
        write_meta(folder, meta | {"truth": False})
    for part in _parts(theirs.name).parent.glob(f"{theirs.name}-*"):
        part.unlink(missing_ok=True)  # they are in the set now


def _fetch_rows(theirs: Path, role: str, first: int, end: int, path: Path, source: Any) -> None:
    """Write the vectors from `first` to `end` to `path`, unless it has them."""
    import ray

    make_folder(path.parent)
    with filelock.FileLock(path.with_suffix(".lock")):
        if path.exists():
            return
        width = ray.get(source.shape.remote(theirs, role))[1]
        step = max(1, _CHUNK_BYTES // (4 * width))
        starts = range(first, end, step)
        with whole(path) as partial, partial.open("wb") as file:
            np.lib.format.write_array_header_1_0(
                file, {"descr": "<f4", "fortran_order": False, "shape": (end - first, width)}
            )
            coming = [source.rows.remote(theirs, role, s, min(s + step, end)) for s in starts[:1]]
            for start in starts:
                rows = coming.pop()
                then = start + step
                if then < end:
                    coming.append(source.rows.remote(theirs, role, then, min(then + step, end)))
                file.write(ray.get(rows).data)
