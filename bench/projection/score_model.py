"""Quality in a larger corpus: how often a further document would rank above a relevant one.

Each relevant document has a chance p that a document drawn at random ranks above it. Of M others,
a ~ Binomial(M, p) did; of further ones, as many more will in proportion. What p is where a is
small, the other queries tell: over all of them, √(−log p) is taken to be normal, and its mean and
standard deviation are fitted by maximum likelihood (empirical Bayes: Robbins 1956, Efron 2014).
For a small p, −2 log p is close to the square of how many standard deviations the document lies
above the others, so the scale is that of scores. It was chosen among five of the kind; README.md
of this folder has the errors of each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.projection.nested import MEASURES, Ranks, weights

_STEP = 0.02
_ROOTS = np.arange(_STEP / 2, 5.6, _STEP)
"""Values of √(−log p): p from 1 down to 2e-14."""
_EXACT = 128
"""Counts below this have bins of their own: no measure looks deeper than rank 100."""
_WIDER = 1.06
"""Ratio of the edges of other bins."""
_STARTS = [np.array([mean, log]) for mean in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0) for log in (-1, 0)]
"""Means and log standard deviations, of which the fit starts from the best."""
_NUDGE = 1e-3
"""Step of numerical derivatives."""


@dataclass(frozen=True)
class Grown:
    """What the model says of T rows in S larger corpora."""

    values: np.ndarray
    """(T, S, Q) float64: their mean over queries is the projected measure. Beside what is expected
    of a query, each holds what the query did to the fit, so resampling them resamples the fit."""
    left_out: np.ndarray
    """(T,) float64: the measure in the corpus at hand, as the same fit to a tenth of it says."""


@dataclass(frozen=True)
class _Counts:
    """The counts of documents above, in bins, and their likelihood on the grid of p."""

    others: int
    edges: np.ndarray
    """(B + 1,): bin b holds the counts from edge b to below edge b + 1."""
    middle: np.ndarray
    """(B,) int64: a count of each bin."""
    likelihood: np.ndarray
    """(B, G), the largest of each bin 1."""

    def bins(self, counts: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.edges, counts, side="right") - 1


def grown(ranks: Ranks, measure: str, documents: list[int]) -> Grown:
    """Project T rows to corpora of `documents`, each larger than the one at hand.

    The documents added are taken to be like those at hand, and a query's relevant ones to stay the
    same. `measure` is one of `nested.MEASURES`.
    """
    chosen = MEASURES[measure]
    relevant = round(float(ranks.inside.mean()))
    counts = _counts(max(2, ranks.n_documents - relevant))
    fewer = _counts(max(1, ranks.n_documents // 10 - relevant))
    thinned = _thinning(counts, fewer)
    # Beyond the depth nothing counts, so those places are one.
    place = np.minimum(ranks.place, chosen.depth)
    shares = np.where(ranks.above >= 0, weights(ranks, measure), 0.0)
    heeded = _heeded(ranks, chosen.by)
    added = [n - ranks.n_documents for n in documents]
    worths = _worths(chosen.worth(), added)
    back = _worths(chosen.worth(), [ranks.n_documents - ranks.n_documents // 10])
    values = np.empty((len(ranks.above), len(added), len(ranks.total)))
    left_out = np.empty(len(ranks.above))
    for t, above in enumerate(ranks.above):
        bins = counts.bins(np.minimum(np.maximum(above, 0), counts.others))
        seen = np.bincount(bins, heeded[t], minlength=len(counts.middle))
        fitted = _fit(counts, seen)
        table = _expected_worth(counts, fitted, worths)
        found = shares[t] * table[:, place, bins]
        values[t] = [np.bincount(ranks.query, row, minlength=len(ranks.total)) for row in found]
        values[t] += _pull(counts, fitted, worths, ranks, (bins, place, shares[t], heeded[t]))
        small = _fit(fewer, seen @ thinned)
        by_place = np.zeros((chosen.depth + 1, len(counts.middle)))
        np.add.at(by_place, (place, bins), shares[t])
        expected = _expected_worth(fewer, small, back)[0]
        left_out[t] = ((by_place @ thinned) * expected).sum() / len(ranks.total)
    return Grown(values, left_out)


def _heeded(ranks: Ranks, by: str) -> np.ndarray:
    """Return how much each pair counts in the fit, (T, P): a query's pairs count as one together.

    Measures of the first relevant document heed no other.
    """
    first = by in ("mrr", "success")
    each = (ranks.place == 0).astype(float) if first else 1 / ranks.total[ranks.query]
    return np.where(ranks.above >= 0, each, 0.0)


def _counts(others: int) -> _Counts:
    """Return the bins of counts among `others` documents."""
    edges = list(range(min(_EXACT, others + 1)))
    while edges[-1] < others:
        edges.append(min(others, int(np.ceil((edges[-1] + 1) * _WIDER))))
    starts = np.array(edges, dtype=np.int64)
    ends = np.append(starts[1:], others + 1)
    middle = np.where(
        ends - starts == 1, starts, np.round(np.sqrt(np.maximum(starts, 1.0) * (ends - 1)))
    )
    log_p = -(_ROOTS**2)
    log_rest = np.log(-np.expm1(log_p))
    log = middle[:, None] * log_p + (others - middle)[:, None] * log_rest
    likelihood = np.exp(log - log.max(axis=1, keepdims=True))
    return _Counts(others, np.append(starts, others + 1), middle.astype(np.int64), likelihood)


def _thinning(counts: _Counts, fewer: _Counts) -> np.ndarray:
    """Return how the counts of each bin fall into those of a random part of the corpus, (B, C)."""
    from scipy.special import gammaln

    a, h = counts.middle[:, None].astype(float), fewer.middle[None].astype(float)
    whole, part = counts.others, fewer.others
    possible = (h <= a) & (part - h <= whole - a)
    h = np.where(possible, h, np.clip(h, np.maximum(0, part - whole + a), np.minimum(a, part)))

    def log_choose(top: np.ndarray | float, of: np.ndarray | float) -> np.ndarray:
        return np.asarray(gammaln(top + 1.0) - gammaln(of + 1.0) - gammaln(top - of + 1.0))

    log = log_choose(a, h) + log_choose(whole - a, part - h) - log_choose(whole, part)
    chance = np.where(possible, np.exp(log), 0.0) * np.diff(fewer.edges)
    # A law narrower than a bin may miss its middle.
    missed = chance.sum(axis=1) < 0.5
    chance[missed] = 0.0
    expected = np.round(counts.middle[missed] * (part / whole))
    chance[missed, fewer.bins(np.minimum(expected, part))] = 1.0
    return np.asarray(chance / chance.sum(axis=1, keepdims=True))


def _density(fitted: np.ndarray) -> np.ndarray:
    """Return the chance of each √(−log p) of the grid, (G,): normal, cut off at 0."""
    density = np.exp(-0.5 * ((_ROOTS - fitted[0]) / np.exp(fitted[1])) ** 2) + 1e-300
    return np.asarray(density / density.sum())


def _fit(counts: _Counts, seen: np.ndarray) -> np.ndarray:
    """Return the mean and the log standard deviation that explain `seen` (B,) best."""
    from scipy.optimize import minimize

    some = seen > 0
    likelihood, times = counts.likelihood[some], seen[some]

    def unlikely(at: np.ndarray) -> float:
        if not (-8 < at[0] < 8 and -4 < at[1] < 2):
            return 1e12
        return -float(times @ np.log(np.maximum(likelihood @ _density(at), 1e-300)))

    # From the best of a few, since a search from afar may stop halfway.
    first = min(_STARTS, key=unlikely)
    simplex = first + np.array([[0, 0], [0.2, 0], [0, 0.2]])
    options = {"xatol": 1e-4, "fatol": 1e-6, "initial_simplex": simplex}
    return np.asarray(minimize(unlikely, first, method="Nelder-Mead", options=options).x)


def _worths(worth: np.ndarray, added: list[int]) -> np.ndarray:
    """Return what a document at rank 1 + s is worth once `added` more are there, (S, depth, G).

    Of the added a Binomial(added, p) number ranks above it.
    """
    from scipy.special import gammaln

    depth = len(worth)
    k = np.arange(depth, dtype=float)[:, None]
    log_p = -(_ROOTS**2)
    log_rest = np.log(-np.expm1(log_p))
    found = np.zeros((len(added), depth, len(_ROOTS)))
    for s, n in enumerate(added):
        enough = k <= n
        log = gammaln(n + 1.0) - gammaln(k + 1) - gammaln(np.where(enough, n - k, 0) + 1)
        chance = np.where(enough, np.exp(log + k * log_p + (n - k) * log_rest), 0)
        for rank in range(depth):
            found[s, rank] = worth[rank:] @ chance[: depth - rank]
    return found


def _expected_worth(counts: _Counts, fitted: np.ndarray, worths: np.ndarray) -> np.ndarray:
    """Return the expected worth by corpus, place and bin, (S, depth + 1, B)."""
    depth = worths.shape[1]
    posterior = counts.likelihood * _density(fitted)
    posterior /= posterior.sum(axis=1, keepdims=True)
    found = np.zeros((len(worths), depth + 1, len(counts.middle)))
    for above in range(min(depth, len(counts.middle))):
        found[:, : depth - above, above] = worths[:, above:] @ posterior[above]
    return found


def _pull(
    counts: _Counts,
    fitted: np.ndarray,
    worths: np.ndarray,
    ranks: Ranks,
    pairs: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
) -> np.ndarray:
    """Return how each query moves the projection through the fit, (S, Q): its influence.

    Source: the influence function of a maximum-likelihood estimate, Hampel 1974.
    """
    bins, place, shares, heeded = pairs
    nudges = np.eye(2) * _NUDGE

    def log_likelihood(at: np.ndarray) -> np.ndarray:
        return np.asarray(np.log(np.maximum(counts.likelihood @ _density(at), 1e-300)))

    def mean_worth(at: np.ndarray) -> np.ndarray:
        table = _expected_worth(counts, at, worths)
        return np.asarray((table[:, place, bins] @ shares) / len(ranks.total))

    slopes = np.array(
        [(log_likelihood(fitted + e) - log_likelihood(fitted - e)) / (2 * _NUDGE) for e in nudges]
    )
    scores = np.array(
        [
            np.bincount(ranks.query, heeded * slope[bins], minlength=len(ranks.total))
            for slope in slopes
        ]
    )
    total = np.bincount(bins, heeded, minlength=len(counts.middle))

    def mean_slope(at: np.ndarray) -> np.ndarray:
        return np.array(
            [
                total @ (log_likelihood(at + e) - log_likelihood(at - e)) / (2 * _NUDGE)
                for e in nudges
            ]
        ) / len(ranks.total)

    curvature = np.array(
        [(mean_slope(fitted + e) - mean_slope(fitted - e)) / (2 * _NUDGE) for e in nudges]
    )
    towards = np.array(
        [(mean_worth(fitted + e) - mean_worth(fitted - e)) / (2 * _NUDGE) for e in nudges]
    )
    if np.linalg.cond(curvature) > 1e10:
        return np.zeros((len(worths), len(ranks.total)))
    return np.asarray(-(towards.T @ np.linalg.solve(curvature, scores)))
