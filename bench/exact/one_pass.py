"""Exact search at every prefix length in one pass over the corpus.

For prefixes d₁ < d₂ the inner product and the squared lengths over d₂ coordinates are those over d₁ plus the part between:
so the blocks of one pass give the scores at all dimensions. Threads take the blocks in turn; each adds the next part to its
block's products with a single-threaded BLAS, while they lie in the cache, and scans them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from bench.machine import usable_cores

METRICS = ("cosine", "inner_product", "l2")

_DOCUMENTS, _QUERIES = 1_024, 512
"""A block: its products (2 MiB) stay in the cache between one part's addition and the next."""
_SPARE = 16
"""Candidates beyond k that are kept until near-ties are settled."""
_NEAR = 4e-6
"""In units of the lengths multiplied: scores closer than this are summed again in double precision."""
_GATHERED = 8_192
"""Pairs whose documents are read at once."""

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Exact:
    """What one pass found, by dimension."""

    nearest: dict[int, tuple[np.ndarray, np.ndarray]]
    """(ids (q, k) int64, best first, -1 pads; scores (q, k) float32, -inf pads)."""
    relevant: dict[int, tuple[np.ndarray, np.ndarray]]
    """Of each pair asked for: (score (p,) float64, rank (p,) int64 from 1 on among the whole corpus)."""


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

    `queries` (q, D), `corpus` (n, D) of any float dtype, the corpus possibly a memory map: it is read in blocks.
    `metric` is ``"cosine"``, ``"inner_product"`` or ``"l2"`` (squared, given negated so that the highest is the nearest).
    `transform` maps a block (rows, D) → (rows, D) before its prefixes are taken (a rotation, a permutation).
    `own` (q,) int64 is the document left out of each query's results, -1 for none. `threads`: all that this process may use.
    Returns {dimension: (ids (q, k) int64 best first, scores (q, k) float32)}; equal scores in the order of ids; where the
    corpus holds fewer than k, -1 and -inf pad. A zero-length prefix has cosine 0 with everything.
    Raises ValueError for a dimension outside 1…D, k < 1, widths that differ, or an unknown metric.
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
    own: np.ndarray | None = None,
    threads: int | None = None,
) -> Exact:
    """Do as `exact_topk`, and in the same pass find each relevant document's score and rank, however far down it stands.

    `relevant` is (rows (p,), ids (p,)) int64: pairs of a query's position and a document's. Ranks leave out the query's own
    document as the results do. Raises as `exact_topk` does, and ValueError for a pair outside the queries or the corpus.
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
    with threadpool_limits(1, user_api="blas"):
        return _Pass(
            queries, corpus, sorted(set(dimensions)), k, metric, relevant, transform, own, threads
        ).run()


class _Pass:
    def __init__(
        self,
        queries: np.ndarray,
        corpus: np.ndarray,
        steps: list[int],
        k: int,
        metric: str,
        relevant: tuple[np.ndarray, np.ndarray] | None,
        transform: Transform | None,
        own: np.ndarray | None,
        threads: int | None,
    ) -> None:
        from bench.exact import kernels  # compiled on first use: only who searches waits for it

        self.kernels = kernels
        self.corpus, self.transform, self.steps, self.k, self.own = (
            np.asarray(corpus),
            transform,
            steps,
            k,
            own,
        )
        self.metric = METRICS.index(metric)
        self.queries = self._converted(queries)
        self.threads = threads or len(usable_cores())
        self.keep = k + _SPARE + (own is not None)
        self.shared = np.full((len(steps), len(queries)), -np.inf, np.float32)
        squares = np.zeros((len(steps), len(queries)), np.float32)
        kernels.prefix_squares(self.queries, np.array(steps), squares)
        self.lengths = np.sqrt(squares)
        self.pairs = None if relevant is None else _Pairs(self, *relevant)

    def _converted(self, vectors: np.ndarray) -> np.ndarray:
        """Return (n, D) float32, transformed, contiguous; a view where nothing is to be done."""
        converted = np.asarray(vectors, dtype=np.float32)
        return np.ascontiguousarray(
            self.transform(converted) if self.transform else converted, dtype=np.float32
        )

    def run(self) -> Exact:
        blocks = iter(range(0, len(self.corpus), _DOCUMENTS))
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                found = list(pool.map(lambda _: self._scan(blocks), range(self.threads)))
            finally:
                for (
                    _
                ) in blocks:  # after an error or an interrupt the others find nothing left to take
                    pass
            parts, longest = (
                [keys for keys, _, _ in found],
                np.max([lengths for _, lengths, _ in found], axis=0),
            )
            nearest = dict(
                pool.map(
                    lambda j: (self.steps[j], self._settled(j, parts, longest[j])),
                    range(len(self.steps)),
                )
            )
        ranks = {} if self.pairs is None else self.pairs.ranks([above for _, _, above in found])
        return Exact(nearest, ranks)

    def _scan(self, blocks: Iterator[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Take blocks until none is left; return candidates' keys (s, q, capacity), longest lengths (s,), counts above."""
        kernels, n_steps, n_queries = self.kernels, len(self.steps), len(self.queries)
        steps = np.array(self.steps)
        keys = np.zeros((n_steps, n_queries, 2 * self.keep), np.uint64)
        counts = np.zeros((n_steps, n_queries), np.int64)
        bars = np.full((n_steps, n_queries), -np.inf, np.float32)
        products = np.empty((min(_QUERIES, n_queries), _DOCUMENTS), np.float32)
        squares, scale, shift = (np.zeros((n_steps, _DOCUMENTS), np.float32) for _ in range(3))
        longest = np.zeros(n_steps, np.float32)
        above = None if self.pairs is None else np.zeros((n_steps, len(self.pairs.ids)), np.int64)
        for start in blocks:
            documents = self._converted(self.corpus[start : start + _DOCUMENTS])
            rows = len(documents)
            kernels.prefix_squares(documents, steps, squares)
            for j in range(n_steps):
                kernels.weights(self.metric, squares[j, :rows], scale[j], shift[j])
            np.maximum(longest, squares[:, :rows].max(axis=1), out=longest)
            for first in range(0, n_queries, _QUERIES):
                group = slice(first, first + _QUERIES)
                asked = self.queries[group]
                previous = 0
                for j, d in enumerate(self.steps):
                    kernels.add_products(products, asked, documents, previous, d)
                    previous = d
                    weight = scale[j, :rows], shift[j, :rows]
                    kernels.collect(
                        products, *weight, start, self.keep,
                        keys[j, group], counts[j, group], bars[j, group], self.shared[j, group],
                    )  # fmt: skip
                    if self.pairs is not None and above is not None:
                        self.pairs.count(
                            products,
                            weight,
                            start,
                            group,
                            documents,
                            j,
                            squares[j, :rows].max(),
                            above[j],
                        )
        held = np.arange(2 * self.keep) < counts[:, :, None]
        return np.where(held, keys, 0), np.sqrt(longest), above

    def magnitude(self, j: int, longest: float) -> np.ndarray:
        """Return, a query, what its scores are differences of: rounding errors are in proportion to it, (q,)."""
        lengths = self.lengths[j]
        if METRICS[self.metric] == "cosine":
            return np.ones_like(lengths)
        if METRICS[self.metric] == "inner_product":
            return np.asarray(lengths * longest)
        return np.asarray(lengths**2 + longest**2)

    def _settled(
        self, j: int, parts: list[np.ndarray], longest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and scores at step `j`, near-ties in their true order.

        Single precision depends on where in a block a document stood; equal scores come in the order of ids.
        """
        keys = np.concatenate([part[j] for part in parts], axis=1)
        keys = np.sort(keys, axis=1)[:, : -self.keep - 1 : -1]
        bits = (keys >> np.uint64(32)).astype(np.uint32)
        bits = np.where(bits & 0x80000000, bits & 0x7FFFFFFF, ~bits)
        scores = self._finished(bits.view(np.float32).astype(np.float64), j)
        ids = np.where(keys, 0xFFFFFFFF - (keys & np.uint64(0xFFFFFFFF)), 0).astype(np.int64)
        scores[keys == 0], ids[keys == 0] = -np.inf, -1
        if self.own is not None:
            ids, scores = _without(ids, scores, self.own)
        with np.errstate(invalid="ignore"):
            near = scores[:, :-1] - scores[:, 1:] <= _NEAR * self.magnitude(j, longest)[:, None]
        near &= ids[:, 1:] >= 0
        rows, columns = np.nonzero(np.pad(near, ((0, 0), (0, 1))) | np.pad(near, ((0, 0), (1, 0))))
        if len(rows):
            scores[rows, columns] = self.pair_scores(rows, ids[rows, columns], j)
            scores = scores.astype(np.float32)
            order = np.lexsort((np.where(ids < 0, np.iinfo(np.int64).max, ids), -scores), axis=1)
            ids, scores = (
                np.take_along_axis(ids, order, axis=1),
                np.take_along_axis(scores, order, axis=1),
            )
        return np.ascontiguousarray(ids[:, : self.k]), np.ascontiguousarray(
            scores[:, : self.k], np.float32
        )

    def _finished(self, scores: np.ndarray, j: int) -> np.ndarray:
        """Put in what depends on the query alone, (q, ·)."""
        lengths = self.lengths[j].astype(np.float64)[:, None]
        if METRICS[self.metric] == "cosine":
            inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            return np.asarray(scores * inverse)
        return scores - lengths**2 if METRICS[self.metric] == "l2" else scores

    def pair_scores(self, rows: np.ndarray, ids: np.ndarray, j: int) -> np.ndarray:
        """Return the double-precision score of each (query, document) pair at step `j`, (p,)."""
        scores, width = np.empty(len(rows)), self.steps[j]
        score = self.kernels.pair_scores
        if (
            self.transform is None
            and self.corpus.dtype == np.float32
            and self.corpus.flags.c_contiguous
        ):
            score(self.metric, self.queries, rows, self.corpus, ids, width, scores)
            return scores
        order = np.argsort(ids, kind="stable")  # a memory map is read from front to back
        for at in (order[i : i + _GATHERED] for i in range(0, len(order), _GATHERED)):
            wanted, inverse = np.unique(ids[at], return_inverse=True)
            part = np.empty(len(at))
            score(
                self.metric,
                self.queries,
                rows[at],
                self._converted(self.corpus[wanted]),
                inverse,
                width,
                part,
            )
            scores[at] = part
        return scores


class _Pairs:
    """The documents whose score and rank are asked for, by query."""

    def __init__(self, of: _Pass, rows: np.ndarray, ids: np.ndarray) -> None:
        rows, ids = np.asarray(rows, np.int64), np.asarray(ids, np.int64)
        for what, named, limit in (
            ("query", rows, len(of.queries)),
            ("document", ids, len(of.corpus)),
        ):
            if len(named) and not (named.min() >= 0 and named.max() < limit):
                raise ValueError(f"a pair names a {what} outside 0…{limit - 1}")
        self.of, self.order = of, np.argsort(rows, kind="stable")
        self.rows, self.ids = rows[self.order], ids[self.order]
        self.first = np.searchsorted(self.rows, np.arange(len(of.queries) + 1))
        self.scores = np.array(
            [of.pair_scores(self.rows, self.ids, j) for j in range(len(of.steps))]
        )
        # The pass leaves out what depends on the query alone.
        lengths = of.lengths[:, self.rows].astype(np.float64)
        cosine, l2 = METRICS[of.metric] == "cosine", METRICS[of.metric] == "l2"
        self.unit = lengths if cosine else np.ones_like(lengths)
        self.raw = self.scores * self.unit + (lengths**2 if l2 else 0)

    def count(
        self,
        products: np.ndarray,
        weight: tuple[np.ndarray, np.ndarray],
        start: int,
        group: slice,
        documents: np.ndarray,
        j: int,
        longest_square: float,
        above: np.ndarray,
    ) -> None:
        """Add to `above` (p,) the documents of a block that rank above each of the group's pairs at step `j`."""
        first = self.first[group.start : min(group.stop, len(self.of.queries)) + 1]
        near = (
            _NEAR * self.of.magnitude(j, float(np.sqrt(longest_square)))[self.rows] * self.unit[j]
        )
        self.of.kernels.count_above(
            self.of.metric, products, *weight, start, self.of.queries[group], documents, self.of.steps[j],
            first, self.ids, self.raw[j], near, self.scores[j], above,
        )  # fmt: skip

    def ranks(self, counts: list[np.ndarray | None]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Return score and rank of each pair, in the order asked for, by dimension."""
        above = np.sum([count for count in counts if count is not None], axis=0)
        found = {}
        for j, d in enumerate(self.of.steps):
            ranks = 1 + above[j]
            if self.of.own is not None:
                ranks -= self._own_above(j)
            scores = np.empty(len(ranks)), np.empty(len(ranks), np.int64)
            scores[0][self.order], scores[1][self.order] = self.scores[j], ranks
            found[d] = scores
        return found

    def _own_above(self, j: int) -> np.ndarray:
        """Return whether the query's own document ranks above each pair's, (p,) bool; a pair with it has no rank above."""
        own = self.of.own[self.rows]  # type: ignore[index]
        has = (own >= 0) & (own != self.ids)
        above = np.zeros(len(own), bool)
        scores = self.of.pair_scores(self.rows[has], own[has], j).astype(np.float32)
        others = self.scores[j][has].astype(np.float32)
        above[has] = (scores > others) | ((scores == others) & (own[has] < self.ids[has]))
        return above


def _without(ids: np.ndarray, scores: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move each query's own document behind the others, as a pad."""
    mine = ids == own[:, None]
    order = np.argsort(mine, axis=1, kind="stable")
    ids, scores = np.where(mine, -1, ids), np.where(mine, -np.inf, scores)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
