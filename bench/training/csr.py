"""Train sparse codes (CSR) on frozen vectors: a tied autoencoder of which few latents are active.

Source: Wen et al., Beyond Matryoshka, 2025 (reconstruction at k and 4 k, dead latents, contrast);
Gao et al. 2024 (TopK autoencoders).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.backends.csr import Csr, save_weights
from bench.datasets import load_dataset
from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.errors import DataError, UsageError
from bench.exact.one_pass import exact_topk
from bench.libraries import extra
from bench.quality.measures import relevance
from bench.reducers.pca import Pca
from bench.training.fitting import PASSAGES, unit_first, warm_then_cosine
from bench.training.held_out import (
    CHOOSING,
    JUDGING,
    MEASURE,
    HeldOutQueries,
    Split,
    asked_documents,
)
from bench.vectors import normalise

_WIDER = 4
"""Latents per dimension; the second reconstruction has this many times the active ones too."""
_TEMPERATURE = 0.06
_WIDE_WEIGHT, _DEAD_WEIGHT = 1 / 8, 1 / 32
_DEAD_STEPS = 30
_REVIVED = 512
_EVALUATIONS = 10


def train_csr(
    dataset: str,
    encoder: str,
    out: str | Path,
    *,
    dimensions: Sequence[int] | None = None,
    latents: int | None = None,
    steps: int = 600,
    batch: int = 512,
    learning_rate: float = 1e-3,
    passages: int = PASSAGES,
    seed: int = 0,
    own_corpus: bool = False,
    progress: Callable[[str], None] | None = None,
) -> list[str]:
    """Train on the training split of `dataset` and write the weights of backend `csr` to `out`.

    `dimensions` are the numbers of active latents that are trained jointly, by default 8, 16, 32
    and 64 up to D; `latents` is their whole number, by default 4 D. What training never sees is as
    of `bench.training.adaptor.train`. Returns the summary: nDCG@10 on held-out pairs beside
    truncation and PCA to as many dimensions. Raises UsageError on bad input.
    """
    torch = extra("torch", "training", "train")
    data = embed(dataset, encoder or None, split="train")
    full = data.full_dim
    active = sorted(set(dimensions or [k for k in (8, 16, 32, 64) if k <= full]))
    latents = latents or _WIDER * full
    if bad := [k for k in active if not 1 <= k <= latents]:
        raise UsageError(f"{bad[0]} active latents are outside 1…{latents}, the number of latents")
    hidden = np.zeros(len(data.corpus), bool)
    if not own_corpus:
        hidden = asked_documents(dataset, data.doc_ids)
    split = Split(data, seed, hidden)
    if encoder and passages:
        split.add_passages(
            load_dataset(dataset, "train").documents or (), encoder, passages, seed, False
        )
    if split.held_pairs is None or len(split.rows) < 2:
        raise DataError(f"dataset '{dataset}' has too few training pairs to train and to hold out")
    fit = _Fit(torch, data, split, active, latents, seed)
    optimiser = torch.optim.Adam(fit.parameters.values(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warm_then_cosine(step, steps)
    )
    best, kept = -np.inf, fit.weights()
    for step in range(1, steps + 1):
        loss = fit.loss(batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % max(1, steps // _EVALUATIONS) == 0 or step == steps:
            found = _quality(fit.weights(), data, split.held_pairs.half(CHOOSING), active)
            quality = float(np.mean([values.mean() for values in found.values()]))
            if progress:
                progress(f"step {step}: loss {loss.item():.3f}, held-out quality {quality:.4f}")
            if quality > best:
                best, kept = quality, fit.weights()
    curves = _compared(kept, data, split.held_pairs.half(JUDGING), active)
    save_weights(
        Path(out),
        kept,
        {
            "encoder": encoder,
            "dataset": dataset,
            "dataset_fingerprint": data.dataset_fingerprint,
            "saw_test_documents": own_corpus,
            "full_dim": full,
            "latents": latents,
            "dimensions": active,
            "steps": steps,
            "batch": batch,
            "learning_rate": learning_rate,
            "passages": len(split.owners),
            "seed": seed,
            "measure": MEASURE,
            "held_out": curves,
        },
    )
    return [
        f"Trained for {steps} steps. {MEASURE} on held-out data, by active latents or dimensions:",
        *(
            f"{k:>5}  " + "  ".join(f"{name} {curve[i]:.3f}" for name, curve in curves.items())
            for i, k in enumerate(active)
        ),
        f'Use it in a study as backend = "csr" with build = {{ path = "{out}" }}.',
    ]


class _Fit:
    """Parameters of the autoencoder, and its loss."""

    def __init__(
        self, torch: Any, data: Embeddings, split: Split, active: list[int], latents: int, seed: int
    ) -> None:
        self.torch, self.split, self.active = torch, split, active
        self.corpus, self.rng = data.corpus, np.random.default_rng(seed)
        pca = Pca()
        pca.fit(data.corpus[split.documents])
        drawn = self.rng.standard_normal((data.full_dim, latents))
        # It begins as both signs of the principal axes, then directions at random.
        columns = np.concatenate([pca.axes, -pca.axes, drawn / np.linalg.norm(drawn, axis=0)], 1)
        arrays = {
            "encoder": columns[:, :latents],
            "pre_bias": np.zeros(data.full_dim),
            "latent_bias": np.zeros(latents),
        }
        self.parameters = {
            name: torch.tensor(array.astype(np.float32)).requires_grad_()
            for name, array in arrays.items()
        }
        self.unused = torch.zeros(latents)

    def weights(self) -> dict[str, np.ndarray]:
        """Return the parameters as the backend reads them."""
        return {name: value.detach().numpy().copy() for name, value in self.parameters.items()}

    def loss(self, batch: int) -> Any:
        """Return the loss of one batch of pairs and one of passages."""
        split, total, n = self.split, 0.0, 0
        for queries, rows, targets in (
            (split.queries, split.rows, split.targets),
            (split.passages, np.arange(len(split.owners)), split.owners),
        ):
            if len(rows) > 1:
                chosen = self.rng.choice(len(rows), min(batch, len(rows)), replace=False)
                total, n = total + self._of(queries[rows[chosen]], targets[chosen]), n + 1
        return total / n

    def _of(self, queries: np.ndarray, targets: np.ndarray) -> Any:
        torch, functional = self.torch, self.torch.nn.functional
        sides = [torch.tensor(queries), torch.tensor(normalise(self.corpus[targets]))]
        latents = [self._latents(side) for side in sides]
        same = torch.tensor((targets[:, None] == targets) & ~np.eye(len(targets), dtype=bool))
        right = torch.arange(len(targets))
        total: Any = 0.0
        for k in self.active:
            codes = [self._top(side, k) for side in latents]
            total = total + sum(self._error(x, z) for x, z in zip(sides, codes, strict=True)) / 2
            asked, stored = (functional.normalize(code, dim=1) for code in codes)
            scores = (asked @ stored.T / _TEMPERATURE).masked_fill(same, -torch.inf)
            contrast = functional.cross_entropy(scores, right)
            total = total + (contrast + functional.cross_entropy(scores.T, right)) / 2
        total = total / len(self.active)
        wide = min(_WIDER * self.active[-1], latents[0].shape[1])
        for x, side in zip(sides, latents, strict=True):
            total = total + _WIDE_WEIGHT * self._error(x, self._top(side, wide)) / 2
        self._count(codes)
        return total + _DEAD_WEIGHT * self._revival(sides[1], latents[1], codes[1])

    def _latents(self, x: Any) -> Any:
        p = self.parameters
        return (x - p["pre_bias"]) @ p["encoder"] + p["latent_bias"]

    def _top(self, latents: Any, k: int) -> Any:
        top = latents.topk(k, dim=1)
        return self.torch.zeros_like(latents).scatter(1, top.indices, top.values.relu())

    def _decoded(self, code: Any) -> Any:
        return code @ self.parameters["encoder"].T + self.parameters["pre_bias"]

    def _error(self, x: Any, code: Any) -> Any:
        """Return the squared error of a reconstruction, relative to the vectors' spread."""
        return (x - self._decoded(code)).square().sum() / (x - x.mean(dim=0)).square().sum()

    def _count(self, codes: list[Any]) -> None:
        used = sum((code > 0).any(dim=0) for code in codes) > 0
        self.unused = self.torch.where(used, 0, self.unused + 1)

    def _revival(self, x: Any, latents: Any, code: Any) -> Any:
        """Return how badly the dead latents alone reconstruct what the others leave."""
        dead = self.unused > _DEAD_STEPS
        n = min(_REVIVED, int(dead.sum()))
        if not n:
            return 0.0
        left = (x - self._decoded(code)).detach()
        revived = self._top(latents.masked_fill(~dead, -self.torch.inf), n)
        found = revived @ self.parameters["encoder"].T
        return (left - found).square().sum() / left.square().sum()


def _quality(
    weights: dict[str, np.ndarray], data: Embeddings, held: HeldOutQueries, active: list[int]
) -> dict[int, np.ndarray]:
    """Return nDCG@10 of the held-out queries with each number of active latents."""
    found, corpus = {}, normalise(data.corpus)
    for k in active:
        index = Csr(dimension=k)
        index.build_with(weights, corpus)
        ids = index.search(held.vectors, 10)
        found[k] = relevance(ids, held.ids, held.qrels, 10)["ndcg_at_10"]
    return found


def _compared(
    weights: dict[str, np.ndarray], data: Embeddings, held: HeldOutQueries, active: list[int]
) -> dict[str, list[float]]:
    pca = Pca()
    pca.fit(data.corpus)
    curves = {}
    dimensions = [min(k, data.full_dim) for k in active]
    for name, transform in (("truncate", None), ("pca", unit_first(pca.map))):
        found = exact_topk(held.vectors, data.corpus, dimensions, 10, transform=transform)
        scored = {
            d: relevance(ids, held.ids, held.qrels, 10)["ndcg_at_10"].mean()
            for d, (ids, _) in found.items()
        }
        curves[name] = [float(scored[d]) for d in dimensions]
    curves["csr"] = [float(v.mean()) for v in _quality(weights, data, held, active).values()]
    return curves
