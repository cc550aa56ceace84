"""LeanVec's query-aware reduction: a rotation learned from the corpus and from training queries."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import minimize_scalar

from bench.errors import UsageError
from bench.reducers import Reducer, moments
from bench.vectors import normalise

_TOLERANCE = 0.02


class LeanVec(Reducer):
    """The d leading eigenvectors of (1 - β) K_Q + β K_X: moments of training queries and of corpus.

    Out-of-distribution form with one map P for queries and documents. β minimises the loss
    ||Q P Pᵀ Xᵀ - Q Xᵀ||² of scores, relative to ||Q Xᵀ||², in the mean over powers of two of d. The
    paper searches β for each d; here one β serves all, so that the prefixes are nested. β = 1 is
    uncentred PCA of the corpus, β = 0 (`queries_only`) of the queries. Being a rotation, it keeps
    every cosine at the full dimension.

    The optimum with two maps (LeanVec-Sphering) is nested too, but it needs documents stored
    without unit length: an index of cosines would change the order of its scores.
    Source: Tepper et al., LeanVec, 2023 (eigenvector search).
    """

    name = "leanvec"
    fitted = ("axes",)
    summary = "query-aware PCA (LeanVec-OOD), learned from the corpus and its training queries"
    needs_queries = True
    grid = {"queries_only": [False]}

    def fit(self, corpus: np.ndarray) -> None:
        """Learn the rotation; raises UsageError without training queries in `queries`."""
        if self.queries is None or not len(self.queries):
            raise UsageError(
                "reducer 'leanvec' learns from training queries, and there are none: "
                "use a dataset with qrels/train.tsv or qrels/dev.tsv, or the reducer pca"
            )
        asked, stored = moments(self.queries)[1], moments(corpus)[1]
        share = 0.0 if self.parameters["queries_only"] else _best_share(asked, stored)
        self.axes = _axes(asked, stored, share).astype(np.float32)

    def map(self, vectors: np.ndarray) -> np.ndarray:
        return np.asarray(normalise(vectors) @ self.axes)

    def code(self) -> str:
        return 'vectors @ MAP["axes"]'


def score_losses(axes: np.ndarray, asked: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Return ||Q P Pᵀ Xᵀ - Q Xᵀ||² / ||Q Xᵀ||² for the first 1, 2, … D of the axes, (D,) float64.

    `axes` (D, D) are orthonormal columns, `asked` and `stored` (D, D) the moments of Q and X.
    """
    # Over the axes left out, R: the trace of Rᵀ K_Q R Rᵀ K_X R, a sum over pairs left out.
    pairs = (axes.T @ asked @ axes) * (axes.T @ stored @ axes)
    left = np.cumsum(np.cumsum(pairs[::-1, ::-1], axis=0), axis=1).diagonal()[::-1]
    return np.asarray(np.append(left[1:], 0.0) / np.sum(asked * stored))


def _best_share(asked: np.ndarray, stored: np.ndarray) -> float:
    """Return the β of the least loss; never worse than PCA or the queries alone."""
    full = len(stored)
    dimensions = [2**i for i in range(full.bit_length()) if 2**i < full] or [full]

    def loss(share: float) -> float:
        losses = score_losses(_axes(asked, stored, share), asked, stored)
        return float(np.mean([losses[d - 1] for d in dimensions]))

    found = minimize_scalar(
        loss, bounds=(0.0, 1.0), method="bounded", options={"xatol": _TOLERANCE}
    )
    return min((float(found.x), 0.0, 1.0), key=loss)


def _axes(asked: np.ndarray, stored: np.ndarray, share: float) -> np.ndarray:
    axes = eigh((1 - share) * asked + share * stored)[1][:, ::-1]
    # An eigenvector's sign is arbitrary; fixing it keeps the map the same on every machine.
    return np.asarray(axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(len(axes))]))
