"""What the faiss backends share."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from bench.backends import Backend


class FaissBackend(Backend):
    """An index of faiss in `index`; a subclass builds and configures it."""

    module = "faiss"
    install = "pip install faiss-cpu"
    index: Any

    @staticmethod
    def faiss() -> Any:
        """Return the library, loaded on first use."""
        return importlib.import_module("faiss")

    def search(self, queries: np.ndarray, k: int) -> np.ndarray:
        return self.index.search(queries, k)[1]

    def size_bytes(self) -> int:
        return int(self.faiss().serialize_index(self.index).nbytes)
