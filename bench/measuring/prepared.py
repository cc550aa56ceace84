"""What a worker prepares before it measures: embeddings, the reducer, reduced vectors, exact results."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from bench.embeddings import Embeddings, open_embeddings
from bench.reducers import Reducer, get_reducer
from bench.study.plan import parameters
from bench.vectors import normalise, truncate

_ROWS = 16_384


def reduced(reducer: Reducer, corpus: np.ndarray, dimension: int) -> np.ndarray:
    """Return the whole corpus at `dimension`, (n, d) float32 unit length, without a second full-width copy."""
    reduced = np.empty((len(corpus), dimension), dtype=np.float32)
    for start in range(0, len(corpus), _ROWS):
        reduced[start : start + _ROWS] = truncate(
            reducer.map(normalise(corpus[start : start + _ROWS])), dimension
        )
    return reduced


_EXACT_LAYOUT = 4
"""Of the files that keep exact results and fitted reducers; another number makes them afresh."""


def exact_path(embeddings_folder: Path, job: dict[str, Any]) -> Path:
    """Return where the exact results of a reducer are kept: beside the embeddings, keyed by all that they depend on."""
    parts = [
        _EXACT_LAYOUT,
        *(
            job[key]
            for key in ("reducer", "reducer_params", "dimensions", "depth", "max_queries", "seed")
        ),
        job.get("reducer_identity", ""),
    ]
    digest = hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()
    return embeddings_folder / "exact" / f"{digest}.npz"


def _relevant(embeddings: Embeddings) -> tuple[np.ndarray, np.ndarray]:
    """Return the judged relevant pairs as positions of queries (p,) and of documents (p,), int64; none without judgements."""
    pairs = [
        (row, int(document))
        for row, query in enumerate(embeddings.query_ids)
        for document, grade in (embeddings.qrels or {}).get(query, {}).items()
        if grade > 0
    ]
    rows, documents = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return rows, documents


def _embeddings(job: dict[str, Any]) -> Embeddings:
    return open_embeddings(
        Path(job["embeddings"]), max_queries=job["max_queries"], seed=job["seed"]
    )


def _reducer(embeddings: Embeddings, job: dict[str, Any]) -> Reducer:
    """Return the fitted reducer: the first child fits it and keeps it beside the exact results, the others read it."""
    kept = exact_path(embeddings.folder, job).with_suffix(".reducer")
    with contextlib.suppress(
        OSError, EOFError, ImportError, AttributeError, pickle.UnpicklingError
    ):
        found: Reducer = pickle.loads(kept.read_bytes())
        return found
    reducer = get_reducer(job["reducer"])(job["encoder"], **parameters(job["reducer_params"]))
    reducer.fit(embeddings.corpus)
    kept.parent.mkdir(exist_ok=True)
    unfinished = kept.with_name(f".{kept.stem}.{os.getpid()}.partial.reducer")
    with contextlib.suppress(
        TypeError, AttributeError, pickle.PicklingError
    ):  # one that cannot be kept is fitted anew
        unfinished.write_bytes(pickle.dumps(reducer))
        unfinished.replace(kept)
    return reducer


def _plain() -> Reducer:
    return get_reducer("truncate")()
