"""Check ready ground truth on a sample before it stands for exact search."""

from __future__ import annotations

import numpy as np

from bench.exact.one_pass import exact_topk
from bench.quality.measures import TIE_TOLERANCE
from bench.vectors import normalise

_SAMPLE = 32
_ROUNDING = 1e-6
"""Of a cosine in float32: a relative tolerance fails where cosines are near zero."""


def agrees(truth: np.ndarray, queries: np.ndarray, corpus: np.ndarray) -> tuple[bool, str]:
    """Return whether ground truth is that of cosine, and a note that says so.

    `truth` (q, k) int64 names documents of `corpus` (n, D), the nearest to `queries` (q, D) first.
    A seeded sample of the queries is searched exactly. Their cosines have to agree rank by rank, up
    to rounding, so that equal neighbours may stand in any order.
    """
    asked = np.sort(
        np.random.default_rng(0).choice(len(truth), min(_SAMPLE, len(truth)), replace=False)
    )
    k, width = truth.shape[1], corpus.shape[1]
    exact = exact_topk(queries[asked], corpus, [width], k)[width][1]
    documents = normalise(corpus[truth[asked].ravel()]).reshape(len(asked), k, width)
    found = np.einsum("qd,qkd->qk", normalise(queries[asked]), documents)
    same = np.isclose(found, exact, rtol=TIE_TOLERANCE, atol=_ROUNDING).all(axis=1)
    if same.all():
        return True, (
            f"ready ground truth (k = {k}) agrees with exact search on a sample of {len(asked)} "
            f"queries: without judgements it serves where {k} neighbours are enough"
        )
    return False, (
        f"the ready ground truth is not used: on {(~same).sum()} of a sample of {len(asked)} "
        "queries it is not what exact search by cosine finds"
    )
