"""The scan of a pass: threads take blocks of documents, and their candidates are put in order.

A pass can be run in parts, by processes that hold some of the documents each.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.exact.pairs import METRICS, NEAR, Pairs
from bench.machine import usable_cores

DOCUMENTS, _QUERIES = 1_024, 512
"""Size of a block: its products (2 MiB) stay in cache from one step to the next."""
_SPARE = 16
"""Extra candidates kept beyond k until near-ties are settled."""
_GATHERED = 8_192
"""Pairs whose documents are read together."""
_SMALL = 64 * 2**20
"""Bytes of a corpus that is converted once, not block by block."""
_STEPS = 25
"""Of a small corpus, one step in so many is scanned beforehand: its nearest documents tell how near
those of the steps around it are at least, so that fewer documents are collected there."""

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Exact:
    """Results of one pass, by dimension."""

    nearest: dict[int, tuple[np.ndarray, np.ndarray]]
    """(ids (q, k) int64, best first, -1 pads; scores (q, k) float32, -inf pads)."""
    relevant: dict[int, tuple[np.ndarray, np.ndarray]]
    """Per requested pair: score (p,) float64, and rank in the whole corpus (p,) int64, from 1."""


class _Blocks:
    """First positions of the blocks left to scan; threads take them in ascending order."""

    def __init__(self, first: int, end: int, progress: Callable[[int], None] | None = None) -> None:
        self.stop = threading.Event()
        self.scanned = 0
        self.progress = progress
        self.lock = threading.Lock()
        self.starts: queue.SimpleQueue[int] = queue.SimpleQueue()
        for start in range(first, end, DOCUMENTS):
            self.starts.put(start)

    def __iter__(self) -> Iterator[int]:
        """Yield blocks until none is left or `stop` is set."""
        with contextlib.suppress(queue.Empty):
            while not self.stop.is_set():
                yield self.starts.get_nowait()

    def done(self, rows: int) -> None:
        """Count a block of `rows` documents."""
        if self.progress is not None:
            with self.lock:
                self.scanned += rows
                self.progress(self.scanned)


@dataclass(frozen=True)
class Scanned:
    """What a scan of some of the documents found."""

    keys: np.ndarray
    """(s, q, capacity) uint64: packed score and position of each candidate."""
    counts: np.ndarray
    """(s, q) int64: the number of candidates."""
    longest: np.ndarray
    """(s,) float32: the longest prefix of a document."""
    above: np.ndarray | None
    """(s, p) int64: documents that rank above each relevant pair."""


def is_small(corpus: np.ndarray) -> bool:
    """Return whether a corpus (n, D) is converted once; one that is not can be scanned in parts."""
    return 4 * corpus.size <= _SMALL


def _converted(vectors: np.ndarray, transform: Transform | None) -> np.ndarray:
    """Return (n, D) float32, transformed and contiguous; a view if nothing changes."""
    converted = np.asarray(vectors, dtype=np.float32)
    return np.ascontiguousarray(transform(converted) if transform else converted, dtype=np.float32)


class Pass:
    """One pass over the corpus; arguments as for `exact_search`, steps in ascending order.

    `run` does all of it. In parts: copies of a pass, which travel without the corpus, are given
    some of the documents each by `attach` and `scan` them, and the pass itself `finish`es. Parts
    that begin at a multiple of `DOCUMENTS` give the very scores of one run.
    """

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
        query_transform: Transform | None = None,
    ) -> None:
        from bench.exact import kernels  # compiled on first use, so not imported with the package

        self.kernels = kernels
        self.corpus = np.asarray(corpus)
        self.first = 0
        self.transform = transform
        self.steps = steps
        self.k = k
        self.own = own
        self.metric = METRICS.index(metric)
        self.queries = _converted(queries, query_transform or transform)
        self.small = is_small(self.corpus)
        if self.small:
            self.corpus, self.transform = _converted(self.corpus, transform), None
        self.threads = threads or len(usable_cores())
        self.keep = k + _SPARE + (own is not None)
        self.shared = np.full((len(steps), len(queries)), -np.inf, np.float32)
        squares = np.zeros((len(steps), len(queries)), np.float32)
        kernels.prefix_squares(self.queries, np.array(steps), squares)
        self.lengths = np.sqrt(squares)
        self.pairs = None if relevant is None else Pairs(self, *relevant)

    def __getstate__(self) -> dict[str, Any]:
        # A copy is given its documents where it goes.
        return vars(self) | {"corpus": None, "transform": None, "kernels": None}

    def attach(
        self, documents: np.ndarray, first: int, transform: Transform | None, threads: int
    ) -> None:
        """Give a copy its `documents` (n, D), of which the first is at `first` in the corpus."""
        from bench.exact import kernels

        self.kernels, self.corpus, self.transform = kernels, documents, transform
        self.first, self.threads = first, threads

    def run(self, progress: Callable[[int], None] | None = None) -> Exact:
        """Scan the whole corpus; return what was found."""
        if self.k and self.small and len(self.steps) > _STEPS and len(self.corpus) > self.keep:
            self._raise_bars()
        return self.finish(self._scans(progress))

    def scan(self, progress: Callable[[int], None] | None = None) -> Scanned:
        """Scan the documents attached; return the candidates of all threads as one, small enough
        to travel."""
        scans = self._scans(progress)
        keys = np.concatenate([each.keys for each in scans], axis=2)
        counts = np.stack([each.counts for each in scans])
        places = np.concatenate([np.arange(each.keys.shape[2]) for each in scans])
        thread = np.repeat(np.arange(len(scans)), [each.keys.shape[2] for each in scans])
        keys[places >= np.moveaxis(counts[thread], 0, -1)] = 0
        keys = np.sort(keys, axis=2)[:, :, : -self.keep - 1 : -1]
        above = [each.above for each in scans if each.above is not None]
        return Scanned(
            np.ascontiguousarray(keys),
            np.minimum(counts.sum(axis=0), self.keep),
            np.max([each.longest for each in scans], axis=0),
            np.sum(above, axis=0) if above else None,
        )

    def finish(self, scans: Sequence[Scanned]) -> Exact:
        """Return what was found in the corpus, of which `scans` are all parts."""
        longest = np.max([each.longest for each in scans], axis=0)
        nearest = {}
        if self.k:
            with ThreadPoolExecutor(self.threads) as pool:
                settled = pool.map(
                    lambda j: self._settled(j, scans, longest[j]), range(len(self.steps))
                )
                nearest = dict(zip(self.steps, settled, strict=True))
        ranks = {} if self.pairs is None else self.pairs.ranks([each.above for each in scans])
        return Exact(nearest, ranks)

    def _scans(self, progress: Callable[[int], None] | None) -> list[Scanned]:
        """Scan all documents at hand; return what each thread found."""
        blocks = _Blocks(self.first, self.first + len(self.corpus), progress)
        with ThreadPoolExecutor(self.threads) as pool:
            try:
                return list(pool.map(self._scan_or_stop, [blocks] * self.threads))
            finally:
                blocks.stop.set()  # after an interrupt, so that no thread goes on

    def _raise_bars(self) -> None:
        """Set what a document must exceed at each step from the nearest documents at a few.

        The worst score of any `keep` documents is one that the best `keep` reach.
        """
        some = self.steps[_STEPS // 2 :: _STEPS]
        coarse = Pass(
            self.queries, self.corpus, some, self.keep, METRICS[self.metric],
            None, None, None, self.threads,
        ).run()  # fmt: skip
        steps = np.array(self.steps)
        longest = np.zeros((len(steps), len(self.corpus)), np.float32)
        self.kernels.prefix_squares(self.corpus, steps, longest)
        longest = np.sqrt(longest.max(axis=1))
        margin = NEAR * np.array([self.magnitude(j, longest[j]) for j in range(len(steps))])
        if METRICS[self.metric] == "cosine":
            margin *= self.lengths
        for ids, _ in coarse.nearest.values():
            self.kernels.raise_bars(
                self.metric, self.queries, self.corpus, ids, steps, margin, self.shared
            )

    def _scan_or_stop(self, blocks: _Blocks) -> Scanned:
        """Scan blocks; an error stops the other threads too."""
        try:
            return self._scan(blocks)
        except BaseException:
            blocks.stop.set()
            raise

    def _scan(self, blocks: _Blocks) -> Scanned:
        kernels, n_steps, n_queries = self.kernels, len(self.steps), len(self.queries)
        steps = np.array(self.steps)
        keys = np.zeros((n_steps, n_queries, 2 * self.keep), np.uint64)
        counts = np.zeros((n_steps, n_queries), np.int64)
        bars = np.full((n_steps, n_queries), -np.inf, np.float32)
        products = np.empty((min(_QUERIES, n_queries), DOCUMENTS), np.float32)
        squares, scale, shift = (np.zeros((n_steps, DOCUMENTS), np.float32) for _ in range(3))
        longest = np.zeros(n_steps, np.float32)
        above = None if self.pairs is None else np.zeros((n_steps, len(self.pairs.ids)), np.int64)
        for start in blocks:
            place = start - self.first
            documents = _converted(self.corpus[place : place + DOCUMENTS], self.transform)
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
                    if self.k:
                        kernels.collect(
                            products, *weight, start, self.keep,
                            keys[j, group], counts[j, group], bars[j, group], self.shared[j, group],
                        )  # fmt: skip
                    if self.pairs is not None and above is not None:
                        self.pairs.count(
                            products, weight, start, group, documents, j,
                            squares[j, :rows].max(), above[j],
                        )  # fmt: skip
            blocks.done(rows)
        return Scanned(keys, counts, np.sqrt(longest), above)

    def magnitude(self, j: int, longest: float) -> np.ndarray:
        """Return the size of the terms of each query's scores, (q,): rounding errors scale so."""
        lengths = self.lengths[j]
        match METRICS[self.metric]:
            case "cosine":
                return np.ones_like(lengths)
            case "inner_product":
                return np.asarray(lengths * longest)
        return np.asarray(lengths**2 + longest**2)

    def _settled(
        self, j: int, scanned: Sequence[Scanned], longest: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return ids and scores at step `j`, near-ties in their true order.

        Single-precision sums depend on a document's place in its block, so near-ties are computed
        again in double precision. Equal scores are in the order of ids.
        """
        parts = [
            (each.keys[j], each.counts[j], np.arange(each.counts[j].max())) for each in scanned
        ]
        keys = np.concatenate([keys[:, places] for keys, _, places in parts], axis=1)
        empty = [places >= counts[:, None] for _, counts, places in parts]
        keys[np.concatenate(empty, axis=1)] = 0
        keys = np.pad(keys, ((0, 0), (0, max(0, self.k - keys.shape[1]))))
        keys = np.sort(keys, axis=1)[:, : -self.keep - 1 : -1]
        bits = (keys >> np.uint64(32)).astype(np.uint32)
        bits = np.where(bits & 0x80000000, bits & 0x7FFFFFFF, ~bits)
        scores = self._finished(bits.view(np.float32).astype(np.float64), j)
        ids = np.where(keys, 0xFFFFFFFF - (keys & np.uint64(0xFFFFFFFF)), 0).astype(np.int64)
        scores[keys == 0], ids[keys == 0] = -np.inf, -1
        if self.own is not None:
            ids, scores = _without(ids, scores, self.own)
        with np.errstate(invalid="ignore"):
            near = scores[:, :-1] - scores[:, 1:] <= NEAR * self.magnitude(j, longest)[:, None]
        near &= ids[:, 1:] >= 0
        rows, columns = np.nonzero(np.pad(near, ((0, 0), (0, 1))) | np.pad(near, ((0, 0), (1, 0))))
        if len(rows):
            scores[rows, columns] = self.pair_scores(rows, ids[rows, columns], j)
            scores, mixed = scores.astype(np.float32), np.unique(rows)
            some, theirs = ids[mixed], scores[mixed]
            order = np.lexsort((np.where(some < 0, np.iinfo(np.int64).max, some), -theirs), axis=1)
            ids[mixed] = np.take_along_axis(some, order, axis=1)
            scores[mixed] = np.take_along_axis(theirs, order, axis=1)
        return np.ascontiguousarray(ids[:, : self.k]), np.ascontiguousarray(
            scores[:, : self.k], np.float32
        )

    def _finished(self, scores: np.ndarray, j: int) -> np.ndarray:
        """Add the terms that depend on the query alone to `scores` (q, ·)."""
        lengths = self.lengths[j].astype(np.float64)[:, None]
        if METRICS[self.metric] == "cosine":
            inverse = np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)
            return np.asarray(scores * inverse)
        return scores - lengths**2 if METRICS[self.metric] == "l2" else scores

    def pair_scores(self, rows: np.ndarray, ids: np.ndarray, j: int) -> np.ndarray:
        """Return the double-precision score of each (query, document) pair at step `j`, (p,)."""
        scores, width = np.empty(len(rows)), self.steps[j]
        score = self.kernels.pair_scores
        usable = self.corpus.dtype == np.float32 and self.corpus.flags.c_contiguous
        if usable and self.transform is None:
            score(self.metric, self.queries, rows, self.corpus, ids, width, scores)
            return scores
        order = np.argsort(ids, kind="stable")  # a memory map is read from front to back
        for at in (order[i : i + _GATHERED] for i in range(0, len(order), _GATHERED)):
            wanted, inverse = np.unique(ids[at], return_inverse=True)
            part = np.empty(len(at))
            documents = _converted(self.corpus[wanted], self.transform)
            score(self.metric, self.queries, rows[at], documents, inverse, width, part)
            scores[at] = part
        return scores


def _without(ids: np.ndarray, scores: np.ndarray, own: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Replace each query's own document by padding at the end."""
    mine = ids == own[:, None]
    order = np.argsort(mine, axis=1, kind="stable")
    ids, scores = np.where(mine, -1, ids), np.where(mine, -np.inf, scores)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
