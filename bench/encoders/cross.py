"""Cross-encoders: models that score a query and a document together, to rerank a shortlist."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bench.encoders._trust import UntrustedCode, trusted
from bench.errors import UsageError
from bench.libraries import extra


def cross_encoder(name: str) -> Callable[[str, list[str]], np.ndarray]:
    """Return a function that scores documents for a query, (n,) float32, higher is better.

    `name` is that of a CrossEncoder of sentence-transformers, or a path. Raises UsageError if it
    cannot be loaded, NotInstalled without the extra ``mteb``. Source: Nogueira & Cho 2019.
    """
    library = extra("sentence_transformers", f"rerank = '{name}'")
    try:
        model = library.CrossEncoder(name, trust_remote_code=trusted(name))
    except (OSError, ValueError) as error:
        untrusted = "trust_remote_code" in str(error)
        why = UntrustedCode(name) if untrusted else str(error).splitlines()[0]
        raise UsageError(f"rerank = '{name}' cannot be loaded: {why}") from error

    def score(query: str, documents: list[str]) -> np.ndarray:
        if not documents:
            return np.empty(0, dtype=np.float32)
        pairs = [(query, document) for document in documents]
        found = model.predict(pairs, show_progress_bar=False, convert_to_numpy=True)
        return np.asarray(found, dtype=np.float32).reshape(len(documents))

    return score
