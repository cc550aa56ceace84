"""Quality in a smaller corpus, from the ranks of the relevant documents in the whole one.

Draw n documents that hold the m relevant ones, the others at random. Of the a non-relevant
documents that rank above a relevant one, a hypergeometric number H is among them; with j relevant
ones above it, its rank is 1 + j + H. So the expectation of any measure that adds up over relevant
documents follows from the ranks, at every n, without drawing anything. Source: elementary;
`tests/projection/test_nested.py` holds it to subsets that are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measure:
    """A measure that adds up over relevant documents."""

    label: str
    depth: int
    """Ranks that count."""
    by: str
    """What a document adds: ``dcg``, ``recall``, ``mrr`` or ``success``."""

    def worth(self) -> np.ndarray:
        """Return what a relevant document at rank 1, 2, …, depth is worth, (depth,) float64."""
        ranks = np.arange(1, self.depth + 1)
        if self.by == "dcg":
            return np.asarray(1 / np.log2(ranks + 1))
        return 1 / ranks if self.by == "mrr" else np.ones(self.depth)


MEASURES = {
    "ndcg_at_10": Measure("nDCG@10", 10, "dcg"),
    "recall_at_10": Measure("recall@10", 10, "recall"),
    "recall_at_20": Measure("recall@20", 20, "recall"),
    "recall_at_50": Measure("recall@50", 50, "recall"),
    "recall_at_100": Measure("recall@100", 100, "recall"),
    "mrr_at_10": Measure("MRR@10", 10, "mrr"),
    "success_at_1": Measure("success@1", 1, "success"),
    "success_at_10": Measure("success@10", 10, "success"),
}
"""Measures by the name of their column."""


@dataclass(frozen=True)
class Ranks:
    """The relevant documents of T exact rows over the same Q queries and the same corpus.

    P is the number of (query, relevant document) pairs, those outside the corpus included. Pairs
    lie in the order of queries, in each by rank.
    """

    n_documents: int
    query: np.ndarray
    """(P,) int64: position of the query."""
    place: np.ndarray
    """(P,) int64: relevant documents of the query that rank above this one."""
    above: np.ndarray
    """(T, P) int64: other documents that rank above it; -1 for one outside the corpus."""
    grades: np.ndarray
    """(T, P) float64."""
    inside: np.ndarray
    """(Q,) int64: relevant documents in the corpus, by query."""
    total: np.ndarray
    """(Q,) int64: relevant documents, those outside the corpus included."""

    @property
    def others(self) -> np.ndarray:
        """Documents of the corpus that are not relevant, by query, (Q,) int64."""
        return self.n_documents - self.inside


def ranks_of(total: np.ndarray, ranks: np.ndarray, grades: np.ndarray, n_documents: int) -> Ranks:
    """Return the ranks of T rows over the same Q queries.

    `total` (Q,) int64 is the number of relevant documents of each query; `ranks` and `grades`
    (T, P) hold the columns ``relevant_ranks`` and ``relevant_grades``, one query after another:
    ascending, more than `n_documents` for a document outside the corpus.
    """
    query = np.repeat(np.arange(len(total)), total)
    place = np.arange(len(query)) - np.repeat(np.cumsum(total) - total, total)
    outside = ranks > n_documents
    above = np.where(outside, -1, ranks - 1 - place)
    inside = np.bincount(query[~outside[0]], minlength=len(total))
    return Ranks(n_documents, query, place, above, grades.astype(float), inside, total)


def expected(ranks: Ranks, measure: str, documents: Sequence[int]) -> np.ndarray:
    """Return the expected measure of each row and query in corpora of `documents`, (T, S, Q).

    float64. A corpus holds the relevant documents in any case: a size below their number counts as
    theirs, one above that of the whole corpus as that. At the whole corpus this is the measure
    itself. `measure` is one of `MEASURES`; raises KeyError for another.
    """
    chosen = MEASURES[measure]
    shares = weights(ranks, measure)
    # Rows and queries share most of their numbers, so each is computed once.
    keys, back = _distinct(ranks, chosen)
    above, place, inside = keys.T
    found = np.empty((len(ranks.above), len(documents), len(ranks.total)))
    for s, n in enumerate(documents):
        others = ranks.n_documents - inside
        drawn = np.clip(n - inside, 0, others)
        worth = hypergeometric_worth(above, place, others, drawn, chosen.worth())
        found[:, s] = summed(ranks, shares * worth[back].reshape(ranks.above.shape))
    return found


def weights(ranks: Ranks, measure: str) -> np.ndarray:
    """Return what the worth of each pair counts in its query's measure, (T, P) float64."""
    by, depth = MEASURES[measure].by, MEASURES[measure].depth
    if by == "dcg":
        # The ideal order holds the same grades in every row.
        order = np.lexsort((-ranks.grades[0], ranks.query))
        discount = np.where(ranks.place < depth, 1 / np.log2(ranks.place + 2), 0)
        ideal = np.bincount(
            ranks.query, ranks.grades[0][order] * discount, minlength=len(ranks.total)
        )
        return np.asarray(ranks.grades / np.maximum(ideal, 1e-300)[ranks.query])
    if by == "recall":
        return np.broadcast_to(1 / ranks.total[ranks.query], ranks.above.shape)
    return np.broadcast_to((ranks.place == 0).astype(float), ranks.above.shape)


def summed(ranks: Ranks, values: np.ndarray) -> np.ndarray:
    """Return the sums of (T, P) values by query, (T, Q) float64."""
    if len(ranks.query) == len(ranks.total) and (ranks.total == 1).all():
        return values
    width = len(ranks.total)
    return np.array([np.bincount(ranks.query, row, minlength=width) for row in values])


def _distinct(ranks: Ranks, measure: Measure) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct (above, place, inside) as (U, 3), and the one of each pair, (T·P,)."""
    # Documents below the depth in any corpus are alike, as are those outside.
    place = np.minimum(ranks.place, measure.depth)
    inside = ranks.inside[ranks.query]
    widths = int(place.max(initial=0)) + 1, int(inside.max(initial=0)) + 1
    packed = (ranks.above + 1) * (widths[0] * widths[1]) + (place * widths[1] + inside)
    keys, back = np.unique(packed, return_inverse=True)
    rest, inner = np.divmod(keys, widths[1])
    above, places = np.divmod(rest, widths[0])
    return np.column_stack([above - 1, places, inner]), back.ravel()


def hypergeometric_worth(
    above: np.ndarray, place: np.ndarray, others: np.ndarray, drawn: np.ndarray, worth: np.ndarray
) -> np.ndarray:
    """Return the expected worth of documents whose rank is 1 + place + H, (u,) float64.

    H is hypergeometric: of `others`, `above` rank higher, and `drawn` are drawn, all (u,) int64.
    `worth` (depth,) is that of each rank; deeper ones are worth nothing. An `above` of -1 stands
    for a document that is never found.
    """
    from scipy.special import gammaln

    never = above < 0
    a = np.where(never, 0, above).astype(float)
    rest, n, low = others - a, drawn.astype(float), np.maximum(0, drawn + a - others)
    at = (place + low).astype(np.int64)

    def log_choose(top: np.ndarray, of: np.ndarray) -> np.ndarray:
        return np.asarray(gammaln(top + 1) - gammaln(of + 1) - gammaln(top - of + 1))

    chance = np.exp(log_choose(a, low) + log_choose(rest, n - low) - log_choose(others + 0.0, n))
    padded, h = np.append(worth, 0.0), low
    found = np.zeros(len(a))
    for _ in range(len(worth)):
        found += chance * padded[np.minimum(at, len(worth))]
        if (at >= len(worth)).all():
            break
        chance = chance * ((a - h) * (n - h) / ((h + 1) * (rest - n + h + 1)))
        h, at = h + 1, at + 1
    found[never] = 0.0
    return found
