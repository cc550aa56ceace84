"""A learned map, which gives Matryoshka prefixes to vectors that were trained without them."""

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
    """A linear map, optionally with a small residual network, whose prefixes were trained jointly.

    ``python -m bench train`` learns it from training pairs or, without labels, from documents.
    Source: Kusupati et al. 2022; Yoon et al., Matryoshka-Adaptor, 2024.
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
        """Return the adaptor with these weights, all float32.

        They are `linear` (D, D) and, for the residual form, `hidden` (D, h), `hidden_bias` (h,) and
        `output` (h, D).
        """
        adaptor = cls()
        adaptor.arrays = arrays
        return adaptor

    @property
    def folder(self) -> Path:
        """Folder of its files; raises UsageError if there is no adaptor."""
        path = self.parameters["path"]
        shipped = Path(str(resources.files("bench.reducers"))) / "shipped" / self.encoder
        folder = Path(path) if path else shipped
        if not (folder / _WEIGHTS).is_file() or not (folder / _META).is_file():
            raise UsageError(
                f"adaptor:{path}: {path} does not contain {_WEIGHTS} and {_META}; "
                "python -m bench train writes them"
                if path
                else f"no adaptor ships for encoder '{self.encoder}': train one "
                "(python -m bench train DATASET ENCODER --out DIR) and name it as adaptor:DIR"
            )
        return folder

    @cached_property
    def meta(self) -> dict[str, Any]:
        """Its training data, its settings and its quality on held-out data."""
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
        except Exception as error:  # the library does not export its error type
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
                f"the adaptor in {self.folder} maps {self.meta['full_dim']} dimensions, "
                f"but the vectors of '{self.encoder}' have {full_dim}"
            )
        # Report damaged weights before anything is measured.
        self.map(np.zeros((1, full_dim), np.float32))

    def caution(self, dimension: int) -> str:
        """Warn if training showed no gain at the trained dimension nearest to `dimension`.

        A gain is a significant one over truncation, PCA and whitened PCA on held-out data.
        """
        trained = self.meta["dimensions"]
        nearest = min(range(len(trained)), key=lambda i: abs(np.log(trained[i] / dimension)))
        if self.meta["better"][nearest]:
            return ""
        stored = f" stored as {self.meta['code']}" if self.meta.get("code") else ""
        return (
            f"not significantly better than truncation, PCA and whitened PCA{stored} at "
            f"{trained[nearest]} d on its held-out training data"
        )

    @property
    def note(self) -> str:
        if not self.meta.get("saw_test_documents", True):  # older ones saw them and did not say
            return ""
        return (
            f"the adaptor {self.parameters['path'] or 'that ships'} learned from the documents "
            f"that the test queries of {self.meta.get('dataset', 'its corpus')} ask for; on that "
            "corpus its rows show a gain on a corpus one has, not on new documents"
        )

    def fit(self, corpus: np.ndarray) -> None:
        """Check the dimension only: the map was trained beforehand."""
        self.check(corpus.shape[1])

    def map(self, vectors: np.ndarray) -> np.ndarray:
        w = self.arrays
        mapped = vectors @ w["linear"]
        if "hidden" in w:
            mapped += np.maximum(vectors @ w["hidden"] + w["hidden_bias"], 0) @ w["output"]
        return np.asarray(mapped, dtype=np.float32)

    def code(self) -> str:
        if "hidden" not in self.arrays:
            return 'vectors @ MAP["linear"]'
        return (
            'vectors @ MAP["linear"] + (\n'
            '    np.maximum(vectors @ MAP["hidden"] + MAP["hidden_bias"], 0) @ MAP["output"]\n)'
        )

    def code_arrays(self) -> dict[str, np.ndarray]:
        return self.arrays


def _check_meta(meta: dict[str, Any]) -> None:
    """Raise ValueError, KeyError or TypeError for an inconsistent description."""
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
    """Write an adaptor's weights and description into `folder`; raises UsageError if it cannot."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(
            {name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / _WEIGHTS
        )
        (folder / _WEIGHTS).chmod(0o644)  # the library makes it private to its owner
        (folder / _META).write_text(json.dumps(meta, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from error


def save_dense(adaptor: Adaptor, folder: Path) -> None:
    """Write a linear adaptor as a `Dense` module of sentence-transformers, used after the pooling.

    The prefixes of ``SentenceTransformer(modules=[*model, Dense.load(folder)])`` are the adaptor's.
    Raises NotInstalled without the extra ``train``.
    """
    torch = extra("torch", "writing a Dense module", "train")
    models = extra("sentence_transformers.models", "writing a Dense module", "train")
    weight = adaptor.arrays["linear"]
    dense = models.Dense(*weight.shape, bias=False, activation_function=torch.nn.Identity())
    dense.linear.weight.data = torch.tensor(weight.T.copy())
    folder.mkdir(parents=True, exist_ok=True)
    dense.save(str(folder))
