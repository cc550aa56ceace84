"""WordLlama: a static model whose weights ship in its wheel."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.encoders import Encoder, Role
from bench.errors import UsageError
from bench.libraries import extra
from bench.source import Code


class WordLlamaEncoder(Encoder):
    """Averaged token vectors, 256 dimensions, trained with a Matryoshka loss; offline.

    Source: WordLlama, Miller 2024.
    """

    name = "wordllama"
    usage = "wordllama"
    summary = "256 d, Matryoshka-trained, runs offline on a CPU; its weights ship in the wheel"
    batch_size = 4096

    def __init__(self, argument: str = "") -> None:
        if argument:
            raise UsageError(f"encoder 'wordllama' takes no argument, but got '{argument}'")
        import wordllama

        # WordLlama fails to find the tokenizer in its own wheel: without these two arguments it
        # downloads it from a hub.
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
        # Sort by length, because a batch is padded to its longest text. The vectors do not change.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        if texts:
            vectors[order] = self._model.embed([texts[i] for i in order], norm=False)
        return vectors

    @classmethod
    def code(cls, argument: str) -> Code:
        imports = ("from pathlib import Path", "import wordllama")
        return Code(_CODE, imports, ("wordllama",))

    def trainable(self) -> tuple[Any, float]:
        """Return a static model of sentence-transformers that starts from the token vectors."""
        library = extra("sentence_transformers", "training a model", "train")
        modules = extra("sentence_transformers.models", "training a model", "train")
        weights = np.array(self._model.embedding, dtype=np.float32)
        static = modules.StaticEmbedding(self._model.tokenizer, embedding_weights=weights)
        return library.SentenceTransformer(modules=[static], device="cpu"), 3e-3


_CODE = '''
# The weights ship in the wheel, so nothing is downloaded.
MODEL = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)


def encode(texts, role):
    """Return the vectors of texts, (n, D) float32; queries and documents are encoded alike."""
    return MODEL.embed(texts, norm=False)
'''
