"""Our backends inside MTEB: `mteb.evaluate` scores any index of ours, at any dimension.

MTEB v2 accepts a search index between its encoder and its scorer. `MtebIndex` is one::

    import mteb
    from mteb.models import SearchEncoderWrapper
    from bench import MtebIndex

    index = MtebIndex("faiss-hnsw", 64, search={"ef": 64})
    model = SearchEncoderWrapper(mteb.get_model("…"), index_backend=index)
    mteb.evaluate(model, mteb.get_task("SciFact"))

This module does not import mteb; it implements its `IndexEncoderSearchProtocol`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.backends import Backend, get_backend
from bench.errors import NotInstalled, UsageError
from bench.vectors import normalise, truncate


class MtebIndex:
    """A backend as a search index of MTEB: truncates, renormalises, indexes and searches vectors.

    The scores are cosines at the chosen dimension; MTEB orders the results by them.
    """

    def __init__(
        self,
        backend: str,
        dimension: int | None = None,
        *,
        build: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
    ) -> None:
        """Load the backend.

        `dimension` defaults to the full dimension. Parameters in `build` and `search` default to
        the first value of the backend's grid. Raises UsageError for an unknown backend or
        parameter, NotInstalled if the backend's library is missing.
        """
        self._class, self.dimension = get_backend(backend), dimension
        self._parts: list[np.ndarray] = []
        self._index: Backend | None = None
        if not self._class.available():
            raise NotInstalled(f"backend '{backend}' is not installed: {self._class.install}")
        self._class.load()
        self._build = _chosen(backend, "build", self._class.build_grid, build or {})
        self._search = _chosen(backend, "search", self._class.search_grid, search or {})

    def add_documents(self, embeddings: Any, idxs: list[str]) -> None:
        """Add (n, D) vectors. The first search builds the index, because some cannot grow."""
        self._parts.append(self._cut(embeddings))

    def search(
        self,
        embeddings: Any,
        top_k: int,
        similarity_fn: Callable[..., Any],
        top_ranked: Mapping[str, Any] | None = None,
        query_idx_to_id: Mapping[int, str] | None = None,
    ) -> tuple[list[list[float]], list[list[int]]]:
        """Return cosines and positions of the best `top_k` documents per query, best first.

        `embeddings` are (q, D). Raises ValueError if no document was added, and for a reranking
        task, which searches no index.
        """
        if top_ranked is not None:
            raise ValueError("a reranking task scores given candidates and searches no index")
        if not self._parts:
            raise ValueError("no documents were added before the search")
        vectors = np.concatenate(self._parts) if len(self._parts) > 1 else self._parts[0]
        if self._index is None:
            self._index = self._class()
            self._index.build(vectors, **self._build)
        self._index.configure(**self._search)
        queries = self._cut(embeddings)
        ids = self._index.search(queries, min(top_k, len(vectors)))
        found = [row[row >= 0] for row in ids]
        scores = [
            (vectors[row] @ query).tolist() for row, query in zip(found, queries, strict=True)
        ]
        return scores, [row.tolist() for row in found]

    def clear(self) -> None:
        """Remove the documents and close the index."""
        if self._index is not None:
            self._index.close()
        self._parts, self._index = [], None

    def _cut(self, embeddings: Any) -> np.ndarray:
        if hasattr(embeddings, "detach"):
            embeddings = embeddings.detach().cpu().float().numpy()
        vectors = np.asarray(embeddings, dtype=np.float32)
        return normalise(vectors) if self.dimension is None else truncate(vectors, self.dimension)


def _chosen(
    backend: str, what: str, grid: Mapping[str, list[Any]], given: Mapping[str, Any]
) -> dict[str, Any]:
    if unknown := set(given) - set(grid):
        known = ", ".join(grid) or "none"
        raise UsageError(
            f"backend '{backend}' has no {what} parameter '{sorted(unknown)[0]}'; it has: {known}"
        )
    return {name: given.get(name, values[0]) for name, values in grid.items()}
