"""Our backends inside MTEB: `mteb.evaluate` scores any index of ours, at any dimension.

MTEB v2 lets a search index stand between its encoder and its scorer. `MtebIndex` is one::

    import mteb
    from mteb.models import SearchEncoderWrapper
    from bench import MtebIndex

    model = SearchEncoderWrapper(mteb.get_model("…"), index_backend=MtebIndex("faiss-hnsw", 64, search={"ef": 64}))
    mteb.evaluate(model, mteb.get_task("SciFact"))

Nothing here imports mteb: the protocol is that of its `IndexEncoderSearchProtocol`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.backends import Backend, get_backend
from bench.errors import UsageError
from bench.vectors import normalise, truncate


class MtebIndex:
    """A backend of ours as MTEB's search index: vectors cut to a dimension, renormalised, indexed, searched.

    The score handed back is the cosine at that dimension, by which MTEB orders the results.
    """

    def __init__(
        self,
        backend: str,
        dimension: int | None = None,
        *,
        build: Mapping[str, Any] | None = None,
        search: Mapping[str, Any] | None = None,
    ) -> None:
        """`dimension`: the vectors' own when left out. `build` and `search`: each parameter left out takes the first value
        of the backend's own grid. Raises UsageError for an unknown backend or parameter, or one that is not installed.
        """
        self._class, self.dimension = get_backend(backend), dimension
        self._parts: list[np.ndarray] = []
        self._index: Backend | None = None
        if not self._class.available():
            raise UsageError(f"backend '{backend}' is not installed: {self._class.install}")
        self._class.load()
        self._build = _chosen(backend, "build", self._class.build_grid, build or {})
        self._search = _chosen(backend, "search", self._class.search_grid, search or {})

    def add_documents(self, embeddings: Any, idxs: list[str]) -> None:
        """Take in (n, D) vectors; the index is built when the first query comes, since some take no more afterwards."""
        self._parts.append(self._cut(embeddings))

    def search(
        self,
        embeddings: Any,
        top_k: int,
        similarity_fn: Callable[..., Any],
        top_ranked: Mapping[str, Any] | None = None,
        query_idx_to_id: Mapping[int, str] | None = None,
    ) -> tuple[list[list[float]], list[list[int]]]:
        """Return the cosines and positions of the best `top_k` documents of each of (q, D) queries, best first.

        Raises ValueError where no document was added, or for a reranking task, which asks no index anything.
        """
        if top_ranked is not None:
            raise ValueError(
                "a reranking task scores given candidates: there is no index in it to measure"
            )
        if not self._parts:
            raise ValueError("no document was added before the search")
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
        """Forget documents and index."""
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
