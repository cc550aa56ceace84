"""Fit an adaptor with torch: its settings, its losses and the training loop.

The map starts as the PCA rotation. The loss at a prefix is InfoNCE: a query, or a passage of a
document, must find its document among those of its batch. Without labels, the loss keeps a prefix's
similarities among documents close to those at the full dimension. Torch serves for the forward and
backward pass only; `bench.reducers.adaptor` applies the result in numpy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.embeddings.sets import Embeddings
from bench.errors import UsageError
from bench.reducers.adaptor import Adaptor
from bench.training.codes import straight_through
from bench.training.held_out import CHOOSING, Split
from bench.training.smec import Memory, Selection, stages
from bench.vectors import normalise

FORMS = ("linear", "residual")
LOSSES = ("infonce", "passages", "kl", "l2", "cosine", "topk")
NEEDS_RANKING = ("infonce", "passages")
PASSAGES = 50_000
_TEMPERATURE = 0.06
_PASSAGES_WEIGHT = 2.0
_NEAREST = 16
_PATIENCE = 5
"""Evaluations without a gain on the held-out data before training stops."""
_EVALUATIONS = 15
_BY_COLUMN = {"linear", "output"}
"""Parameters whose columns are the coordinates of the mapped vectors."""
_SELECTION_RATE = 10.0
"""Learning rate of the selection, relative to that of the map."""


@dataclass(frozen=True)
class Settings:
    """How an adaptor is trained. Empty values take defaults that depend on the data."""

    form: str = "residual"
    """One of `FORMS`. ``residual`` adds a zero-initialised MLP to the ``linear`` map."""
    loss: str = ""
    """One of `LOSSES`. ``infonce`` is the default if there are training pairs.

    The others need no labels. Four compare a prefix's similarities with the full ones. ``kl``, the
    default without pairs, uses the divergence of their softmax. ``l2`` uses the squared difference,
    ``topk`` the same over the nearest only, and ``cosine`` the similarities as vectors.
    ``passages`` is ``infonce`` over passages only. It can gain far more, but loses if queries are
    unlike passages.
    """
    dimensions: Sequence[int] = ()
    """Trained prefixes; the default is powers of two and D."""
    weights: Sequence[float] = ()
    """Weight of each of `dimensions`; the default is one each."""
    steps: int = 1500
    """Most steps taken; training stops early when the held-out quality no longer improves."""
    batch: int = 0
    """Examples per step; the default is 512, or 256 for losses without ranking."""
    learning_rate: float = 1e-3
    anchor: float | None = None
    """Weight of the squared distance from the PCA rotation, and of the residual from zero.

    The default is 0.015 for ``infonce`` without passages, else 0.
    """
    passages: int = PASSAGES
    """Passages of documents used beside the pairs in ``infonce``; unused for ready vectors.

    Each passage asks for its own document. Without them, few pairs would overfit the map.
    """
    sequential: bool = False
    """Train the prefixes one after another, the largest first; each takes its share of the steps.

    Columns beyond the prefix trained before are frozen. Source: see `bench.training.smec`.
    """
    select: bool = False
    """Learn which columns a prefix takes; the order found is folded into the map."""
    memory: int = 0
    """Documents of earlier steps that each step compares with too: further wrong answers in a
    ranking, and without labels the nearest of them."""
    code: str = ""
    """One of `bench.training.codes.CODES`: the loss sees vectors as this precision stores them."""
    seed: int = 0

    @property
    def uses_ranking(self) -> bool:
        """Whether the loss ranks documents for queries or passages."""
        return self.loss in NEEDS_RANKING


def warm_then_cosine(step: int, steps: int) -> float:
    """Return the share of the learning rate at `step`: a linear warm-up, then a cosine to zero.

    The warm-up is the first tenth of `steps`.
    """
    return min(10 * (step + 1) / steps, 0.5 * (1 + math.cos(math.pi * step / steps)))


def powers_of_two(full: int) -> list[int]:
    """Return the prefix lengths trained by default: 8, 16, … and the full dimension."""
    return sorted({*(2**i for i in range(3, 20) if 2**i < full), full})


def unit_first(
    map_: Callable[[np.ndarray], np.ndarray],
) -> Callable[[np.ndarray], np.ndarray]:
    """Return `map_` applied to vectors of unit length."""
    return lambda block: map_(normalise(block))


class Fit:
    """Parameters of an adaptor and their optimiser. Raises UsageError for too few examples."""

    def __init__(
        self, data: Embeddings, split: Split, axes: np.ndarray, settings: Settings
    ) -> None:
        import torch

        self.torch = torch
        self.split = split
        self.loss = settings.loss
        self.uses_ranking = settings.uses_ranking
        self.code = settings.code
        self.memory = Memory(settings.memory)
        self.full = data.full_dim
        self.select = settings.select
        self.stages = stages(settings.dimensions, settings.weights, self.full, settings.sequential)
        self.corpus = data.corpus
        self.rng = np.random.default_rng(settings.seed)
        self.start = torch.tensor(axes)
        self.anchor = settings.anchor or 0.0
        self.generator = generator = torch.Generator().manual_seed(settings.seed)
        full = self.full
        self.parameters = {"linear": self.start.clone()}
        if settings.form == "residual":
            wide = 4 * full
            self.parameters["hidden"] = torch.randn(full, wide, generator=generator) / full**0.5
            self.parameters["hidden_bias"] = torch.zeros(wide)
            self.parameters["output"] = torch.zeros(wide, full)
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.batch = min(settings.batch, len(split.documents))
        examples = max(len(split.rows), len(split.owners)) if self.uses_ranking else self.batch
        if examples < 2:
            raise UsageError(
                "there are fewer than two training pairs or documents: nothing can be learned "
                "(documents that the test queries ask for are left out unless --own-corpus)"
            )
        self.learning_rate = settings.learning_rate
        self.stage = self.stages[0]
        self.selection: Selection | None = None
        self.noisy: Any = None

    def run(self, steps: int, progress: Callable[[str], None]) -> int:
        """Take up to `steps` steps in all stages, keep the best of each, return the steps taken.

        The best is that of half of the held-out data. Raises UsageError if training diverges.
        """
        taken, share = 0, max(1, steps // len(self.stages))
        for stage in self.stages:
            self.stage = stage
            self.selection = self._selection()
            taken += self._run_stage(share, progress)
        return taken

    def _selection(self) -> Selection | None:
        """Return what learns the columns of this stage's prefixes, if there is a choice."""
        if not self.select or min(self.stage.dimensions) == self.stage.width:
            return None
        return Selection(self.torch, self.stage.width, self.generator)

    def _optimiser(self) -> Any:
        # The network of the residual serves all columns, so it is frozen with the first of them.
        changing = _BY_COLUMN if self.stage.width < self.full else self.parameters.keys()
        chosen = [p for name, p in self.parameters.items() if name in changing]
        groups: list[dict[str, Any]] = [{"params": chosen}]
        if self.selection is not None:
            rate = _SELECTION_RATE * self.learning_rate
            groups.append({"params": [self.selection.logits], "lr": rate})
        return self.torch.optim.AdamW(groups, lr=self.learning_rate, weight_decay=0.0)

    def _run_stage(self, steps: int, progress: Callable[[str], None]) -> int:
        dimensions, every = self.stage.dimensions, max(1, steps // _EVALUATIONS)
        optimiser = self._optimiser()
        schedule = self.torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: warm_then_cosine(step, steps)
        )
        # Early stopping uses the kind of data that the loss uses: without labels, no label decides.
        kinds = {"infonce": self.split.held_pairs, "passages": self.split.held_passages}
        held = kinds.get(self.loss)
        best, kept, evaluations_without_gain, step = -np.inf, None, 0, 0
        for step in range(1, steps + 1):
            self.noisy = None if self.selection is None else self.selection.sample()
            loss = self._ranking_loss() if self.uses_ranking else self._divergence_loss()
            optimiser.zero_grad()
            (loss + self._anchor_loss()).backward()
            for name in _BY_COLUMN & self.parameters.keys():
                gradient: Any = self.parameters[name].grad
                gradient[:, self.stage.width :] = 0
            optimiser.step()
            schedule.step()
            if step % every == 0 or step == steps:
                adaptor = self.adaptor()
                map_ = unit_first(adaptor.map)
                values = self.split.by_query(map_, dimensions, held, CHOOSING, self.code)
                quality = float(np.mean([v.mean() for v in values.values()]))
                progress(f"step {step}: loss {loss.item():.3f}, held-out quality {quality:.4f}")
                if quality > best:
                    best, evaluations_without_gain, kept = quality, 0, adaptor.arrays
                else:
                    evaluations_without_gain += 1
                    if evaluations_without_gain == _PATIENCE:
                        break
        if kept is None:
            raise UsageError("training diverged: lower --learning-rate")
        self.parameters = {
            name: self.torch.tensor(array).requires_grad_() for name, array in kept.items()
        }
        self.selection = None  # its order is in the arrays
        return step

    def adaptor(self) -> Adaptor:
        """Return the current parameters as a reducer, with the selected columns first."""
        arrays = {name: value.detach().numpy().copy() for name, value in self.parameters.items()}
        if self.selection is not None:
            order = self.selection.order(self.full)
            for name in _BY_COLUMN & arrays.keys():
                arrays[name] = np.ascontiguousarray(arrays[name][:, order])
        return Adaptor.of(arrays)

    def _anchor_loss(self) -> Any:
        distance = ((self.parameters["linear"] - self.start) ** 2).sum()
        if "output" in self.parameters:
            distance = distance + (self.parameters["output"] ** 2).sum()
        return self.anchor * distance

    def _map(self, vectors: np.ndarray) -> Any:
        x, p = self.torch.tensor(vectors), self.parameters
        y = x @ p["linear"]
        if "hidden" in p:
            y = y + self.torch.relu(x @ p["hidden"] + p["hidden_bias"]) @ p["output"]
        return y

    def _prefix(self, vectors: Any, d: int) -> Any:
        """Return the d columns of mapped vectors that a prefix takes."""
        if self.selection is None:
            return vectors[:, :d]
        return self.selection.taken(vectors, self.noisy, d)

    def _similar(self, queries: Any, documents: Any, d: int) -> Any:
        """Return the scores of mapped vectors at a prefix, as its code gives them, (q, n)."""
        normal = self.torch.nn.functional.normalize
        sides = (normal(self._prefix(side, d), dim=1) for side in (queries, documents))
        asked, stored = straight_through(self.torch, self.code, *sides)
        return asked @ stored.T

    def _ranking_loss(self) -> Any:
        split, total, weights = self.split, 0.0, 0.0
        for weight, queries, rows, targets in (
            (1.0, split.queries, split.rows, split.targets),
            (_PASSAGES_WEIGHT, split.passages, np.arange(len(split.owners)), split.owners),
        ):
            if len(rows) > 1:
                chosen = self.rng.choice(len(rows), min(self.batch, len(rows)), replace=False)
                total = total + weight * self._infonce(queries[rows[chosen]], targets[chosen])
                weights += weight
        return total / weights

    def _infonce(self, queries: np.ndarray, targets: np.ndarray) -> Any:
        """Return the loss of finding each query's document in the batch, and the reverse.

        Documents in the memory are further wrong answers to the queries.
        """
        torch, cross_entropy = self.torch, self.torch.nn.functional.cross_entropy
        n, stored = len(targets), np.r_[targets, self.memory.other_than(targets)]
        asked, documents = self._map(queries), self._map(normalise(self.corpus[stored]))
        # Two pairs with the same document are not negatives of each other.
        same = torch.tensor((targets[:, None] == stored) & ~np.eye(n, len(stored), dtype=bool))
        right = torch.arange(n)
        total: Any = 0.0
        for d, weight in zip(self.stage.dimensions, self.stage.weights, strict=True):
            scores = self._similar(asked, documents, d) / _TEMPERATURE
            scores = scores.masked_fill(same, -torch.inf)
            both = cross_entropy(scores, right) + cross_entropy(scores[:, :n].T, right)
            total = total + weight * both / 2
        self.memory.add(targets)
        return total / sum(self.stage.weights)

    def _divergence_loss(self) -> Any:
        torch, functional = self.torch, self.torch.nn.functional
        chosen = self.rng.choice(self.split.documents, self.batch, replace=False)
        vectors = normalise(self.corpus[np.sort(chosen)])
        mapped = self._map(vectors)
        full = _off_diagonal(torch.tensor(vectors @ vectors.T))
        remembered = normalise(self.corpus[self.memory.other_than(chosen)])
        others, near = self._map(remembered), None
        if len(remembered):
            # Only the nearest of the memory count; most of it is unlike any document of the batch.
            all_of_memory = torch.tensor(vectors @ remembered.T)
            near = all_of_memory.topk(min(_NEAREST, len(remembered)), dim=1).indices
            full = torch.cat([full, all_of_memory.gather(1, near)], dim=1)
        nearest = full.topk(min(_NEAREST, full.shape[1]), dim=1).indices
        total = 0.0
        for d, weight in zip(self.stage.dimensions, self.stage.weights, strict=True):
            prefix = _off_diagonal(self._similar(mapped, mapped, d))
            if near is not None:
                beyond = self._similar(mapped, others, d).gather(1, near)
                prefix = torch.cat([prefix, beyond], dim=1)
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
        self.memory.add(chosen)
        return total / sum(self.stage.weights)


def _off_diagonal(square: Any) -> Any:
    """Return (n, n) without its diagonal, (n, n - 1): self-similarity carries no information."""
    n = len(square)
    return square.flatten()[1:].view(n - 1, n + 1)[:, :-1].reshape(n, n - 1)
