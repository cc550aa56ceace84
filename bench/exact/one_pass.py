"""Exact search at every prefix length in one pass over the corpus.

For prefixes d₁ < d₂, the inner products and squared lengths over d₂ coordinates are those over d₁
plus the part between. So one read of each block gives the scores at all dimensions. Threads take
the blocks in turn. Each adds the next part to its block's products with a single-threaded BLAS
while they are in cache, then scans them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from threadpoolctl import threadpool_limits

from bench.exact.pairs import METRICS
from bench.exact.scan import Exact, Pass, Transform


def exact_topk(
    queries: np.ndarray,
    corpus: np.ndarray,
    dimensions: Sequence[int],
    k: int,
    metric: str = "cosine",
    *,
    transform: Transform | None = None,
    own: np.ndarray | None = None,
    threads: int | None = None,
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Return the k nearest documents of each query, at each of `dimensions`.

    `queries` (q, D) and `corpus` (n, D) are of any float dtype. The corpus may be a memory map: it
    is read in blocks. `metric` is ``"cosine"``, ``"inner_product"`` or ``"l2"`` (squared and
    negated, so that the highest is the nearest). `transform` maps a block (rows, D) → (rows, D)
    before its prefixes are taken (a rotation, a permutation). `own` (q,) int64 is the document to
    leave out of each query's results, -1 for none. `threads` defaults to all usable cores.

    Returns {dimension: (ids (q, k) int64 best first, scores (q, k) float32)}. Equal scores are in
    the order of ids. If the corpus holds fewer than k documents, -1 and -inf pad. A zero-length
    prefix has cosine 0 with everything. Raises ValueError for a dimension outside 1…D, k < 1,
    widths that differ, or an unknown metric.
    """
    return exact_search(
        queries, corpus, dimensions, k, metric, transform=transform, own=own, threads=threads
    ).nearest


def exact_search(
    queries: np.ndarray,
    corpus: np.ndarray,
    dimensions: Sequence[int],
    k: int,
    metric: str = "cosine",
    *,
    relevant: tuple[np.ndarray, np.ndarray] | None = None,
    transform: Transform | None = None,
    query_transform: Transform | None = None,
    own: np.ndarray | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Exact:
    """Do as `exact_topk`; in the same pass find the score and rank of each relevant document.

    `relevant` is (rows (p,), ids (p,)) int64: pairs of a query's position and a document's. A rank
    counts the whole corpus, without the query's own document. `query_transform` maps the queries
    in place of `transform`, where they are compared in another form than the documents. `progress`
    is called with the number of documents scanned so far, by one thread at a time. Raises as
    `exact_topk` does, and ValueError for a pair outside the queries or the corpus.
    """
    with threadpool_limits(1, user_api="blas"):
        return new_pass(
            queries, corpus, dimensions, k, metric, relevant=relevant, transform=transform,
            query_transform=query_transform, own=own, threads=threads,
        ).run(progress)  # fmt: skip


def new_pass(
    queries: np.ndarray,
    corpus: np.ndarray,
    dimensions: Sequence[int],
    k: int,
    metric: str = "cosine",
    *,
    relevant: tuple[np.ndarray, np.ndarray] | None = None,
    transform: Transform | None = None,
    query_transform: Transform | None = None,
    own: np.ndarray | None = None,
    threads: int | None = None,
) -> Pass:
    """Return the pass that `exact_search` makes, to be run in parts: see `Pass`.

    Arguments and errors as of `exact_search`.
    """
    full = queries.shape[1]
    if corpus.shape[1] != full:
        raise ValueError(f"queries have {full} dimensions, the corpus {corpus.shape[1]}")
    if bad := [d for d in dimensions if not 1 <= d <= full]:
        raise ValueError(f"dimension {bad[0]} is outside 1…{full}")
    if k < 1:
        raise ValueError(f"k = {k} must be at least 1")
    if metric not in METRICS:
        raise ValueError(f"metric '{metric}' is none of {', '.join(METRICS)}")
    if len(corpus) >= 2**32 - 1:
        raise ValueError(
            f"{len(corpus):,} documents are more than the 4,294,967,294 that one pass can number"
        )
    return Pass(
        queries, corpus, sorted(set(dimensions)), k, metric, relevant, transform, own, threads,
        query_transform,
    )  # fmt: skip


def exact_ranks(
    queries: np.ndarray,
    corpus: np.ndarray,
    dimensions: Sequence[int],
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    transform: Transform | None = None,
    own: np.ndarray | None = None,
    threads: int | None = None,
) -> dict[int, np.ndarray]:
    """Return the rank by cosine of each of `pairs` in the whole corpus, from 1, by dimension.

    Arguments as for `exact_search`, whose `relevant` are the `pairs`; values are (p,) int64. No
    neighbours are collected, which makes it the cheaper pass.
    """
    with threadpool_limits(1, user_api="blas"):
        steps = sorted(set(dimensions))
        found = Pass(queries, corpus, steps, 0, "cosine", pairs, transform, own, threads).run()
    return {d: ranks for d, (_, ranks) in found.relevant.items()}
