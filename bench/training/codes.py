"""Train for the code that vectors are stored in: the loss sees the code, gradients pass through it.

Forward, the documents are what the index compares; backward, the code counts as the identity.
Source: Bengio et al. 2013 (the straight-through estimator); the codes are those of
`bench.backends.faiss_flat`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.backends.faiss_flat import FaissFlat
from bench.backends.precisions import BINARY, BINARY_ASYMMETRIC, INT4
from bench.errors import UsageError, near_miss
from bench.vectors import truncate

CODES = (BINARY.name, BINARY_ASYMMETRIC.name, INT4.name)
"""Precisions that an adaptor can be trained for."""
INT4_DEVIATIONS = 2.5
"""int4 has 16 levels over the mean ± so many standard deviations, and clips the rest."""
_BLOCK = 16_384


def check(code: str) -> None:
    """Raise UsageError unless `code` is empty or one of `CODES`."""
    if code and code not in CODES:
        raise UsageError(
            f"--code is one of {', '.join(CODES)}, not '{code}'{near_miss(code, CODES)}"
        )


def straight_through(torch: Any, code: str, queries: Any, documents: Any) -> tuple[Any, Any]:
    """Return (q, d) queries and (n, d) documents as an index at `code` compares them.

    Both are tensors of unit rows; without a code they stay as they are. Signs are ±1/√d, so that
    rows keep their unit length. The ranges of int4 are those of the `documents` given.
    """
    if code == INT4.name:
        exact = documents.detach()
        return queries, _passed(documents, levels(torch, exact, *ranges(torch, exact)))
    if code:
        documents = _passed(documents, _signs(torch, documents))
    if code == BINARY.name:
        queries = _passed(queries, _signs(torch, queries))
    return queries, documents


def found_at(
    code: str,
    transform: Callable[[np.ndarray], np.ndarray],
    queries: np.ndarray,
    corpus: np.ndarray,
    dimensions: Sequence[int],
    k: int,
    own: np.ndarray | None = None,
) -> dict[int, np.ndarray]:
    """Return the ids that exhaustive search at `code` finds at each dimension, (q, k) int64.

    `transform` maps a block (rows, D) of the queries (q, D) and of the corpus (n, D) before their
    prefixes are stored. `own` (q,) int64 is the document that each query is and must not find.
    """
    widest, found = max(dimensions), {}
    starts = range(0, len(corpus), _BLOCK)
    stored = np.concatenate([transform(corpus[i : i + _BLOCK])[:, :widest] for i in starts])
    asked = transform(queries)
    for d in dimensions:
        index = FaissFlat(code, d)
        index.build(truncate(stored, d))
        ids = index.search(truncate(asked, d), min(k + (own is not None), len(corpus)))
        index.close()
        found[d] = ids if own is None else _without(ids, own)[:, :k]
    return found


def _without(ids: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return (q, k) ids with each query's own document moved to the end, as -1."""
    is_own = ids == own[:, None]
    order = np.argsort(is_own, axis=1, kind="stable")
    return np.take_along_axis(np.where(is_own, -1, ids), order, axis=1)


def _passed(exact: Any, coded: Any) -> Any:
    """Return `coded`, whose gradient is that of `exact`."""
    return exact + (coded - exact).detach()


def _signs(torch: Any, unit: Any) -> Any:
    one = torch.tensor(unit.shape[1] ** -0.5)
    return torch.where(unit > 0, one, -one)


def ranges(torch: Any, vectors: Any) -> tuple[Any, Any]:
    """Return the least value and the width of each component's range in int4, (d,) each.

    The mean ± 2.5 standard deviations of these vectors. Those that faiss fits differ a little.
    """
    mean, deviation = vectors.mean(dim=0), vectors.std(dim=0, correction=0)
    return mean - INT4_DEVIATIONS * deviation, 2 * INT4_DEVIATIONS * deviation


def levels(torch: Any, unit: Any, low: Any, width: Any) -> Any:
    """Return the middle of each component's level in its range, as faiss decodes 4 bits."""
    share = ((unit - low) / torch.where(width > 0, width, 1)).clamp(0, 1)
    return low + width * (torch.floor(share * 15) + 0.5) / 15
