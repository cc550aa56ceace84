"""Targets that read the cache: what is damaged is made anew, so that nobody sees it.

The numbers of a matrix have no checksum, since nobody wants to read gigabytes at each start: of a
matrix, shape and type are compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from bench.datasets import Dataset, _sources
from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.embeddings.smaller import smaller
from bench.errors import UsageError
from bench.exact.one_pass import Exact
from bench.measuring.jobs import Data, ExactKey
from bench.measuring.prepared import ExactResults, _kept, fitted_reducer, plain
from bench.measuring.subsets import subset_columns
from tests.fuzz.target import Target

N, D, Q = 24, 4, 8
_VECTORS = np.random.default_rng(0).standard_normal((N, D)).astype(np.float32)
_DATA = Dataset(
    name="d",
    fingerprint="f",
    doc_ids=[f"d{i}" for i in range(N)],
    query_ids=[f"q{i}" for i in range(Q)],
    corpus_vectors=_VECTORS,
    query_vectors=_VECTORS[:Q] + np.float32(0.1),
    qrels={f"q{i}": {f"d{i}": 1, f"d{i + 1}": 2, "gone": 1} for i in range(Q)},
    truth=np.tile(np.arange(3), (Q, 1)),
    groups=["g", "h"] * (Q // 2),
)


def _embedded(cache: Path) -> Embeddings:
    with patch("bench.embeddings.load_dataset", lambda name, split: _DATA):
        return embed("d", cache=cache, progress=False)


def _seen(found: Embeddings) -> Any:
    """Return what is seen of embeddings but for the numbers of the vectors."""
    pairs = [each.tolist() for each in found.relevant_pairs()]
    texts = found.query_ids, found.qrels, found.groups, found.notes, list(found.doc_ids)
    truth = None if found.truth is None else found.truth.tolist()
    return found.corpus.shape, found.corpus.dtype, found.queries.shape, pairs, texts, truth


def _set(folder: Path, rng: random.Random, part: bool = False) -> None:
    found = _embedded(folder)
    if part:
        smaller(found, 16)
    for lock in folder.glob("*.lock"):
        lock.unlink()


def _read_set(folder: Path, part: bool = False) -> Any:
    found = _embedded(folder)
    return _seen(smaller(found, 16) if part else found)


def _in_worker(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """Refuse what cannot be written, as the runner does with the error of a worker."""

    @wraps(read)
    def reported(folder: Path) -> Any:
        try:
            return read(folder)
        except OSError as error:
            raise UsageError(str(error)) from error

    return reported


def _key(folder: Path, reducer: str = "pca") -> ExactKey:
    return ExactKey(
        data=Data(folder=folder, encoder="", max_queries=None, seed=0),
        reducer=reducer,
        reducer_params="",
        reducer_key="k",
        dimensions=(2, D),
        depth=3,
    )


def _found() -> Exact:
    ids = np.tile(np.arange(3), (Q, 1))
    return Exact(
        {d: (ids + d, np.zeros(ids.shape, np.float32)) for d in (2, D)},
        {d: (np.zeros(5, np.float32), np.arange(5) + d) for d in (2, D)},
    )


def _exact(folder: Path, rng: random.Random) -> None:
    ExactResults(_key(folder)).save(_found(), N)


@_in_worker
def _read_exact(folder: Path) -> Any:
    results = ExactResults(_key(folder))
    if not results.exist():
        results.save(_found(), N)
    return [[results.ids(d).tolist(), results.ranks(d).tolist()] for d in (2, D)]


def _reducer(folder: Path, rng: random.Random) -> None:
    fitted_reducer(_key(folder), _shell(folder))


@_in_worker
def _read_reducer(folder: Path) -> Any:
    mapped = fitted_reducer(_key(folder), _shell(folder)).map(_VECTORS)
    assert mapped.shape == (N, D)
    return mapped.tobytes()


def _shell(folder: Path) -> Any:
    return SimpleNamespace(corpus=_VECTORS, folder=folder, full_dim=D, check_unchanged=lambda: None)


def _unit(folder: Path, rng: random.Random) -> None:
    _kept(folder / "unit.npy", plain(), _shell(folder))


@_in_worker
def _read_unit(folder: Path) -> Any:
    found = _kept(folder / "unit.npy", plain(), _shell(folder))
    return found.shape, found.dtype


@_in_worker
def _read_subsets(folder: Path) -> Any:
    found = Embeddings(
        folder, "", "d", "f", "", False, (), _VECTORS, False, _VECTORS[:Q], _DATA.query_ids,
        None, None, None, (),
    )  # fmt: skip
    job = SimpleNamespace(exact=_key(folder), subsets=5)
    return sorted(subset_columns(job, found, lambda done: None))  # type: ignore[arg-type]


def _read_parsed(folder: Path) -> Any:
    made = [["a.b", "text ü"], ["c", "more"]]
    with patch.dict("os.environ", {"MATRYOSHKA_BENCH_CACHE": str(folder)}):
        return _sources.cached("pydoc", "1", ["numpy"], lambda: made)


def _made(read: Callable[[Path], Any]) -> Callable[[Path, random.Random], None]:
    """Return a `make` for what the first reader makes."""
    return lambda folder, rng: read(folder)


CACHE = {
    "set": Target(_set, _read_set, only="sets/*/*", same=True, share=0.5),
    "record": Target(_set, _read_set, only="ingested/*.json", same=True, share=0.3),
    "matrix": Target(_set, _read_set, only="matrices/*.npy", same=True, share=0.3),
    "part": Target(
        partial(_set, part=True), partial(_read_set, part=True), only="*.*", same=True, share=0.1
    ),
    "exact": Target(_exact, _read_exact, same=True),
    "reducer": Target(_reducer, _read_reducer, same=True),
    "unit": Target(_unit, _read_unit, same=True),
    "subsets": Target(_made(_read_subsets), _read_subsets, same=True, share=0.1),
    "parsed": Target(_made(_read_parsed), _read_parsed, same=True),
}
