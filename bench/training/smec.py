"""What SMEC adds to an adaptor: dimensions one after another, selected ones, and a memory.

Source: Zhang et al., SMEC, 2025 (SMRL, ADS and S-XBM); Jang et al. 2017 (Gumbel-softmax); Wang et
al. 2020 (cross-batch memory).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Stage:
    """A part of the training: the prefixes of its loss, and the columns that may change."""

    dimensions: Sequence[int]
    weights: Sequence[float]
    width: int
    """Columns from here on are frozen, and none of them is selected."""


def stages(
    dimensions: Sequence[int], weights: Sequence[float], full: int, sequential: bool
) -> list[Stage]:
    """Return one stage with a loss over all `dimensions`, or if `sequential` one for each.

    A sequential training begins with the largest prefix. Each further one may change the columns
    of the prefix before it, and those beyond stay as they are.
    """
    if not sequential:
        return [Stage(dimensions, weights, full)]
    falling = sorted(dimensions, reverse=True)
    return [Stage([d], [1.0], width) for d, width in zip(falling, [full, *falling], strict=False)]


class Selection:
    """A learned order of the first `width` columns, whose prefixes are sampled while it learns.

    Gumbel noise on the logits draws which d columns are taken. Their gates are one, with the
    gradient of a softmax. The logits start in the columns' own order, steeper at its beginning.
    """

    def __init__(self, torch: Any, width: int, generator: Any) -> None:
        """`torch`: the module; `generator`: its source of the noise."""
        self.torch, self.generator = torch, generator
        self.logits = -torch.log(torch.arange(1, width + 1, dtype=torch.float32))
        self.logits.requires_grad_()

    def sample(self) -> Any:
        """Return the logits with new noise, (width,): the order of one step."""
        uniform = self.torch.rand(len(self.logits), generator=self.generator)
        return self.logits - self.torch.log(-self.torch.log(uniform.clamp(1e-9, 1 - 1e-7)))

    def taken(self, vectors: Any, noisy: Any, d: int) -> Any:
        """Return the d columns of (n, D) `vectors` that a sample puts first, (n, d)."""
        columns = noisy.topk(d).indices
        soft = d * self.torch.softmax(noisy, 0)[columns]
        return vectors[:, columns] * (1 + soft - soft.detach())

    def order(self, full: int) -> np.ndarray:
        """Return all `full` columns in the learned order, (full,) int64; those beyond stay."""
        first = np.argsort(-self.logits.detach().numpy(), kind="stable")
        return np.concatenate([first, np.arange(len(first), full)])


class Memory:
    """The last `size` documents that were trained on: further ones to tell apart in a step.

    The frozen vectors of these documents are mapped anew in each step, so that they never age.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.positions = np.empty(0, np.int64)

    def other_than(self, documents: np.ndarray) -> np.ndarray:
        """Return the positions it holds without `documents`, each once, (m,) int64."""
        return np.setdiff1d(self.positions, documents)

    def add(self, documents: np.ndarray) -> None:
        """Add positions of `documents`; the oldest leave."""
        if self.size:
            self.positions = np.concatenate([self.positions, documents])[-self.size :]
