"""The rules themselves: each builds indexes over made vectors and looks at what they find."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.backends import LIBRARY, REFERENCE, Backend, UnsupportedDimension, get_backend
from bench.backends.precisions import FLOAT32, Precision
from bench.vectors import normalise

N = 2000
"""Vectors in most of the corpora."""
DIMENSIONS = (8, 50, 128)
"""Dimensions at which recall is checked; one is not a multiple of 8."""
_COARSE = 0.5
"""A precision with a lower recall floor is too coarse for two searches to agree closely."""
_LEAST_BITS = 0.5
"""Least bits per component of an index whose precision does not declare them."""
_TRIES = 3
"""Times that memory is seen to grow before it counts as a leak."""


class Broken(Exception):
    """A rule is broken; the message is the reason.

    Not an `assert`: ``python -O`` removes those, and every backend would pass.
    """


class NotApplicable(Exception):
    """A rule does not apply to a backend; the message is the reason."""


# --------------------------------------------------------------------------------------- the rules


def finds_what_brute_force_finds(cls: type[Backend], precision: Precision) -> str:
    """The widest setting reaches the precision's recall floor at each of `DIMENSIONS`."""
    floor = 0.999 if cls.exact and precision == FLOAT32 else precision.recall_floor
    seen = []
    for d in DIMENSIONS:
        vectors, queries = _clustered(N, d), _clustered(40, d, seed=1)
        backend = _built_if_supported(cls, vectors, precision)
        if backend is None:
            continue
        ids = backend.search(queries, 10)
        backend.close()
        _require(ids.dtype == np.int64, f"ids are {ids.dtype}, not int64")
        _require(ids.shape == (40, 10), f"ids have shape {ids.shape}, not (40, 10)")
        recall = _overlap(ids, _brute_force(queries, vectors))
        _require(recall >= floor, f"recall {recall:.3f} at {d} d, below {floor}")
        seen.append(f"{recall:.3f} at {d} d")
    _require(bool(seen), f"no dimension of {', '.join(map(str, DIMENSIONS))} is supported")
    return "recall " + ", ".join(seen)


def best_comes_first_and_nothing_twice(cls: type[Backend], precision: Precision) -> str:
    """Ids are sorted by score, without duplicates."""
    vectors = _clustered(N, 32)
    backend = _built(cls, vectors, precision)
    ids = backend.search(vectors[:20], 10)
    backend.close()
    _require(all(len(set(row)) == 10 for row in ids.tolist()), "duplicate ids in a result")
    scores = np.einsum("qd,qkd->qk", vectors[:20], vectors[ids])
    if precision == FLOAT32:
        falling = bool((np.diff(scores, axis=1) <= 1e-5).all())
        _require(falling, "a better id comes after a worse one")
    first, last = scores[:, :3].mean(), scores[:, -3:].mean()
    _require(first >= last, "the last ids score higher than the first")
    return ""


def same_seed_same_result(cls: type[Backend], precision: Precision) -> str:
    """Two builds over the same vectors give the same results, unless declared otherwise."""
    if not cls.deterministic:
        raise NotApplicable("builds are declared not deterministic")
    vectors = _clustered(N, 32)
    results = []
    for _ in range(2):
        backend = _built(cls, vectors, precision)
        results.append(backend.search(vectors[:50], 10))
        backend.close()
    _require_equal(results[0], results[1])
    return ""


def k_beyond_the_corpus_is_padded(cls: type[Backend], precision: Precision) -> str:
    """A corpus of one or five vectors returns all of them, padded with -1."""
    for n in (1, 5):
        vectors = _clustered(n, 16)
        backend = _built(cls, vectors, precision)
        ids = backend.search(vectors[:1], 8)
        backend.close()
        _require(ids.shape == (1, 8), f"ids have shape {ids.shape}, not (1, 8)")
        row = ids[0].tolist()
        _require(sorted(i for i in row if i >= 0) == list(range(n)), f"{n} vectors give {row}")
        _require(set(row[n:]) == {-1}, f"padding is not last: {row}")
    return ""


def ids_follow_a_permutation(cls: type[Backend], precision: Precision) -> str:
    """The same vectors in another order give the same neighbours, under their new ids."""
    vectors, queries = _clustered(N, 32), _clustered(40, 32, seed=1)
    order = np.random.default_rng(3).permutation(N)
    results = []
    for data in (vectors, np.ascontiguousarray(vectors[order])):
        backend = _built(cls, data, precision)
        results.append(backend.search(queries, 10))
        backend.close()
    if cls.exact and precision == FLOAT32:
        same = np.array_equal(order[results[1]], results[0])
        _require(same, "an exact search gives other neighbours, or another order")
    share = _overlap(order[results[1]], results[0])
    floor = 0.9 if precision.recall_floor >= _COARSE else 0.2
    _require(share >= floor, f"{share:.3f} are the same, below {floor}")
    return f"{share:.3f} are the same"


def wider_finds_no_less(cls: type[Backend], precision: Precision) -> str:
    """Search parameters take effect without a rebuild, and the widest setting finds no less."""
    if not cls.search_grid:
        raise NotApplicable("no search parameters")
    vectors, queries = _clustered(N, 64), _clustered(60, 64, seed=1)
    true = _brute_force(queries, vectors)
    backend = _built(cls, vectors, precision)
    results = []
    for edge in (0, -1):
        backend.configure(**{name: values[edge] for name, values in cls.search_grid.items()})
        results.append(backend.search(queries, 10))
    backend.close()
    narrow, wide = (_overlap(ids, true) for ids in results)
    swept = any(len(values) > 1 for values in cls.search_grid.values())
    if swept and narrow < 0.995 and np.array_equal(results[0], results[1]):
        # Codes of few bits can lose all that is lost, so that the narrowest search misses nothing.
        whole = _exhaustive(precision, vectors, queries)
        missed = whole is None or _overlap(results[0], whole) < 0.995
        _require(not missed, f"search parameters have no effect: recall {narrow:.3f} with any")
    slack = 0.0 if precision.recall_floor >= _COARSE else 0.05
    _require(wide >= narrow - slack, f"recall {narrow:.3f} narrow, {wide:.3f} wide")
    return f"recall {narrow:.3f} to {wide:.3f}"


def size_is_that_of_something_written(cls: type[Backend], precision: Precision) -> str:
    """The size grows with the corpus, and holds at least the components at their precision."""
    sizes: list[int] = []
    for n in (500, N):
        backend = _built(cls, _clustered(n, 64), precision)
        size = backend.size_bytes()
        backend.close()
        if size is None:
            raise NotApplicable("the size is unknown")
        sizes.append(size)
    least = 500 * 64 * (precision.bits or _LEAST_BITS) / 8
    seen = f"{sizes[0]:,} bytes for 500 vectors, {sizes[1]:,} for {N}"
    _require(least <= sizes[0] < sizes[1], f"{seen}; at least {least:,.0f} expected")
    return f"{sizes[1] / N:.0f} bytes per vector at 64 d"


def a_saved_index_answers_alike(cls: type[Backend], precision: Precision) -> str:
    """A saved and restored index gives the results of the built one."""
    if cls.kind != LIBRARY:
        raise NotApplicable("a database keeps its own files")
    if cls.save is Backend.save:
        raise NotApplicable("saving is not supported")
    vectors = _clustered(N, 32)
    backend = _built(cls, vectors, precision)
    built = backend.search(vectors[:50], 10)
    with tempfile.TemporaryDirectory() as folder:
        backend.save(Path(folder))
        backend.close()
        restored = cls(precision.name, vectors.shape[1], 1)
        restored.restore(Path(folder))
        restored.configure(**_widest(cls))
        ids = restored.search(vectors[:50], 10)
        restored.close()
    _require_equal(ids, built)
    return ""


def its_own_rescore_reads_the_full_vectors(cls: type[Backend], precision: Precision) -> str:
    """A native rescore returns the best of the backend's own shortlist, by the full vectors."""
    if not cls.native_stages:
        raise NotApplicable("no rescore of its own")
    vectors, queries = _clustered(N, 32), _clustered(40, 32, seed=1)
    backend = cls(precision.name, 16, 1)
    backend.build(vectors, **_last_of_grid(cls, 16))
    backend.configure(**_widest(cls))
    shortlists, ids = backend.search(queries, 60), backend.search_stages(queries, 60, 10)
    backend.close()
    scores = np.einsum("qd,qkd->qk", queries, vectors[shortlists])
    best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    share = _overlap(ids, np.take_along_axis(shortlists, best, axis=1))
    _require(share >= 0.99, f"{share:.3f} of its results are the shortlist's best")
    return f"{share:.3f} are the shortlist's best"


def batch_and_single_queries_agree(cls: type[Backend], precision: Precision) -> str:
    """A batch gives the results of its queries one by one."""
    vectors = _clustered(N, 32)
    backend = _built(cls, vectors, precision)
    singles = [backend.search(vectors[i : i + 1], 10) for i in range(20)]
    batch = backend.search(vectors[:20], 10)
    backend.close()
    _require_equal(batch, np.concatenate(singles))
    return ""


def input_is_left_alone(cls: type[Backend], precision: Precision) -> str:
    """Neither `build` nor `search` writes to its arguments."""
    vectors, queries = _clustered(500, 32), _clustered(10, 32, seed=1)
    before = vectors.copy(), queries.copy()
    backend = _built(cls, vectors, precision)
    backend.search(queries, 5)
    backend.close()
    _require(np.array_equal(vectors, before[0]), "the corpus was changed")
    _require(np.array_equal(queries, before[1]), "the queries were changed")
    return ""


def memory_comes_back(cls: type[Backend], precision: Precision) -> str:
    """Closing an index frees its memory, unless the backend declares otherwise."""
    vectors = _clustered(4 * N, 128)
    mebibyte = 2**20
    # A leak grows with every index, so it raises mean and median; a single jump does not. What
    # a library keeps while it warms up may take some indexes: a leak goes on after them.
    for _ in range(_TRIES):
        used = [_used_after_one(cls, vectors, precision) for _ in range(5)]
        steps = np.diff(used[1:])
        grown = min(float(np.mean(steps)), float(np.median(steps)))
        if grown < vectors.nbytes:
            break
    seen = f"{grown / mebibyte:+.1f} MiB per index"
    if not cls.returns_memory:
        raise NotApplicable(f"declared not to free memory ({seen})")
    _require(grown < vectors.nbytes, f"{seen} of {vectors.nbytes / mebibyte:.0f} MiB")
    return seen


def _used_after_one(cls: type[Backend], vectors: np.ndarray, precision: Precision) -> int:
    backend = _built(cls, vectors, precision)
    backend.search(vectors[:5], 5)
    backend.close()
    del backend
    return machine.unique_bytes()


def threads_are_held(cls: type[Backend], precision: Precision) -> str:
    """With one thread allowed, at most one is started, unless the backend declares otherwise."""
    before = machine.threads_running()
    vectors = _clustered(N, 64)
    backend = _built(cls, vectors, precision)
    backend.search(vectors[:100], 10)
    started = machine.threads_running() - before
    backend.close()
    allowed = cls.own_threads or started <= 1
    _require(allowed, f"{started} threads started, but `own_threads` is not declared")
    return f"{started} started"


def an_empty_corpus_is_empty_or_refused(cls: type[Backend], precision: Precision) -> str:
    """An empty corpus gives no results, or raises; the process survives."""
    vectors = _clustered(1, 16)
    try:
        backend = _built(cls, vectors[:0], precision)
        ids = backend.search(vectors, 3)
        backend.close()
    except Exception as error:  # a library may raise anything
        return f"refused: {type(error).__name__}"
    _require(ids.shape == (1, 3), f"ids have shape {ids.shape}, not (1, 3)")
    _require(bool((ids == -1).all()), f"an empty corpus gives {ids[0].tolist()}")
    return "no results"


RULES: tuple[Callable[[type[Backend], Precision], str], ...] = (
    finds_what_brute_force_finds,
    best_comes_first_and_nothing_twice,
    same_seed_same_result,
    k_beyond_the_corpus_is_padded,
    ids_follow_a_permutation,
    wider_finds_no_less,
    size_is_that_of_something_written,
    a_saved_index_answers_alike,
    its_own_rescore_reads_the_full_vectors,
    batch_and_single_queries_agree,
    input_is_left_alone,
    memory_comes_back,
    threads_are_held,
    # Last, since it may crash the process: all other results are then known.
    an_empty_corpus_is_empty_or_refused,
)
"""Each returns what it observed, and raises `Broken` or `NotApplicable`."""


# ----------------------------------------------------------------------------------------- helpers


def _require(ok: bool, reason: str) -> None:
    """Raise Broken with `reason` unless `ok`."""
    if not ok:
        raise Broken(reason)


def _require_equal(ids: np.ndarray, expected: np.ndarray) -> None:
    """Raise Broken unless both (q, k) results are the same."""
    _require(ids.shape == expected.shape, f"ids have shape {ids.shape}, not {expected.shape}")
    differing = float(np.mean(ids != expected))
    _require(differing == 0, f"{differing:.1%} of the ids differ")


def _built_if_supported(
    cls: type[Backend], vectors: np.ndarray, precision: Precision
) -> Backend | None:
    """Return an index at the last values of the grids; None if the dimension is unsupported."""
    d = vectors.shape[1]
    backend = cls(precision.name, d, 1)
    try:
        backend.build(vectors, **_last_of_grid(cls, d))
    except UnsupportedDimension:
        return None
    backend.configure(**_widest(cls))
    return backend


def _built(cls: type[Backend], vectors: np.ndarray, precision: Precision) -> Backend:
    """As `_built_if_supported`; raises Broken if the dimension is not supported."""
    backend = _built_if_supported(cls, vectors, precision)
    if backend is None:
        raise Broken(f"{vectors.shape[1]} dimensions are not supported")
    return backend


def _last_of_grid(cls: type[Backend], d: int) -> dict[str, Any]:
    """Return the last value of each build parameter, those that are dimensions capped at `d`."""
    last = {name: values[-1] for name, values in cls.build_grid.items()}
    return last | {name: min(last[name], d) for name in cls.dimension_parameters}


def _widest(cls: type[Backend]) -> dict[str, Any]:
    return {name: values[-1] for name, values in cls.search_grid.items()}


def _clustered(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Return (n, d) float32 unit vectors in 20 clusters, which do not depend on the seed."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((20, d))
    return normalise(centres[rng.integers(20, size=n)] + 0.5 * rng.standard_normal((n, d)))


def _brute_force(queries: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the ids of the ten nearest, (q, 10)."""
    return np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10]


def _exhaustive(
    precision: Precision, vectors: np.ndarray, queries: np.ndarray
) -> np.ndarray | None:
    """Return what the reference finds at a precision, (q, 10); None if it does not have it."""
    reference = get_backend(REFERENCE)
    if precision.name not in reference.precision_names():
        return None
    backend = _built(reference, vectors, precision)
    found = backend.search(queries, 10)
    backend.close()
    return found


def _overlap(ids: np.ndarray, true: np.ndarray) -> float:
    """Return the mean share of each row of `true` that is in the same row of `ids`."""
    rows = zip(ids.tolist(), true.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in rows]))
