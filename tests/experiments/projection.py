"""How wrong a projection to a larger corpus is, by method, and how often its bounds hold.

``python -m tests.experiments.projection [--corpora DATASET ...] [--worlds 100] [--corect]``

``--corpora``: of real collections (encoder wordllama; default pycode), samples of queries in random
parts of the corpus, of N and N/10 documents each, are projected to the whole; the truth is what the
whole corpus gives. ``--worlds``: the same with made-up ranks of known law, among them one with near
copies, which the model does not know. ``--corect``: published results up to 10⁸ documents, of which
only means are known. The promise: the 95 % interval holds the truth in about 95 %, for quality and
for the share kept, but for near copies. Seeded.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_ndtr, ndtr, ndtri
from scipy.stats import betabinom, binom

from bench.embeddings import embed
from bench.exact.one_pass import Exact, exact_ranks, exact_search
from bench.projection.nested import expected, ranks_of
from bench.projection.projecting import project

CORECT = Path(__file__).parents[1] / "projection" / "corect.json"
DIMENSIONS = [32, 64, 96, 128, 192, 256]
SAMPLES = 5
TARGET = "ndcg_at_10"
DEPTH = 10
WORTH = 1 / np.log2(np.arange(DEPTH) + 2)
NEAREST = 100
"""Scores of other documents whose tail is fitted."""
Scores = list[tuple[np.ndarray, np.ndarray]]
"""By dimension: scores of the nearest others (q, k), best first, and of the relevant one (q,)."""


def tables(ranks: np.ndarray, n_documents: int, dims: list[int]) -> tuple[pd.DataFrame, ...]:
    """Return the tables of exact rows with (d, q) `ranks` of one relevant document per query."""
    trials = [f"t{d}" for d in dims]
    frame = pd.DataFrame({"trial_id": trials, "dim": dims}).assign(
        status="ok", backend="exact", dataset="x", encoder="y", dataset_fingerprint="f",
        n_queries=ranks.shape[1], n_corpus=n_documents, full_dim=dims[-1], reducer="truncate",
        reducer_kind="prefix", reducer_params="{}", precision="float32", stages="",
        ndcg_at_10=0.5,
    )  # fmt: skip
    queries = pd.concat(
        pd.DataFrame({"query_id": [str(q) for q in range(len(row))]}).assign(
            trial_id=trial,
            query_group=None,
            relevant_ranks=[[int(r)] for r in row],
            relevant_grades=[[1]] * len(row),
        )
        for trial, row in zip(trials, ranks, strict=True)
    )
    return frame, queries.reset_index(drop=True)


def means(ranks: np.ndarray, n_documents: int, sizes: list[int]) -> np.ndarray:
    """Return the mean measure of (d, q) ranks by size, (d, S)."""
    given = ranks_of(np.ones(ranks.shape[1], int), ranks, np.ones(ranks.shape), n_documents)
    return expected(given, TARGET, sizes).mean(axis=2)


def beta_binomial(ranks: np.ndarray, n: int, target: int) -> float:
    """Project the measure of (q,) ranks: chances of a document to rank above are beta, fitted."""
    above, others = ranks - 1, n - 1
    counts, times = np.unique(above, return_counts=True)
    fit = minimize(
        lambda logs: -(times * betabinom.logpmf(counts, others, *np.exp(logs))).sum(),
        np.log([0.1, 10.0]),
        method="Nelder-Mead",
    )
    a, b = np.exp(fit.x)
    places = np.arange(DEPTH)
    worth = [
        (WORTH[k:] * betabinom.pmf(places[: DEPTH - k], target - n, a + k, b + others - k)).sum()
        for k in places
    ]
    return float((times * np.append(worth, 0)[np.minimum(counts, DEPTH)]).sum() / len(ranks))


def tails(
    ranks: np.ndarray, others: np.ndarray, relevant: np.ndarray, n: int, target: int, shape: bool
) -> float:
    """Project the measure of (q,) ranks by the tail of each query's scores.

    `others` (q, k) are the scores of the k nearest other documents, best first; `relevant` (q,) is
    that of the relevant one. Excesses over the last of them are exponential with a scale per query,
    or generalised Pareto with that scale and one `shape` for all, fitted.
    """
    bar = others[:, -1]
    excess = others[:, :-1] - bar[:, None]
    scale = np.maximum(excess.mean(axis=1), 1e-9)
    units = np.maximum(relevant - bar, 0) / scale

    def log_beyond(xi: float, x: np.ndarray) -> np.ndarray:
        if abs(xi) < 1e-6:
            return -x
        return -np.log(np.maximum(1 + xi * x / (1 - xi), 1e-300)) / xi

    xi = 0.0
    if shape:
        seen = excess / scale[:, None]

        def misfit(xi: float) -> float:
            inside = np.maximum(1 + xi * seen / (1 - xi), 1e-300)
            return float(np.log(1 - xi) * seen.size + (1 + 1 / xi) * np.log(inside).sum())

        xi = float(minimize_scalar(misfit, bounds=(-0.45, -1e-4), method="bounded").x)
    nearest = others.shape[1] / (n - 1)
    chance = np.where(
        relevant > bar, nearest * np.exp(log_beyond(xi, units)), (ranks - 1) / (n - 1)
    )
    above = (ranks - 1)[:, None]
    places = np.arange(DEPTH)[None]
    reached = binom.pmf(places - above, target - n, np.clip(chance, 0, 1)[:, None])
    return float((reached * WORTH).sum(axis=1).mean())


def rivals(
    ranks: np.ndarray, n: int, target: int, scores: Scores | None = None
) -> dict[str, np.ndarray]:
    """Return what other methods project, (d,) each; tails only with the `scores`."""
    found = {"as measured": means(ranks, n, [n])[:, -1]}
    for decades in (1, 2):
        sizes = np.unique(np.geomspace(max(10, n / 10**decades), n, 9).astype(int))
        curve = ndtri(np.clip(means(ranks, n, list(sizes)), 1e-6, 1 - 1e-6))
        lines = [np.polyfit(np.log10(sizes), row, 1) for row in curve]
        name = f"probit line, {'one decade' if decades == 1 else 'two decades'}"
        found[name] = np.array([ndtr(np.polyval(line, np.log10(target))) for line in lines])
    found["beta-binomial"] = np.array([beta_binomial(row, n, target) for row in ranks])
    for name, shape in (("exponential tail", False), ("Pareto tail", True)) if scores else ():
        found[name] = np.array(
            [tails(ranks[i], *scores[i], n, target, shape) for i in range(len(ranks))]
        )
    return found


class Tally:
    """Errors and coverage of one case."""

    def __init__(self) -> None:
        self.errors: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        self.held: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add(
        self,
        ranks: np.ndarray,
        n: int,
        target: int,
        dims: list[int],
        truth: np.ndarray,
        scores: Scores | None = None,
    ) -> None:
        """Project (d, q) `ranks` among n documents to `target`, whose truth is (d,)."""
        found = project(*tables(ranks, n, dims), [target])
        found = found[found["refused"] == ""]
        if len(found) < len(dims):
            return
        projected = rivals(ranks, n, target, scores) | {"shipped": found["quality"].to_numpy()}
        share = truth / truth[-1]
        for name, values in projected.items():
            pair = np.abs(values - truth), np.abs(values / values[-1] - share)[:-1]
            self.errors.setdefault(name, []).append(pair)
        quality = found[["quality_low", "quality_high"]].to_numpy().T
        kept = found[["kept_low", "kept_high"]].to_numpy().T[:, :-1]
        within = [
            (low <= value) & (value <= high)
            for (low, high), value in ((quality, truth), (kept, share[:-1]))
        ]
        self.held.append((*within, kept[1] - kept[0]))

    def show(self, name: str) -> None:
        if not self.errors:
            print(f"| {name} | refused | | | | | |", flush=True)
            return
        for method, pairs in self.errors.items():
            errors = [np.mean([pair[i] for pair in pairs]) for i in (0, 1)]
            line = f"| {name} | {method} | {errors[0]:.4f} | {errors[1]:.4f} |"
            if method == "shipped":
                rates = [np.mean([held[i] for held in self.held]) for i in (0, 1, 2)]
                line += f" {rates[0]:.0%} | {rates[1]:.0%} | {rates[2]:.3f} |"
            else:
                line += " | | |"
            print(line, flush=True)


def corpora(names: list[str], encoder: str) -> None:
    """Project random parts of real collections to the whole."""
    for name in names:
        data = embed(name, encoder, progress=False)
        rows, documents = data.relevant_pairs()
        first = np.unique(rows, return_index=True)[1]
        rows, documents = rows[first], documents[first]
        whole, rng = len(data.corpus), np.random.default_rng(0)
        full = exact_ranks(data.queries, data.corpus, DIMENSIONS, (rows, documents), own=data.own)
        truth = means(np.array([full[d] for d in DIMENSIONS]), whole, [whole])[:, 0]
        chunks = np.array_split(rng.permutation(len(rows)), max(1, min(SAMPLES, len(rows) // 500)))
        for times in (10, 50):
            n, tally = whole // times, Tally()
            for chunk in chunks:
                asked = chunk[: n // 3]
                needed = np.unique(documents[asked])
                others = rng.permutation(np.setdiff1d(np.arange(whole), needed))
                kept = np.sort(np.append(needed, others[: n - len(needed)]))
                pairs = np.arange(len(asked)), np.searchsorted(kept, documents[asked])
                corpus = np.ascontiguousarray(data.corpus[kept])
                found = exact_search(
                    data.queries[rows[asked]], corpus, DIMENSIONS, NEAREST + 1, relevant=pairs
                )
                ranks = np.array([found.relevant[d][1] for d in DIMENSIONS])
                scores = [_scores(found, d, pairs[1]) for d in DIMENSIONS]
                tally.add(ranks, n, whole, DIMENSIONS, truth, scores)
            tally.show(f"{Path(name).name}, {n:,} to {whole:,}")


def _scores(found: Exact, dim: int, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of the nearest others (q, NEAREST), and of the relevant document (q,)."""
    ids, scores = found.nearest[dim]
    own = ids == relevant[:, None]
    # Where the relevant document is not among them, the last of the nearest goes.
    own[~own.any(axis=1), -1] = True
    return scores[~own].reshape(len(ids), -1), found.relevant[dim][0]


LAWS = ("normal scores", "heavy tails", "two kinds of query", "exponential", "near copies")


def world(law: str, rng: np.random.Generator, count: int) -> np.ndarray:
    """Return log p, (3, count): the chance that a document outranks each query's relevant one.

    Three dimensions, correlated; the last is the full one.
    """
    shared, own = rng.standard_normal(count), rng.standard_normal((3, count))
    means_, spread = np.array([[2.0], [2.6], [2.9]]), 1.0
    noise = 0.9 * shared + np.sqrt(1 - 0.81) * own
    if law == "heavy tails":
        noise = noise / np.sqrt(rng.chisquare(4, count) / 4)
    if law == "two kinds of query":
        means_ = means_ + np.where(rng.random(count) < 0.3, 1.5, -0.5)
    if law == "exponential":
        return np.minimum(-(means_**2) * np.exp(0.8 * noise), -1e-3)
    return np.asarray(log_ndtr(-(means_ + spread * noise)))


def worlds(count: int, queries: int) -> None:
    """Project made-up ranks of a known law."""
    n, dims = 10_000, [32, 128, 256]
    for law in LAWS:
        rng, tallies = np.random.default_rng(1), {t: Tally() for t in (10, 100)}
        everyone = world(law, rng, 40_000)
        copies = 1e-7 * rng.exponential(50, everyone.shape[1]) if law == "near copies" else 0.0
        for _ in range(count):
            chosen = rng.choice(everyone.shape[1], queries, replace=False)
            ranks = 1 + rng.binomial(n - 1, np.exp(everyone[:, chosen]))
            for times, tally in tallies.items():
                truth = _truth(everyone, copies, n * times)
                tally.add(ranks, n, n * times, dims, truth)
        for times, tally in tallies.items():
            tally.show(f"{law}, {queries:,} queries, {times}×")


def _truth(log_p: np.ndarray, copies: np.ndarray | float, documents: int) -> np.ndarray:
    """Return the expected measure over all queries; copies outrank with a chance of their own."""
    rng = np.random.default_rng(2)
    above = rng.binomial(documents - 1, np.minimum(np.exp(log_p) + copies, 1))
    return np.where(above < 10, 1 / np.log2(np.minimum(above, 9) + 2), 0).mean(axis=1)


def corect() -> None:
    """Project published means: a probit line, in log N and in its square root."""
    data = json.loads(CORECT.read_text())
    decades = np.log10(data["documents"])
    axes = {"line in log N": decades, "line in √log(N/100)": np.sqrt(decades - 2)}
    print("| fit | predicts | method | quality | share kept |\n| --- | --- | --- | --- | --- |")
    for last, ahead in ((2, 3), (2, 4), (1, 3), (1, 4)):
        fit = f"| 10⁴…10^{decades[last]:.0f} | 10^{decades[ahead]:.0f} |"
        for name, axis in {**axes, "as measured": None}.items():
            errors: tuple[list[float], list[float]] = ([], [])
            for model, full in data["full"].items():
                top = _line(np.array(full), axis, last, ahead)
                for shares in data["kept"][model].values():
                    values = np.array(full) * shares
                    one = _line(values, axis, last, ahead)
                    errors[0].append(abs(one - values[ahead]))
                    errors[1].append(abs(one / top - shares[ahead]))
            print(f"{fit} {name} | {np.mean(errors[0]):.3f} | {np.mean(errors[1]):.3f} |")


def _line(values: np.ndarray, axis: np.ndarray | None, last: int, ahead: int) -> float:
    if axis is None:
        return float(values[last])
    line = np.polyfit(axis[: last + 1], ndtri(np.clip(values[: last + 1], 1e-6, 1 - 1e-6)), 1)
    return float(ndtr(np.polyval(line, axis[ahead])))


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--corpora", nargs="*", default=None)
    parser.add_argument("--encoder", default="wordllama")
    parser.add_argument("--worlds", type=int, default=0)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--corect", action="store_true")
    asked = parser.parse_args()
    if asked.corect:
        corect()
    if asked.corpora is not None or asked.worlds:
        print("| case | method | error | of share | holds quality | holds share | width |")
        print("| --- | --- | --- | --- | --- | --- | --- |")
    if asked.corpora is not None:
        corpora(asked.corpora or ["pycode"], asked.encoder)
    if asked.worlds:
        worlds(asked.worlds, asked.queries)


if __name__ == "__main__":
    main()
