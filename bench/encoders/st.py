"""sentence-transformers: any model by name or path, whole or cut after some of its layers."""

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
from bench.encoders._names import split_layers
from bench.encoders._trust import UntrustedCode, trusted
from bench.errors import UsageError
from bench.libraries import extra
from bench.source import Code

LAYER_NORM = ("nomic-embed-text-v1.5",)
"""Models whose cards ask for layer normalisation before truncation, a step their code omits."""

_MODULES = "sentence_transformers.sentence_transformer.modules"


class SentenceTransformersEncoder(Encoder):
    """A SentenceTransformer with the query and document prompts of its configuration.

    Models in `LAYER_NORM` are layer-normalised at the full dimension, as their cards ask. A folder
    that model2vec has saved is a static model, of vectors of tokens. With ``+layers=N`` only the
    first N transformer layers are used. Sources: Reimers & Gurevych 2019; Tulkens & van Dongen
    2024; Li et al. 2024 (2-D Matryoshka), Wang et al. 2025 (Starbucks) for the cut.
    """

    name = "st"
    usage = "st:NAME_OR_PATH"
    summary = "any sentence-transformers model, with its query and document prompts (extra mteb)"
    cuts = True

    def __init__(self, argument: str = "") -> None:
        if not argument:
            raise UsageError("encoder 'st' needs a model: st:NAME or st:PATH")
        argument, layers = split_layers(argument)
        library = extra("sentence_transformers", f"encoder 'st:{argument}'")
        try:
            if is_model2vec(argument):
                self._model = static_model(argument)
            else:
                self._model = library.SentenceTransformer(
                    argument, trust_remote_code=trusted(argument)
                )
        except Exception as error:  # readers of tokenizers and of weights raise errors of their own
            untrusted = "trust_remote_code" in str(error)
            why = UntrustedCode(argument) if untrusted else str(error).splitlines()[0]
            raise UsageError(f"encoder 'st:{argument}' cannot be loaded: {why}") from error
        self._model.truncate_dim = None
        self._argument = argument
        self._cut = ""
        if layers is not None:
            whole = sum(1 for _ in self._model.parameters())
            try:
                first_layers(self._model, layers)
            except ValueError as error:
                raise UsageError(f"encoder 'st:{argument}' {error}") from error
            # All of its layers are the whole model, which is encoded once.
            if sum(1 for _ in self._model.parameters()) < whole:
                self._cut = f"first {layers} layers"
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
                *([self._cut] if self._cut else []),
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
        argument, layers = split_layers(argument)
        text, constants = _CODE, dict[str, Any](MODEL_NAME=argument)
        imports = ["from sentence_transformers import SentenceTransformer"]
        if is_model2vec(argument):
            text = text.replace("SentenceTransformer(MODEL_NAME)", _STATIC)
            imports.append(f"from {_MODULES} import StaticEmbedding")
        if layers is not None:
            text = text.replace("= SentenceTransformer(MODEL_NAME)", _FIRST)
            text = f"{inspect.getsource(first_layers)}\n\n{text}"
            imports.append("from typing import Any")
            constants["LAYERS"] = layers
        if Path(argument).name in LAYER_NORM:
            text = text.replace("return vectors", "return layer_norm(vectors)")
            text = f"{inspect.getsource(layer_norm)}\n\n{text}"
        return Code(text, tuple(imports), ("sentence-transformers",), constants)

    def trainable(self) -> tuple[Any, float]:
        return self._model, 2e-5

    def _revision(self) -> str:
        config = getattr(getattr(self._model[0], "auto_model", None), "config", None)
        return f"{self._argument}@{getattr(config, '_commit_hash', None)}"


def first_layers(model: Any, layers: int) -> Any:
    """Return a SentenceTransformer without the layers after the first `layers`, changed in place.

    What its transformer does after its last layer, such as a normalisation, stays. Raises
    ValueError if it has no such layers, or fewer.
    """
    transformer: Any = getattr(model[0], "auto_model", model[0])
    total = getattr(getattr(transformer, "config", None), "num_hidden_layers", 0)
    found = [
        (path, module)
        for path, module in transformer.named_modules()
        if type(module).__name__ == "ModuleList" and len(module) == total
    ]
    # A layer may hold lists of its own, and some are as long by chance.
    outer = [each for each in found if not each[0].startswith(f"{found[0][0]}.")]
    if len(outer) != 1:
        raise ValueError("has no list of layers that could be cut")
    if not 1 <= layers <= total:
        raise ValueError(f"has {total} layers: layers = {layers} is outside 1…{total}")
    parent, _, name = outer[0][0].rpartition(".")
    setattr(transformer.get_submodule(parent), name, outer[0][1][:layers])
    transformer.config.num_hidden_layers = layers
    return model


def is_model2vec(name: str) -> bool:
    """Return whether a name is a folder that model2vec saved, without sentence-transformers' own.

    Its models on a hub are of both kinds, so that they load like any other.
    """
    folder = Path(name)
    try:
        needed = (folder / "model.safetensors").is_file() and (folder / "tokenizer.json").is_file()
        if (folder / "modules.json").exists() or not needed:
            return False
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "model2vec"


def static_model(folder: str) -> Any:
    """Return the SentenceTransformer of a folder that model2vec saved; it need not be installed."""
    library = extra("sentence_transformers", f"encoder 'st:{folder}'")
    modules = extra(_MODULES, f"encoder 'st:{folder}'")
    return library.SentenceTransformer(modules=[modules.StaticEmbedding.load(folder)])


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


_STATIC = "SentenceTransformer(modules=[StaticEmbedding.load(MODEL_NAME)])"
_FIRST = "= first_layers(SentenceTransformer(MODEL_NAME), LAYERS)"
_CODE = '''\
MODEL = SentenceTransformer(MODEL_NAME)


def encode(texts, role):
    """Return the vectors of texts, (n, D) float32; the role is "query" or "document"."""
    of_role = MODEL.encode_query if role == "query" else MODEL.encode_document
    vectors = of_role(texts, normalize_embeddings=False, show_progress_bar=False)
    return vectors
'''
