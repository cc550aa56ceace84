"""Encoders: text to float32 vectors. One file per source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from bench import registry
from bench.encoders._names import QUERY, Role, of_role, split_layers
from bench.errors import UsageError
from bench.source import Code
from bench.vectors import truncate

__all__ = ["Encoder", "Role", "code_of", "encoder_classes", "get_encoder"]


class Encoder(ABC):
    """Turn texts into vectors. `name` is the part of a study's spec before the colon."""

    name: ClassVar[str]
    usage: ClassVar[str]
    summary: ClassVar[str]

    batch_size: ClassVar[int] = 256
    """Texts per call of `encode_full` when a corpus is streamed."""

    cuts: ClassVar[bool] = False
    """Whether the argument may end in ``+layers=N``, to leave out all later layers."""

    @abstractmethod
    def __init__(self, argument: str = "") -> None:
        """Load the model named `argument`, the part of the spec after the colon.

        Raises UsageError if there is no such model, NotInstalled if a library is missing.
        """

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Full dimension D of the vectors."""

    @property
    @abstractmethod
    def identity(self) -> str:
        """Key of everything besides the texts that changes the vectors.

        Includes the model, its revision or a digest of its weights, the library's version and the
        prompt of each role. Embeddings are cached under it.
        """

    @abstractmethod
    def encode_full(self, texts: Sequence[str], role: Role) -> np.ndarray:
        """Return (n, D) float32 at the full dimension, neither truncated nor normalised."""

    def of_role(self, role: Role) -> Encoder:
        """Return the encoder of one role: this one, unless queries have an encoder of their own."""
        return self

    def encode(
        self, texts: Sequence[str], dimension: int | None = None, role: Role = "document"
    ) -> np.ndarray:
        """Encode `texts`, truncate to the first `dimension` coordinates, renormalise.

        Returns (n, d) float32 of unit length (a zero vector stays zero). `dimension` defaults to D.
        Raises ValueError for a dimension outside 1…D.
        """
        return truncate(
            self.encode_full(list(texts), role), self.dimension if dimension is None else dimension
        )

    @classmethod
    def code(cls, argument: str) -> Code:
        """Return the code that encodes without this package; no model is loaded.

        `argument` is the part of the spec after the colon. The text defines
        ``encode(texts, role)``: a list of texts, "query" or "document" → (n, D) float32. Raises
        UsageError if the encoder does not offer its code.
        """
        raise UsageError(
            f"encoder '{cls.name}' does not offer its code: its class needs the method `code`"
        )

    def trainable(self) -> tuple[Any, float]:
        """Return a SentenceTransformer to train and a default learning rate.

        Training may change the vectors of this encoder too. Raises UsageError if the encoder cannot
        be trained, NotInstalled if the extra ``train`` is missing.
        """
        can = [
            cls.usage
            for cls in encoder_classes().values()
            if cls.trainable is not Encoder.trainable
        ]
        raise UsageError(f"encoder '{self.name}' cannot be trained; {' and '.join(can)} can")


def encoder_classes() -> dict[str, type[Encoder]]:
    """Return every encoder class by name."""
    return registry.found("encoders", Encoder)


def get_encoder(spec: str) -> Encoder:
    """Return the encoder named ``NAME`` or ``NAME:ARGUMENT``, or two of them for the two roles.

    ``NAME:ARGUMENT+layers=N`` leaves out all but the first layers of a model that can be cut;
    ``DOCUMENTS+query=QUERIES`` names one encoder for documents and another for queries. Raises
    UsageError with the near miss for an unknown name, and what `Encoder.__init__` raises.
    """
    if QUERY in spec:
        from bench.encoders._pair import Pair

        return Pair(spec)
    cls, argument = _class(spec)
    return cls(argument)


def code_of(spec: str) -> Code:
    """Return the code of the encoder named `spec`, as `Encoder.code` does; no model is loaded."""
    if QUERY in spec:
        from bench.encoders._pair import joined

        return joined(code_of(of_role(spec, "document")), code_of(of_role(spec, "query")))
    cls, argument = _class(spec)
    return cls.code(argument)


def _class(spec: str) -> tuple[type[Encoder], str]:
    """Return the class of an encoder and its argument, which holds the layers if they are cut."""
    whole, layers = split_layers(spec)
    name, _ = registry.split_name(whole)
    cls = registry.get("encoders", Encoder, name)
    if layers is not None and not cls.cuts:
        can = " and ".join(c.usage for c in encoder_classes().values() if c.cuts)
        raise UsageError(f"encoder '{whole}' cannot be cut after {layers} layers; {can} can")
    return cls, registry.split_name(spec)[1]
