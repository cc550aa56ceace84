"""What every backend must do, whoever wrote it: checks against brute force that ``python -m bench check NAME`` runs.

Each backend is checked in a process of its own, since some libraries cannot be loaded together.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import machine
from bench.backends import LIBRARY, Backend, get_backend
from bench.vectors import normalise

N = 2000
FLOORS = {"float32": 0.95, "float16": 0.95, "bfloat16": 0.93, "int8": 0.8, "int4": 0.5}
"""Recall against brute force in float32 that the widest setting must reach; other precisions promise less than a floor."""
BITS = {"float32": 32, "float16": 16, "bfloat16": 16, "int8": 8, "int4": 4}
"""Bits a component that an index cannot be smaller than; other precisions need not keep each component."""
DIMENSIONS = (8, 50, 128)
TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True)
class Check:
    """How one check of one backend and precision ended."""

    name: str
    ok: bool
    told: str
    """What was seen, or why it does not apply."""


class _NotApplicable(Exception):
    """A check that does not apply to a backend, and why."""


def conformance(name: str, precision: str, timeout: float = TIMEOUT_SECONDS) -> list[Check]:
    """Run every check on a backend at a precision, in a process of its own; a crash or hang is a failed check."""
    command = [sys.executable, "-m", "bench.testing", name, precision]
    environment = {**os.environ, **machine.thread_environment(1)}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, env=environment, check=False
        )
    except subprocess.TimeoutExpired:
        return [Check("process", False, f"took longer than {timeout:g} s")]
    lines = [
        line.removeprefix(_MARK) for line in done.stdout.splitlines() if line.startswith(_MARK)
    ]
    found = [Check(**json.loads(line)) for line in lines]
    if done.returncode or len(found) != len(_CHECKS):
        last = done.stderr.strip().splitlines()[-1:] or ["no word"]
        found.append(
            Check(
                "process",
                False,
                f"ended with {done.returncode} after {len(found)} checks: {last[0]}",
            )
        )
    return found


# ------------------------------------------------------------------------------------------------------------- the checks


def finds_what_brute_force_finds(cls: type[Backend], precision: str) -> str:
    """The widest setting reaches the recall that the precision allows, at three dimensions, one no multiple of 8."""
    told = []
    for d in DIMENSIONS:
        vectors, queries = _clustered(N, d), _clustered(40, d, seed=1)
        backend = _made(cls, vectors, precision)
        if backend is None:
            continue
        found = backend.search(queries, 10)
        backend.close()
        assert found.dtype == np.int64, f"ids are {found.dtype}, not int64"
        assert found.shape == (40, 10), f"ids have shape {found.shape}, not (40, 10)"
        share = _shared(found, np.argsort(-(queries @ vectors.T), axis=1, kind="stable")[:, :10])
        floor = 0.999 if cls.exact and precision == "float32" else FLOORS.get(precision, 0.05)
        assert share >= floor, f"recall {share:.3f} at {d} d, below {floor}"
        told.append(f"{share:.3f} at {d} d")
    return "recall " + ", ".join(told)


def best_comes_first_and_nothing_twice(cls: type[Backend], precision: str) -> str:
    """Ids stand in the order of their scores, none twice."""
    vectors = _clustered(N, 32)
    backend = _needed(cls, vectors, precision)
    found = backend.search(vectors[:20], 10)
    backend.close()
    assert all(len(set(row)) == 10 for row in found.tolist()), "an id stands twice"
    scores = np.einsum("qd,qkd->qk", vectors[:20], vectors[found])
    if precision == "float32":
        assert (np.diff(scores, axis=1) <= 1e-5).all(), "a better one comes later"
    assert scores[:, :3].mean() >= scores[:, -3:].mean(), "the last are better than the first"
    return ""


def same_seed_same_result(cls: type[Backend], precision: str) -> str:
    """Two indexes built alike answer alike."""
    vectors = _clustered(N, 32)
    answers = []
    for _ in range(2):
        backend = _needed(cls, vectors, precision)
        answers.append(backend.search(vectors[:50], 10))
        backend.close()
    if not cls.deterministic:
        raise _NotApplicable("it says that its builds are not alike")
    assert np.array_equal(answers[0], answers[1]), (
        f"{(answers[0] != answers[1]).mean():.1%} of the places differ"
    )
    return ""


def k_beyond_the_corpus_is_padded(cls: type[Backend], precision: str) -> str:
    """A corpus of one or of five vectors answers what it has, and -1 fills the rest."""
    for n in (1, 5):
        vectors = _clustered(n, 16)
        backend = _needed(cls, vectors, precision)
        found = backend.search(vectors[:1], 8)
        backend.close()
        assert found.shape == (1, 8), f"ids have shape {found.shape}, not (1, 8)"
        assert sorted(found[0][found[0] >= 0].tolist()) == list(range(n)), (
            f"of {n} vectors it finds {found[0].tolist()}"
        )
        assert (found[0][n:] == -1).all(), f"padding is not last: {found[0].tolist()}"
    return ""


def ids_follow_a_permutation(cls: type[Backend], precision: str) -> str:
    """The same vectors in another order give the same neighbours under their new ids."""
    vectors, queries = _clustered(N, 32), _clustered(40, 32, seed=1)
    order = np.random.default_rng(3).permutation(N)
    answers = []
    for data in (vectors, np.ascontiguousarray(vectors[order])):
        backend = _needed(cls, data, precision)
        answers.append(backend.search(queries, 10))
        backend.close()
    if cls.exact and precision == "float32":
        assert np.array_equal(order[answers[1]], answers[0]), (
            "an exact search finds others, or in another order"
        )
    share = _shared(order[answers[1]], answers[0])
    floor = 0.9 if precision in FLOORS else 0.2
    assert share >= floor, f"{share:.3f} are the same, below {floor}"
    return f"{share:.3f} are the same"


def wider_finds_no_less(cls: type[Backend], precision: str) -> str:
    """Search parameters change without a rebuild: the widest setting finds more than the narrowest, or both find all."""
    if not cls.search_grid:
        raise _NotApplicable("it has no search parameter")
    vectors, queries = _clustered(N, 64), _clustered(60, 64, seed=1)
    true = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    backend = _needed(cls, vectors, precision)
    shares, answers = [], []
    for edge in (0, -1):
        backend.configure(
            **{parameter: values[edge] for parameter, values in cls.search_grid.items()}
        )
        answers.append(backend.search(queries, 10))
        shares.append(_shared(answers[-1], true))
    backend.close()
    swept = any(len(values) > 1 for values in cls.search_grid.values())
    if swept and shares[0] < 0.995:
        assert not np.array_equal(answers[0], answers[1]), (
            f"the search parameters have no effect: recall {shares[0]:.3f} with any"
        )
    assert shares[1] >= shares[0] - (0.0 if precision in FLOORS else 0.05), (
        f"{shares[0]:.3f} narrow, {shares[1]:.3f} wide"
    )
    return f"recall {shares[0]:.3f} to {shares[1]:.3f}"


def size_is_that_of_something_written(cls: type[Backend], precision: str) -> str:
    """The size grows with the corpus and holds at least the components at their precision."""
    sizes: list[int] = []
    for n in (500, N):
        backend = _needed(cls, _clustered(n, 64), precision)
        size = backend.size_bytes()
        backend.close()
        if size is None:
            raise _NotApplicable("it does not tell")
        sizes.append(size)
    least = 500 * 64 * BITS.get(precision, 0.5) / 8
    assert least <= sizes[0] < sizes[1], (
        f"{sizes[0]:,} bytes of 500 vectors, {sizes[1]:,} of {N}; at least {least:,.0f}"
    )
    return f"{sizes[1] / N:.0f} bytes a vector at 64 d"


def a_saved_index_answers_alike(cls: type[Backend], precision: str) -> str:
    """What is saved and taken up by another finds what the built one finds."""
    if cls.kind != LIBRARY:
        raise _NotApplicable("a database keeps its own files")
    if cls.save is Backend.save:
        raise _NotApplicable("it does not say how")
    vectors = _clustered(N, 32)
    backend = _needed(cls, vectors, precision)
    built = backend.search(vectors[:50], 10)
    with tempfile.TemporaryDirectory() as folder:
        backend.save(Path(folder))
        backend.close()
        again = cls(precision, vectors.shape[1], 1)
        again.restore(Path(folder))
        again.configure(**_widest(cls))
        found = again.search(vectors[:50], 10)
        again.close()
    assert np.array_equal(found, built), f"{(found != built).mean():.1%} of the places differ"
    return ""


def its_own_rescore_reads_the_full_vectors(cls: type[Backend], precision: str) -> str:
    """A backend that rescores by itself finds what its own shortlist, sorted by the full vectors, holds."""
    if not cls.native_stages:
        raise _NotApplicable("it does not rescore by itself")
    vectors, queries = _clustered(N, 32), _clustered(40, 32, seed=1)
    backend = cls(precision, 16, 1)
    backend.build(
        vectors, **{parameter: values[-1] for parameter, values in cls.build_grid.items()}
    )
    backend.configure(**_widest(cls))
    shortlists, found = backend.search(queries, 60), backend.search_stages(queries, 60, 10)
    backend.close()
    scores = np.einsum("qd,qkd->qk", queries, vectors[shortlists])
    true = np.take_along_axis(
        shortlists, np.argsort(-scores, axis=1, kind="stable")[:, :10], axis=1
    )
    share = _shared(found, true)
    assert share >= 0.99, f"{share:.3f} of its results are those of the shortlist's best"
    return f"{share:.3f} are the shortlist's best"


def batch_and_single_queries_agree(cls: type[Backend], precision: str) -> str:
    """A batch finds what its queries find one by one."""
    vectors = _clustered(N, 32)
    backend = _needed(cls, vectors, precision)
    singles = np.concatenate([backend.search(vectors[i : i + 1], 10) for i in range(20)])
    batch = backend.search(vectors[:20], 10)
    backend.close()
    assert np.array_equal(batch, singles), f"{(batch != singles).mean():.1%} of the places differ"
    return ""


def input_is_left_alone(cls: type[Backend], precision: str) -> str:
    """Neither building nor searching writes to the vectors it is given."""
    vectors, queries = _clustered(500, 32), _clustered(10, 32, seed=1)
    kept = vectors.copy(), queries.copy()
    backend = _needed(cls, vectors, precision)
    backend.search(queries, 5)
    backend.close()
    assert np.array_equal(vectors, kept[0]), "the corpus was changed"
    assert np.array_equal(queries, kept[1]), "the queries were changed"
    return ""


def memory_comes_back(cls: type[Backend], precision: str) -> str:
    """Closing and dropping an index several times over does not pile its memory up."""
    vectors = _clustered(4 * N, 128)
    taken = []
    for _ in range(5):
        backend = _needed(cls, vectors, precision)
        backend.search(vectors[:5], 5)
        backend.close()
        del backend
        gc.collect()
        taken.append(machine.unique_bytes())
    grown = taken[-1] - taken[1]
    if not cls.returns_memory:
        raise _NotApplicable(
            f"it says that it keeps it ({grown / 2**20:+.1f} MiB over three indexes)"
        )
    assert grown < 3 * vectors.nbytes, (
        f"{grown / 2**20:.0f} MiB more after three more indexes of {vectors.nbytes / 2**20:.0f} MiB"
    )
    return f"{grown / 2**20:+.1f} MiB over three indexes"


def threads_are_held(cls: type[Backend], precision: str) -> str:
    """With one thread allowed no more than one is started, or the backend says that it starts its own."""
    before = machine.threads_running()
    vectors = _clustered(N, 64)
    backend = _needed(cls, vectors, precision)
    backend.search(vectors[:100], 10)
    started = machine.threads_running() - before
    backend.close()
    assert cls.own_threads or started <= 1, (
        f"{started} threads started, and it does not say that it starts its own"
    )
    return f"{started} started"


def an_empty_corpus_is_empty_or_refused(cls: type[Backend], precision: str) -> str:
    """No vectors at all find nothing, or raise an error that names the cause; the process lives."""
    vectors = _clustered(1, 16)
    try:
        backend = _needed(cls, vectors[:0], precision)
        found = backend.search(vectors, 3)
        backend.close()
    except Exception as error:  # a library may raise anything
        return f"refused: {type(error).__name__}"
    assert found.shape == (1, 3), f"ids have shape {found.shape}, not (1, 3)"
    assert (found == -1).all(), f"of no vectors it finds {found[0].tolist()}"
    return "finds nothing"


_CHECKS: tuple[Callable[[type[Backend], str], str], ...] = (
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
    # Last: what dies of it has kept every other rule.
    an_empty_corpus_is_empty_or_refused,
)
_MARK = "conformance: "


# ---------------------------------------------------------------------------------------------------------------- helpers


def _made(cls: type[Backend], vectors: np.ndarray, precision: str) -> Backend | None:
    """Return an index at the last values of the grids, or None where the backend does not take the dimension."""
    d = vectors.shape[1]
    backend = cls(precision, d, 1)
    # A parameter that is itself a dimension cannot exceed that of the vectors.
    build: dict[str, Any] = {
        p: min(v[-1], d) if p.endswith("_dimension") else v[-1] for p, v in cls.build_grid.items()
    }
    try:
        backend.build(vectors, **build)
    except ValueError as error:
        if "does not divide the dimension" not in str(error):
            raise
        return None
    backend.configure(**_widest(cls))
    return backend


def _widest(cls: type[Backend]) -> dict[str, Any]:
    return {parameter: values[-1] for parameter, values in cls.search_grid.items()}


def _needed(cls: type[Backend], vectors: np.ndarray, precision: str) -> Backend:
    backend = _made(cls, vectors, precision)
    assert backend is not None, f"it does not take {vectors.shape[1]} dimensions"
    return backend


def _clustered(n: int, d: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).standard_normal((20, d))
    return normalise(centres[rng.integers(20, size=n)] + 0.5 * rng.standard_normal((n, d)))


def _shared(found: np.ndarray, true: np.ndarray) -> float:
    return float(
        np.mean(
            [
                len(set(a) & set(b)) / len(b)
                for a, b in zip(found.tolist(), true.tolist(), strict=True)
            ]
        )
    )


def main() -> None:
    """Run the checks on the backend and precision that the command line names; a line of JSON each."""
    cls, precision = get_backend(sys.argv[1]), sys.argv[2]
    cls.load()
    for check in _CHECKS:
        try:
            ok, told = True, check(cls, precision)
        except _NotApplicable as reason:
            ok, told = True, f"does not apply: {reason}"
        except AssertionError as error:
            ok, told = False, str(error)
        except Exception as error:  # a library may raise anything
            where = traceback.extract_tb(error.__traceback__)[-1]
            ok, told = False, f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        print(_MARK + json.dumps(vars(Check(check.__name__, ok, told))), flush=True)


if __name__ == "__main__":
    main()
