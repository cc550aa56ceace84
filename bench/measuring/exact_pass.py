"""The exact pass with one reducer: neighbours at every dimension in one read of the corpus."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.embeddings.sets import Embeddings
from bench.exact.one_pass import exact_search
from bench.exact.scan import Exact, Transform
from bench.measuring.jobs import (
    Emit,
    ExactJob,
    ExactKey,
    Measured,
    Progressed,
    QueryRows,
    Ready,
    Started,
    now,
)
from bench.measuring.prepared import ExactResults, fitted_reducer, opened
from bench.measuring.relevant import RelevantDocuments
from bench.measuring.subsets import subset_columns
from bench.measuring.untimed import Untimed
from bench.quality.scorer import Scorer, cosines
from bench.reducers import PREFIX, Reducer
from bench.study.plan import Trial, parameters
from bench.study.schema import reads_texts
from bench.vectors import normalise

_OF_EXACT_SEARCH = (
    "ann_recall_at_10",
    "ann_recall_at_10_low",
    "ann_recall_at_10_high",
    "ann_recall_at_10_worst_tenth",
    "ann_recall_at_10_p5",
)
_TOLD_SECONDS = 0.5


def run_exact(job: ExactJob, emit: Emit) -> None:
    """Find the exact results unless they are kept; emit one row per dimension, at full depth."""
    embeddings, results = opened(job.exact.data), ExactResults(job.exact)
    reducer = fitted_reducer(job.exact, embeddings)
    if not results.exist():
        search = partial(exact_search, progress=_telling(len(embeddings.corpus), emit))
        found = found_by(search, job.exact, embeddings, reducer)
        embeddings.check_unchanged()
        results.save(found, len(embeddings.corpus))
    emit(Ready())
    if not job.trials:
        return
    scorer = Scorer(
        embeddings, ExactResults(job.full).ids(embeddings.full_dim), job.exact.data.seed
    )
    subsets = subset_columns(job, embeddings, _telling(job.subsets, emit)) if job.subsets else {}
    relevant = None if embeddings.qrels is None else RelevantDocuments(embeddings)
    untimed = Untimed(job, embeddings, reducer, results)
    for trial_id, trial in job.trials.items():
        emit(Started(trial_id=trial_id))
        started = now()
        if trial.is_exact_pass:
            row, queries = _exact_row(trial, embeddings, reducer, results, scorer)
            row |= subsets.get(trial.dim, {})
            caution = ""
            ranks = None if relevant is None else results.ranks(trial.dim)
        else:
            row, queries = _untimed_row(trial, embeddings, untimed, scorer)
            caution, ranks = untimed.caution(trial), untimed.ranks(trial)
        if relevant is not None and ranks is not None:
            queries = queries.model_copy(update=relevant.columns(ranks))
        cautions = " ".join(filter(None, [reducer.caution(trial.dim), caution]))
        row |= {"status": "ok", "started_at": started, "caution": cautions}
        emit(Measured(trial_id=trial_id, row=row, queries=queries))


def _exact_row(
    trial: Trial, embeddings: Embeddings, reducer: Reducer, results: ExactResults, scorer: Scorer
) -> tuple[dict[str, Any], QueryRows]:
    """Score what exact search found; return columns of the row and of its queries."""
    ids = results.ids(trial.dim)
    is_full = reducer.kind == PREFIX and trial.dim == embeddings.full_dim
    scored = scorer.score(ids[:, : trial.k], ids, ids, is_full=is_full)
    row = {
        "bytes_per_vector": trial.dim * 4.0,
        "code_bytes": trial.dim * 4.0,
        **dict.fromkeys(_OF_EXACT_SEARCH, 1.0),
        **scored.row,
    }
    if "loss_dimension" in row:
        row |= {"loss_precision": 0.0, "loss_search": 0.0}
    return row, QueryRows(query_id=embeddings.query_ids, found=None, **scored.by_query)


def _untimed_row(
    trial: Trial, embeddings: Embeddings, untimed: Untimed, scorer: Scorer
) -> tuple[dict[str, Any], QueryRows]:
    """Do as `_exact_row` at the trial's precision, and after its rescore."""
    exact, precise = untimed.found(trial)
    texts = reads_texts(parameters(trial.stages))
    scored = scorer.score(precise, exact, precise, reads_texts=texts)
    row = {**untimed.sizes(trial), **scored.row}
    if "loss_dimension" in row:
        row["loss_search"] = 0.0
    return row, QueryRows(query_id=embeddings.query_ids, found=precise.tolist(), **scored.by_query)


def found_by(
    search: Callable[..., Exact], key: ExactKey, embeddings: Embeddings, reducer: Reducer
) -> Exact:
    """Search exactly at every dimension; ready ground truth saves the full one.

    `search` takes the arguments of `exact_search`.
    """
    dimensions = key.dimensions
    ready = _ready(key, embeddings) if reducer.kind == PREFIX else None
    if ready is not None:
        dimensions = tuple(d for d in dimensions if d != embeddings.full_dim)
    found = Exact({}, {})
    if dimensions:
        found = search(
            embeddings.queries,
            embeddings.corpus,
            dimensions,
            key.depth,
            transform=transform_of(reducer),
            own=embeddings.own,
            relevant=embeddings.relevant_pairs(),
        )
    if ready is not None:
        scores = cosines(normalise(embeddings.queries), embeddings.corpus, ready)
        found.nearest[embeddings.full_dim] = ready, scores
    return found


def transform_of(reducer: Reducer) -> Transform | None:
    """Return what a pass applies to its blocks (rows, D) → (rows, D).

    Truncation needs no map, and the cosine no unit length.
    """
    return None if reducer.kind == PREFIX else lambda block: reducer.map(normalise(block))


def _ready(key: ExactKey, embeddings: Embeddings) -> np.ndarray | None:
    """Return ready results at the full dimension (q, depth) int64, if they are enough.

    With judgements they are not: the rank of a relevant document takes a pass over the corpus.
    """
    truth, depth = embeddings.truth, key.depth
    if truth is None or truth.shape[1] < depth or embeddings.qrels is not None:
        return None
    return truth[:, :depth]


def _telling(total: int, emit: Emit) -> Callable[[int], None]:
    """Return a function that reports now and then how many of `total` are done."""
    told = time.monotonic()

    def tell(done: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TOLD_SECONDS:
            told = time.monotonic()
            emit(Progressed(done=done, total=total))

    return tell
