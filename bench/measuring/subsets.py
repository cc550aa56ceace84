"""Truncation among random subsets of the coordinates: is the order of coordinates worth anything?

If the order meant nothing, truncation would be one permutation of the coordinates among others, and
each rank among them equally likely. So the p value is a rank: exact, whatever the data. Source:
Phipson & Smyth 2010 (one added to both counts); Takeshita et al., arXiv 2508.17744 (the baseline).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.embeddings.sets import Embeddings
from bench.exact.one_pass import exact_ranks, exact_topk
from bench.files import make_folder, whole
from bench.measuring.jobs import ExactJob

DEPTH = 10
PAIRS = 300
"""About as many relevant pairs are ranked, so that 199 permutations take seconds."""
DOCUMENTS = 16_384
"""A larger corpus is sampled: permutations and truncation are scored on the same documents."""
DIMENSIONS = 64
"""Most dimensions that permutations are scored at: a study may name hundreds."""


@dataclass(frozen=True)
class Sample:
    """Queries, documents and relevant pairs on which all permutations are scored."""

    queries: np.ndarray
    """(q, D) float32."""
    corpus: np.ndarray
    """(n, D) float32."""
    rows: np.ndarray
    """(p,) int64: the query of each pair."""
    ids: np.ndarray
    """(p,) int64: the document of each pair."""
    gains: np.ndarray
    """(p,) float64: its grade, or 1 without judgements."""
    ideal: np.ndarray
    """(q,) float64: what the sum over a query's pairs is divided by."""
    discounts: np.ndarray
    """(DEPTH,) float64: what a gain at each rank counts."""
    own: np.ndarray | None

    def quality(self, dimensions: list[int], order: np.ndarray | None) -> np.ndarray:
        """Return nDCG@10 (or fidelity@10) at each of `dimensions`, (d,) float64.

        `order` (D,) int64 permutes the coordinates; None for truncation.
        """
        found = exact_ranks(
            self.queries,
            self.corpus,
            dimensions,
            (self.rows, self.ids),
            transform=None if order is None else _permuted(order),
            own=self.own,
        )
        return np.array([self._mean(found[d]) for d in dimensions])

    def _mean(self, ranks: np.ndarray) -> float:
        counted = np.where(ranks <= DEPTH, self.discounts[np.minimum(ranks, DEPTH) - 1], 0)
        sums = np.bincount(self.rows, self.gains * counted, minlength=len(self.queries))
        return float((sums / self.ideal).mean())


def sample(embeddings: Embeddings, seed: int) -> Sample:
    """Return a seeded sample of queries with about `PAIRS` relevant pairs.

    Without judgements the ten nearest documents at the full dimension are relevant, and the quality
    is fidelity@10. Raises ValueError if no query has a relevant document.
    """
    rng = np.random.default_rng(seed)
    rows, ids = embeddings.relevant_pairs()
    judged = embeddings.qrels is not None
    per_query = np.bincount(rows, minlength=len(embeddings.queries))
    if not judged:
        per_query[:] = min(DEPTH, embeddings.n_searchable)
    order = rng.permutation(np.flatnonzero(per_query))
    fit = max(1, int(np.searchsorted(np.cumsum(per_query[order]), PAIRS, side="right")))
    asked = np.sort(order[:fit])
    if not len(asked):
        raise ValueError("no query has a relevant document in the corpus")
    kept = np.arange(len(embeddings.corpus))
    own = None if embeddings.own is None else embeddings.own[asked]
    if len(kept) > DOCUMENTS:
        needed = ids[np.isin(rows, asked)]
        if own is not None:
            needed = np.concatenate([needed, own[own >= 0]])
        kept = np.union1d(needed, rng.choice(kept, DOCUMENTS, replace=False))
    queries, corpus = embeddings.queries[asked], np.asarray(embeddings.corpus[kept])
    if own is not None:
        own = np.where(own >= 0, np.searchsorted(kept, own), -1)
    if not judged:
        full = corpus.shape[1]
        nearest = exact_topk(queries, corpus, [full], DEPTH, own=own)[full][0]
        rows, positions = np.nonzero(nearest >= 0)
        ones, counts = np.ones(len(rows)), np.bincount(rows, minlength=len(asked))
        found = nearest[rows, positions]
        return Sample(queries, corpus, rows, found, ones, counts, np.ones(DEPTH), own)
    mine = np.isin(rows, asked)
    rows, ids = rows[mine], ids[mine]
    discounts = 1 / np.log2(np.arange(DEPTH) + 2)
    gains, ideal = np.zeros(len(rows)), np.zeros(len(asked))
    grades = [(embeddings.qrels or {})[embeddings.query_ids[row]] for row in asked]
    new_rows = np.searchsorted(asked, rows)
    for i, (row, document) in enumerate(zip(new_rows.tolist(), ids.tolist(), strict=True)):
        gains[i] = grades[row][str(document)]
    for row, each in enumerate(grades):
        best = sorted((grade for grade in each.values() if grade > 0), reverse=True)[:DEPTH]
        ideal[row] = discounts[: len(best)] @ best
    positions = np.searchsorted(kept, ids)
    return Sample(queries, corpus, new_rows, positions, gains, ideal, discounts, own)


def permutations(full: int, count: int, seed: int) -> list[np.ndarray]:
    """Return `count` random orders of `full` coordinates, (D,) int64 each."""
    rng = np.random.default_rng([seed, count])
    return [rng.permutation(full) for _ in range(count)]


def ranked(values: np.ndarray) -> dict[str, Any]:
    """Return the columns of `values` (1 + count,), the quality of truncation, then of the rest."""
    own, others = float(values[0]), values[1:]
    # Sums of the same terms in another order may differ in the last digit.
    at_least, at_most = (others >= own - 1e-12).sum(), (others <= own + 1e-12).sum()
    low, median, high = np.quantile(others, [0.025, 0.5, 0.975])
    return {
        "subsets": len(others),
        "subsets_quality": own,
        "subsets_median": float(median),
        "subsets_low": float(low),
        "subsets_high": float(high),
        "subsets_p_better": float((1 + at_least) / (1 + len(others))),
        "subsets_p_worse": float((1 + at_most) / (1 + len(others))),
    }


def subset_columns(
    job: ExactJob, embeddings: Embeddings, progress: Callable[[int], None]
) -> dict[int, dict[str, Any]]:
    """Return the columns of dimensions below the full one; they are kept in a file.

    Of more than `DIMENSIONS`, so many are taken at equal steps; the others have no such columns.
    `progress` is called with the number of permutations done.
    """
    below = [d for d in job.exact.dimensions if d < embeddings.full_dim]
    places = np.linspace(0, len(below) - 1, min(len(below), DIMENSIONS)).round().astype(int)
    dimensions = [below[place] for place in places]
    path = job.exact.stem.with_suffix(f".subsets-{job.subsets}.npy")
    if not dimensions or (embeddings.qrels is not None and not len(embeddings.relevant_pairs()[0])):
        return {}
    values = _kept(path, (1 + job.subsets, len(dimensions)))
    if values is None:
        drawn = sample(embeddings, job.exact.data.seed)
        orders = permutations(embeddings.full_dim, job.subsets, job.exact.data.seed)
        found = []
        for done, order in enumerate((None, *orders)):
            found.append(drawn.quality(dimensions, order))
            progress(done)
        values = np.array(found)
        embeddings.check_unchanged()
        make_folder(path.parent)
        with whole(path) as partial, partial.open("wb") as file:
            np.save(file, values)
    return {d: ranked(values[:, j]) for j, d in enumerate(dimensions)}


def _kept(path: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the qualities that an earlier run kept, or None if they are absent or damaged."""
    try:
        kept = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception:  # NumPy parses the header as Python, which can raise any error
        return None
    fits = kept.dtype.str == "<f8" and kept.shape == shape
    return np.array(kept) if fits and np.isfinite(kept).all() else None


def _permuted(order: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    return lambda block: np.ascontiguousarray(block[:, order])
