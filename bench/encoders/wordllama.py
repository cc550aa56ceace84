"""WordLlama: a static model whose weights come in its wheel."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.encoders import Encoder, Role
from bench.errors import UsageError


class WordLlamaEncoder(Encoder):
    """Averaged token vectors, 256 dimensions, trained with a Matryoshka loss; offline. Source: WordLlama, Miller 2024."""

    name = "wordllama"
    usage = "wordllama"
    summary = "256 d, Matryoshka-trained, runs offline on a CPU; its weights come in the wheel"
    batch_size = 4096

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"encoder 'wordllama' takes no argument, so not '{argument}'")
        import wordllama

        # Its own look-up of the tokenizer in the wheel is broken: without these two arguments it tries a hub.
        self._model = wordllama.WordLlama.load(
            cache_dir=Path(wordllama.__file__).parent, disable_download=True
        )

    @property
    def dimension(self) -> int:
        return int(self._model.embedding.shape[1])

    @property
    def identity(self) -> str:
        return f"wordllama {importlib.metadata.version('wordllama')} l2_supercat {self.dimension}"

    def encode_full(self, texts: Sequence[str], role: Role) -> np.ndarray:
        # A batch is padded to its longest text, so texts of like length go together; the result does not depend on it.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        if texts:
            vectors[order] = self._model.embed([texts[i] for i in order], norm=False)
        return vectors
