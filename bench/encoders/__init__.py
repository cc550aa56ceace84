"""Encoders: text to float32 vectors. One file a source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from bench import registry
from bench.vectors import truncate

Role = Literal["document", "query"]


class Encoder(ABC):
    """Turns texts into vectors. `name` is what stands before the colon."""

    name: ClassVar[str]
    usage: ClassVar[str]
    summary: ClassVar[str]

    batch_size: ClassVar[int] = 256
    """Texts handed to `encode_full` at once when a corpus is streamed."""

    @abstractmethod
    def __init__(self, argument: str = "") -> None:
        """Load the model that `argument` (what follows the colon) names.

        Raises UsageError when the model is not there, or when the extra that it needs is not installed.
        """

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Full dimension D of the vectors."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """What makes two encodings interchangeable besides the texts: model, revision or weights' digest, library
        version, and the prompt of each role. Part of the key of the embeddings' cache."""

    @abstractmethod
    def encode_full(self, texts: Sequence[str], role: Role) -> np.ndarray:
        """Return (n, D) float32, at the full dimension, before any truncation; lengths as the model gives them."""

    def encode(
        self, texts: Sequence[str], dimension: int | None = None, role: Role = "document"
    ) -> np.ndarray:
        """Encode `texts`, truncate to the first `dimension` coordinates, renormalise.

        Returns (n, d) float32 of unit length (a zero vector stays zero). Raises ValueError for a dimension outside 1…D.
        """
        return truncate(
            self.encode_full(list(texts), role), self.dimension if dimension is None else dimension
        )


def encoder_classes() -> dict[str, type[Encoder]]:
    """Return every encoder class by name."""
    return registry.found("encoders", Encoder)


def get_encoder(spec: str) -> Encoder:
    """Return the encoder named ``NAME`` or ``NAME:ARGUMENT``; raises UsageError, with the near miss of an unknown name."""
    name, argument = registry.split_name(spec)
    return registry.get("encoders", Encoder, name)(argument)
