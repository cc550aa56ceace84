"""Scores and ranks of given documents, counted while the pass scans the corpus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from bench.exact.scan import Pass

METRICS = ("cosine", "inner_product", "l2")
NEAR = 4e-6
"""Scores closer than this, relative to `Pass.magnitude`, are computed again in double precision."""


class Pairs:
    """The documents whose score and rank are requested, by query."""

    def __init__(self, of: Pass, rows: np.ndarray, ids: np.ndarray) -> None:
        rows, ids = np.asarray(rows, np.int64), np.asarray(ids, np.int64)
        for kind, named, limit in (
            ("query", rows, len(of.queries)),
            ("document", ids, len(of.corpus)),
        ):
            if len(named) and not (named.min() >= 0 and named.max() < limit):
                raise ValueError(f"a pair names a {kind} outside 0…{limit - 1}")
        self.of = of
        self.order = np.argsort(rows, kind="stable")
        self.rows = rows[self.order]
        self.ids = ids[self.order]
        self.first = np.searchsorted(self.rows, np.arange(len(of.queries) + 1))
        self.scores = np.array(
            [of.pair_scores(self.rows, self.ids, j) for j in range(len(of.steps))]
        )
        # The pass leaves out terms that depend on the query alone.
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
        """Add to `above` (p,) the documents of a block that rank above each pair at step `j`."""
        first = self.first[group.start : min(group.stop, len(self.of.queries)) + 1]
        near = NEAR * self.of.magnitude(j, float(np.sqrt(longest_square)))[self.rows] * self.unit[j]
        self.of.kernels.count_above(
            self.of.metric, products, *weight, start,
            self.of.queries[group], documents, self.of.steps[j],
            first, self.ids, self.raw[j], near, self.scores[j], above,
        )  # fmt: skip

    def ranks(self, counts: list[np.ndarray | None]) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Return score and rank of each pair, in the order requested, by dimension."""
        above = np.sum([count for count in counts if count is not None], axis=0)
        found = {}
        for j, d in enumerate(self.of.steps):
            ranks = 1 + above[j]
            if self.of.own is not None:
                ranks -= self._own_above(j)
            requested = np.empty(len(ranks)), np.empty(len(ranks), np.int64)
            requested[0][self.order] = self.scores[j]
            requested[1][self.order] = ranks
            found[d] = requested
        return found

    def _own_above(self, j: int) -> np.ndarray:
        """Return whether the query's own document ranks above each pair's, (p,) bool.

        False for a pair that is the query with its own document.
        """
        own = self.of.own[self.rows]  # type: ignore[index]
        has = (own >= 0) & (own != self.ids)
        above = np.zeros(len(own), bool)
        scores = self.of.pair_scores(self.rows[has], own[has], j).astype(np.float32)
        others = self.scores[j][has].astype(np.float32)
        above[has] = (scores > others) | ((scores == others) & (own[has] < self.ids[has]))
        return above
