"""A learned map: what Matryoshka training does, for vectors that were not trained with it."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from bench.errors import DamagedFile, UsageError
from bench.libraries import extra
from bench.reducers import LEARNED, Reducer

_WEIGHTS, _META = "adaptor.safetensors", "adaptor.json"
_RESIDUAL = {"hidden", "hidden_bias", "output"}


class Adaptor(Reducer):
    """A linear map, with a small residual network where it was trained with one, whose prefixes were trained together.

    Learned by ``python -m bench train`` on training pairs or, without labels, on documents; nothing is fitted here. Source:
    Kusupati et al. 2022; Yoon et al., Matryoshka-Adaptor, 2024.
    """

    name = "adaptor"
    kind = LEARNED
    fitted = ()
    usage = "adaptor, adaptor:PATH"
    summary = "a map learned by `train`; without a path, the one that ships for the encoder"
    argument = "path"
    grid = {"path": [""]}

    @classmethod
    def of(cls, arrays: dict[str, np.ndarray]) -> Adaptor:
        """Return the adaptor of these weights: `linear` (D, D), and of a residual form `hidden` (D, h), `hidden_bias` (h,),
        `output` (h, D), all float32."""
        adaptor = cls()
        adaptor.arrays = arrays
        return adaptor

    @property
    def folder(self) -> Path:
        """Where its files lie; raises UsageError when no adaptor is there."""
        path = self.parameters["path"]
        shipped = Path(str(resources.files("bench.reducers"))) / "shipped" / self.encoder
        folder = Path(path) if path else shipped
        if not (folder / _WEIGHTS).is_file() or not (folder / _META).is_file():
            raise UsageError(
                f"adaptor:{path}: {path} holds no {_WEIGHTS} with its {_META}; python -m bench train writes them"
                if path
                else f"no adaptor ships for encoder '{self.encoder}': train one (python -m bench train DATASET ENCODER --out DIR) and "
                "name it as adaptor:DIR"
            )
        return folder

    @cached_property
    def meta(self) -> dict[str, Any]:
        """What it was trained on, how, and what it reached on what was held out."""
        path = self.folder / _META
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            _check_meta(found)
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise DamagedFile(
                f"{path} is damaged ({_reason(error)}); train the adaptor again"
            ) from error
        return found

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by name."""
        path = self.folder / _WEIGHTS
        try:
            found = dict(load_file(path))
            _check_weights(found, self.meta["full_dim"])
        except DamagedFile:
            raise
        except Exception as error:  # the library's own error type is not exported
            raise DamagedFile(
                f"{path} is damaged ({_reason(error)}); train the adaptor again"
            ) from error
        return found

    @property
    def identity(self) -> str:
        return hashlib.blake2b((self.folder / _WEIGHTS).read_bytes(), digest_size=8).hexdigest()

    def check(self, full_dim: int) -> None:
        if self.meta["full_dim"] != full_dim:
            raise UsageError(
                f"the adaptor in {self.folder} maps {self.meta['full_dim']} dimensions, and the vectors of '{self.encoder}' have {full_dim}"
            )
        self.map(
            np.zeros((1, full_dim), np.float32)
        )  # weights that are damaged are told before anything is measured

    def caution(self, dimension: int) -> str:
        """Not surely better than truncation and PCA on held-out pairs, at the trained dimension nearest to `dimension`."""
        trained = self.meta["dimensions"]
        nearest = min(range(len(trained)), key=lambda i: abs(np.log(trained[i] / dimension)))
        if self.meta["better"][nearest]:
            return ""
        return f"its training found it not surely better than both truncation and PCA at {trained[nearest]} d on the data it held out"

    def fit(self, corpus: np.ndarray) -> None:
        """Nothing is learned here: the map was trained before."""
        self.check(corpus.shape[1])

    def map(self, vectors: np.ndarray) -> np.ndarray:
        w = self.arrays
        mapped = vectors @ w["linear"]
        if "hidden" in w:
            mapped += np.maximum(vectors @ w["hidden"] + w["hidden_bias"], 0) @ w["output"]
        return np.asarray(mapped, dtype=np.float32)


def _check_meta(meta: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for a description that contradicts itself."""
    sizes, better = [meta["full_dim"], *meta["dimensions"]], meta["better"]
    if not all(type(size) is int and 0 < size <= meta["full_dim"] for size in sizes):
        raise ValueError("full_dim and dimensions must be whole numbers from 1 to full_dim")
    if not (
        len(better) == len(meta["dimensions"]) > 0 and all(type(value) is bool for value in better)
    ):
        raise ValueError("better must be true or false for each of dimensions")


def _check_weights(arrays: dict[str, np.ndarray], full: int) -> None:
    """Raise ValueError unless the weights are finite float32 of the shapes in `Adaptor.of`."""
    shapes: dict[str, tuple[int, ...]] = {"linear": (full, full)}
    if arrays.keys() & _RESIDUAL:
        wide = arrays["hidden_bias"].size if "hidden_bias" in arrays else 0
        shapes |= {"hidden": (full, wide), "hidden_bias": (wide,), "output": (wide, full)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != shapes:
        raise ValueError(f"its weights are {found}, not {shapes}")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ValueError(f"the weights '{name}' are not finite float32 numbers")


def _reason(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def save_adaptor(folder: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    """Write an adaptor's weights and what is to be known of it into `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _WEIGHTS
        )
        (folder / _WEIGHTS).chmod(0o644)  # the library leaves a file that only its writer can read
        (folder / _META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error


def save_dense(adaptor: Adaptor, folder: Path) -> None:
    """Write a linear adaptor as a sentence-transformers `Dense` module, to be put behind a model's pooling.

    ``SentenceTransformer(modules=[*model, Dense.load(folder)])`` gives vectors whose prefixes are the adaptor's.
    """
    torch = extra("torch", "writing a Dense module", "train")
    models = extra("sentence_transformers.models", "writing a Dense module", "train")
    weight = adaptor.arrays["linear"]
    dense = models.Dense(*weight.shape, bias=False, activation_function=torch.nn.Identity())
    dense.linear.weight.data = torch.tensor(weight.T.copy())
    folder.mkdir(parents=True, exist_ok=True)
    dense.save(str(folder))
