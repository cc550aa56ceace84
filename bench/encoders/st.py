"""sentence-transformers: any model by name or path."""

from __future__ import annotations

import hashlib
import importlib.metadata
import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.encoders import Encoder, Role
from bench.encoders._trust import UntrustedCode, trusted
from bench.errors import UsageError
from bench.libraries import extra
from bench.source import Code

LAYER_NORM = ("nomic-embed-text-v1.5",)
"""Models whose cards ask for layer normalisation before truncation, a step their code omits."""


class SentenceTransformersEncoder(Encoder):
    """A SentenceTransformer with the query and document prompts of its configuration.

    Models in `LAYER_NORM` are layer-normalised at the full dimension, as their cards ask.
    Source: Reimers & Gurevych 2019.
    """

    name = "st"
    usage = "st:NAME_OR_PATH"
    summary = "any sentence-transformers model, with its query and document prompts (extra mteb)"

    def __init__(self, argument: str = "") -> None:
        if not argument:
            raise UsageError("encoder 'st' needs a model: st:NAME or st:PATH")
        library = extra("sentence_transformers", f"encoder 'st:{argument}'")
        try:
            self._model = library.SentenceTransformer(argument, trust_remote_code=trusted(argument))
        except (OSError, ValueError) as error:
            untrusted = "trust_remote_code" in str(error)
            why = UntrustedCode(argument) if untrusted else str(error).splitlines()[0]
            raise UsageError(f"encoder 'st:{argument}' cannot be loaded: {why}") from error
        self._model.truncate_dim = None
        self._argument = argument
        self._layer_norm = Path(argument).name in LAYER_NORM
        self._dimension = int(self.encode_full(["dimension"], "document").shape[1])

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def identity(self) -> str:
        path = Path(self._argument)
        weights = _folder_digest(path) if path.is_dir() else self._revision()
        version = importlib.metadata.version("sentence-transformers")
        return json.dumps(
            [
                "st",
                weights,
                version,
                self._model.prompts,
                self._model.max_seq_length,
                *(["layer norm"] if self._layer_norm else []),
            ]
        )

    def encode_full(self, texts: Sequence[str], role: Role) -> np.ndarray:
        encode = self._model.encode_query if role == "query" else self._model.encode_document
        vectors = encode(
            list(texts), convert_to_numpy=True, normalize_embeddings=False, show_progress_bar=False
        )
        vectors = np.asarray(vectors, dtype=np.float32)
        return layer_norm(vectors) if self._layer_norm else vectors

    @classmethod
    def code(cls, argument: str) -> Code:
        text = _CODE
        if Path(argument).name in LAYER_NORM:
            text = text.replace("return vectors", "return layer_norm(vectors)")
            text = f"{inspect.getsource(layer_norm)}\n\n{text}"
        imports = ("from sentence_transformers import SentenceTransformer",)
        return Code(text, imports, ("sentence-transformers",), {"MODEL_NAME": argument})

    def trainable(self) -> tuple[Any, float]:
        return self._model, 2e-5

    def _revision(self) -> str:
        config = getattr(getattr(self._model[0], "auto_model", None), "config", None)
        return f"{self._argument}@{getattr(config, '_commit_hash', None)}"


def layer_norm(vectors: np.ndarray) -> np.ndarray:
    """Return (n, D) float32 with mean zero and variance one per row.

    Source: Ba et al. 2016, without gain and bias.
    """
    centred = vectors - vectors.mean(axis=1, keepdims=True)
    return np.asarray(
        centred / np.sqrt(vectors.var(axis=1, keepdims=True) + 1e-5), dtype=np.float32
    )


def _folder_digest(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    return digest.hexdigest()


_CODE = '''\
MODEL = SentenceTransformer(MODEL_NAME)


def encode(texts, role):
    """Return the vectors of texts, (n, D) float32; the role is "query" or "document"."""
    of_role = MODEL.encode_query if role == "query" else MODEL.encode_document
    vectors = of_role(texts, normalize_embeddings=False, show_progress_bar=False)
    return vectors
'''
