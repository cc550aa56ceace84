"""Training an adaptor: the Matryoshka objective on frozen embeddings, for models that were not trained with it.

A map of the full vectors, started from the PCA rotation, is learned so that each prefix of its result is a good embedding.
The loss at a prefix is InfoNCE: a query, or a passage of a document, must find its document among those of its batch. Or,
without labels, the similarities among documents at a prefix are held to those at the full dimension. Only torch's forward and backward pass is
borrowed: what is learned is applied by `bench.reducers.adaptor` in numpy. Needs the extra ``train``.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets import load_dataset
from bench.embeddings import Embeddings, embed
from bench.errors import MissingSplit, UsageError
from bench.libraries import extra
from bench.quality.intervals import Bootstrap
from bench.reducers import Reducer
from bench.reducers.adaptor import Adaptor, save_adaptor, save_dense
from bench.reducers.pca import Pca
from bench.training.held_out import FIDELITY, OF_PASSAGES, Split
from bench.vectors import normalise

FORMS = ("linear", "residual")
LOSSES = ("infonce", "passages", "kl", "l2", "cosine", "topk")
_RANKING = ("infonce", "passages")
_TEMPERATURE = 0.06
PASSAGES = 50_000
_PASSAGES_WEIGHT = 2.0
_NEAREST = 16


@dataclass(frozen=True)
class Trained:
    """What training found."""

    folder: Path
    dimensions: list[int]
    measure: str
    """``"nDCG@10"`` on held-out pairs, or ``"nDCG@10 of passages"`` or ``"fidelity@10"`` of held-out documents where there are no pairs."""
    curves: dict[str, list[float]]
    """Held-out quality of `truncate`, `pca` and `adaptor` at each of `dimensions`."""
    better: list[bool]
    """Whether the adaptor is surely better than truncation and than PCA there: the lower bounds of both paired intervals."""
    steps: int
    seconds: float

    def lines(self) -> list[str]:
        """Return the summary, a line a sentence."""
        told = [
            f"Trained for {self.steps} steps in {self.seconds:.0f} s; {self.measure} on what was held out of training:"
        ]
        told += [
            f"{d:>5} d  "
            + "  ".join(f"{name} {curve[i]:.3f}" for name, curve in self.curves.items())
            for i, d in enumerate(self.dimensions)
        ]
        lost = [
            str(d) for d, better in zip(self.dimensions, self.better, strict=True) if not better
        ]
        if lost:
            told.append(
                f"NOT surely better than both truncation and PCA at {', '.join(lost)} d: there the recommendation does not choose it."
            )
        else:
            told.append("Surely better than truncation and PCA at every one of these dimensions.")
        if self.measure == OF_PASSAGES:
            told.append(
                "No judged query was at hand, and a passage is none: see it measured in a study before you use it."
            )
        return told


def train(
    dataset: str,
    encoder: str,
    out: str | Path,
    *,
    loss: str | None = None,
    form: str = "residual",
    dimensions: Sequence[int] | None = None,
    weights: Sequence[float] | None = None,
    steps: int = 1500,
    batch: int | None = None,
    learning_rate: float = 1e-3,
    anchor: float | None = None,
    passages: int = PASSAGES,
    seed: int = 0,
    dense: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> Trained:
    """Learn an adaptor on the training split of `dataset`, encoded by `encoder` (both named as in a study), into folder `out`.

    `loss` is one of `LOSSES`: ``infonce`` (the default where there are training pairs); without labels the divergence of a
    prefix's similarities from the full ones: ``kl`` (of their softmax; the default without pairs), ``l2``, ``cosine`` (of the
    vectors of similarities), ``topk`` (``l2`` over the nearest alone), or ``passages``, which is ``infonce`` over passages
    alone: it can win far more, and loses where passages are unlike the queries. `form` is ``linear`` or ``residual`` (a
    zero-initialised MLP is added to the linear map). `dimensions` are the prefixes trained, powers of two when left out, with
    their `weights` (all one). `passages` is how many passages of the dataset's documents stand beside the training pairs in
    ``infonce``, a passage asking for its document (`bench.training.passages`; none for ready vectors): few pairs alone would bend the
    map to themselves. `anchor` holds the linear map to the PCA rotation that it starts from (squared distance), and the
    residual to zero: 0.015 where there are pairs and no passages, else 0.
    `batch` is 512, and 256 without labels. Stops early when what is held out no longer gains. `dense` is a folder for
    the linear map as a module of sentence-transformers (see `save_dense`). Raises UsageError on bad input.
    Source: Kusupati et al. 2022 (the loss over prefixes); Yoon et al., Matryoshka-Adaptor, 2024; Oord et al. 2018 (InfoNCE).
    """
    if form not in FORMS:
        raise UsageError(f"--form is one of {', '.join(FORMS)}, not '{form}'")
    if loss is not None and loss not in LOSSES:
        raise UsageError(f"--loss is one of {', '.join(LOSSES)}, not '{loss}'")
    if dense is not None and form != "linear":
        raise UsageError("--dense takes a linear map: a Dense module holds nothing else")
    extra("torch", "training", "train")
    data = _training_data(dataset, encoder, loss)
    dimensions = sorted(set(dimensions or powers_of_two(data.full_dim)))
    if bad := [d for d in dimensions if not 1 <= d <= data.full_dim]:
        raise UsageError(
            f"dimension {bad[0]} is outside 1…{data.full_dim}, the full dimension of {encoder}"
        )
    weights = list(weights or [1.0] * len(dimensions))
    if len(weights) != len(dimensions):
        raise UsageError(f"{len(weights)} weights for {len(dimensions)} dimensions: give one each")
    loss = loss or ("infonce" if data.qrels is not None else "kl")
    if loss == "infonce" and data.qrels is None:
        raise UsageError(
            f"the loss infonce needs training pairs, and {dataset} has no judgements: take --loss kl"
        )
    if loss == "passages" and not (encoder and passages):
        raise UsageError(
            "the loss passages reads documents: it needs a dataset of texts and --passages above 0"
        )

    batch = batch or (512 if loss in _RANKING else 256)
    split = Split(data, seed)
    if loss in _RANKING and encoder and passages:
        documents = load_dataset(dataset, "test" if data.qrels is None else "train").documents
        assert documents is not None
        split.add_passages(documents, encoder, passages, seed, alone=loss == "passages")
    if anchor is None:
        anchor = 0.015 if loss == "infonce" and not len(split.owners) else 0.0

    begun = time.monotonic()
    pca = Pca()
    pca.fit(data.corpus)
    fitted = _Fit(
        data, split, pca.axes, form, loss, dimensions, weights, batch, learning_rate, anchor, seed
    )
    taken = fitted.go(steps, progress or (lambda _: None))
    adaptor = fitted.adaptor()
    measure, curves, better = _guard(split, adaptor, pca, dimensions)
    seconds = time.monotonic() - begun
    save_adaptor(
        Path(out),
        adaptor.arrays,
        {
            "encoder": encoder,
            "dataset": dataset,
            "dataset_fingerprint": data.dataset_fingerprint,
            "full_dim": data.full_dim,
            "form": form,
            "loss": loss,
            "dimensions": dimensions,
            "weights": weights,
            "steps": taken,
            "batch": batch,
            "learning_rate": learning_rate,
            "anchor": anchor,
            "passages": len(split.owners),
            "seed": seed,
            "measure": measure,
            "held_out": {name: [round(v, 6) for v in curve] for name, curve in curves.items()},
            "better": better,
        },
    )
    if dense is not None:
        save_dense(adaptor, Path(dense))
    return Trained(Path(out), dimensions, measure, curves, better, taken, seconds)


def warm_then_cosine(step: int, steps: int) -> float:
    """Return the share of the learning rate at `step`: rising over the first tenth, then falling to zero."""
    return min(10 * (step + 1) / steps, 0.5 * (1 + math.cos(math.pi * step / steps)))


def powers_of_two(full: int) -> list[int]:
    """Return the prefix lengths trained when nothing is said: 8, 16, … and the full dimension."""
    return sorted({*(2**i for i in range(3, 20) if 2**i < full), full})


def _training_data(dataset: str, encoder: str, loss: str | None) -> Embeddings:
    """Return the training split, or, where there is none and no labels are asked for, the corpus without any judgement."""
    try:
        return embed(dataset, encoder, split="train")
    except MissingSplit:
        if loss == "infonce":
            raise
        return replace(embed(dataset, encoder), qrels=None)


def _guard(
    split: Split, adaptor: Adaptor, pca: Reducer, dimensions: list[int]
) -> tuple[str, dict[str, list[float]], list[bool]]:
    """Compare with truncation and PCA at each dimension on what training never saw."""
    held = split.held_pairs or split.held_passages
    maps = {"truncate": lambda block: block, "pca": pca.map, "adaptor": adaptor.map}
    values = {name: split.by_query(_unit(map_), dimensions, held) for name, map_ in maps.items()}
    bootstrap = Bootstrap(len(values["adaptor"][dimensions[0]]))
    better = [
        all(
            bootstrap.mean(values["adaptor"][d] - values[other][d])[1] > 0
            for other in ("truncate", "pca")
        )
        for d in dimensions
    ]
    curves = {
        name: [float(by_dimension[d].mean()) for d in dimensions]
        for name, by_dimension in values.items()
    }
    return held.measure if held else FIDELITY, curves, better


def _unit(map_: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda block: map_(normalise(block))


# ------------------------------------------------------------------------------------------------------------- the fitting


class _Fit:
    def __init__(
        self,
        data: Embeddings,
        split: Split,
        axes: np.ndarray,
        form: str,
        loss: str,
        dimensions: list[int],
        weights: list[float],
        batch: int,
        learning_rate: float,
        anchor: float,
        seed: int,
    ) -> None:
        import torch

        self.torch, self.split, self.dimensions, self.weights, self.loss = (
            torch,
            split,
            dimensions,
            weights,
            loss,
        )
        self.ranking = loss in _RANKING
        self.corpus = data.corpus
        self.rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        full = data.full_dim
        self.start, self.anchor = torch.tensor(axes), anchor
        self.parameters = {"linear": self.start.clone()}
        if form == "residual":
            wide = 4 * full
            self.parameters["hidden"] = torch.randn(full, wide, generator=generator) / full**0.5
            self.parameters["hidden_bias"] = torch.zeros(wide)
            self.parameters["output"] = torch.zeros(wide, full)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.batch = min(batch, len(split.documents))
        if max(len(split.rows), len(split.owners)) < 2 if self.ranking else self.batch < 2:
            raise UsageError(
                "there are fewer than two training pairs or documents: nothing can be learned"
            )
        self.optimiser = torch.optim.AdamW(
            self.parameters.values(), lr=learning_rate, weight_decay=0.0
        )

    def go(self, steps: int, told: Callable[[str], None]) -> int:
        """Take up to `steps` steps; keep the parameters that were best on what is held out; return the steps taken."""
        torch, every = self.torch, max(1, steps // 15)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimiser, lambda step: warm_then_cosine(step, steps)
        )
        # What stops the training is of the kind that it learns from: without labels no label decides.
        held = {"infonce": self.split.held_pairs, "passages": self.split.held_passages}.get(
            self.loss
        )
        best, kept, worse, step = -np.inf, None, 0, 0
        for step in range(1, steps + 1):
            loss = self._infonce() if self.ranking else self._divergence()
            self.optimiser.zero_grad()
            (loss + self._distance()).backward()
            self.optimiser.step()
            schedule.step()
            if step % every == 0 or step == steps:
                values = self.split.by_query(_unit(self.adaptor().map), self.dimensions, held)
                quality = float(np.mean([v.mean() for v in values.values()]))
                told(f"step {step}: loss {loss.item():.3f}, held out {quality:.4f}")
                if quality > best:
                    best, worse = quality, 0
                    kept = copy.deepcopy({k: v.detach() for k, v in self.parameters.items()})
                elif (worse := worse + 1) == 5:
                    break
        assert kept is not None
        self.parameters = kept
        return step

    def adaptor(self) -> Adaptor:
        """Return what is learned so far as a reducer."""
        return Adaptor.of(
            {name: value.detach().numpy().copy() for name, value in self.parameters.items()}
        )

    def _distance(self) -> Any:
        far = ((self.parameters["linear"] - self.start) ** 2).sum()
        if "output" in self.parameters:
            far = far + (self.parameters["output"] ** 2).sum()
        return self.anchor * far

    def _map(self, vectors: np.ndarray) -> Any:
        torch = self.torch
        x, p = torch.tensor(vectors), self.parameters
        y = x @ p["linear"]
        if "hidden" in p:
            y = y + torch.relu(x @ p["hidden"] + p["hidden_bias"]) @ p["output"]
        return y

    def _infonce(self) -> Any:
        split, total, weights = self.split, 0.0, 0.0
        for weight, queries, rows, targets in (
            (1.0, split.queries, split.rows, split.targets),
            (_PASSAGES_WEIGHT, split.passages, np.arange(len(split.owners)), split.owners),
        ):
            if len(rows) > 1:
                chosen = self.rng.choice(len(rows), min(self.batch, len(rows)), replace=False)
                total = total + weight * self._ranking(queries[rows[chosen]], targets[chosen])
                weights += weight
        return total / weights

    def _ranking(self, queries: np.ndarray, targets: np.ndarray) -> Any:
        """Return the loss of queries that must find their documents among those of one another, and the reverse."""
        torch = self.torch
        asked, documents = self._map(queries), self._map(normalise(self.corpus[targets]))
        # Two pairs of one document: neither is a wrong answer to the other.
        same = torch.tensor((targets[:, None] == targets) & ~np.eye(len(targets), dtype=bool))
        right = torch.arange(len(targets))
        total = 0.0
        for d, weight in zip(self.dimensions, self.weights, strict=True):
            scores = _cosine(torch, asked[:, :d], documents[:, :d]) / _TEMPERATURE
            scores = scores.masked_fill(same, -torch.inf)
            both = torch.nn.functional.cross_entropy(
                scores, right
            ) + torch.nn.functional.cross_entropy(scores.T, right)
            total = total + weight * both / 2
        return total / sum(self.weights)

    def _divergence(self) -> Any:
        torch, functional = self.torch, self.torch.nn.functional
        chosen = self.rng.choice(self.split.documents, self.batch, replace=False)
        vectors = normalise(self.corpus[np.sort(chosen)])
        mapped = self._map(vectors)
        full = _off_diagonal(torch.tensor(vectors @ vectors.T))
        nearest = full.topk(min(_NEAREST, full.shape[1]), dim=1).indices
        total = 0.0
        for d, weight in zip(self.dimensions, self.weights, strict=True):
            prefix = _off_diagonal(_cosine(torch, mapped[:, :d], mapped[:, :d]))
            if self.loss == "kl":
                one = functional.kl_div(
                    functional.log_softmax(prefix / _TEMPERATURE, 1),
                    functional.softmax(full / _TEMPERATURE, 1),
                    reduction="batchmean",
                )
            elif self.loss == "l2":
                one = functional.mse_loss(prefix, full)
            elif self.loss == "cosine":
                one = 1 - functional.cosine_similarity(prefix, full, dim=1).mean()
            else:
                one = functional.mse_loss(prefix.gather(1, nearest), full.gather(1, nearest))
            total = total + weight * one
        return total / sum(self.weights)


def _cosine(torch: Any, left: Any, right: Any) -> Any:
    normal = torch.nn.functional.normalize
    return normal(left, dim=1) @ normal(right, dim=1).T


def _off_diagonal(square: Any) -> Any:
    """Return (n, n) without its diagonal, (n, n - 1): what a vector has to do with itself says nothing."""
    n = len(square)
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)
