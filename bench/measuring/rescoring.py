"""The compiled inner loop that narrows a shortlist."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True, fastmath=True)
def rescore(
    vectors: np.ndarray,
    unit: bool,
    queries: np.ndarray,
    shortlists: np.ndarray,
    dimensions: np.ndarray,
    keeps: np.ndarray,
    found: np.ndarray,
) -> None:
    """Narrow each query's shortlist step by step: gather, score by cosine and select in one loop.

    `vectors` (n, D) float32, of unit length if `unit`; `queries` (q, D) float32; `shortlists` (q,
    s) int64, -1 pads. Step i scores over the first `dimensions[i]` coordinates and keeps the
    `keeps[i]` best. The last step's results are written to `found` (q, keeps[-1]) int64, best
    first, -1 pads. Equal scores keep the shortlist's order. Each step reads only the coordinates
    beyond the step before: products and squared lengths are carried along.
    """
    full = vectors.shape[1]
    size = shortlists.shape[1]
    ids = np.empty(size, np.int64)
    products = np.empty(size, np.float32)
    squares = np.empty(size, np.float32)
    order = np.empty(size, np.int64)
    scores = np.empty(size, np.float32)
    for row in range(len(queries)):
        query = queries[row]
        count = 0
        for i in range(size):
            if shortlists[row, i] >= 0:
                ids[count] = shortlists[row, i]
                products[count] = 0
                squares[count] = 0
                count += 1
        start = 0
        for step in range(len(dimensions)):
            end, keep = dimensions[step], keeps[step]
            known = unit and end == full
            part = query[start:end]
            kept = 0
            for i in range(count):
                vector = vectors[ids[i], start:end]
                product = np.float32(0)
                square = np.float32(0)
                if known:
                    for j in range(len(vector)):
                        product += vector[j] * part[j]
                else:
                    for j in range(len(vector)):
                        product += vector[j] * part[j]
                        square += vector[j] * vector[j]
                products[i] += product
                squares[i] += square
                score = products[i]
                if not known and squares[i] > 0:
                    score /= np.sqrt(squares[i])
                # Insert among those kept; strictly, so that equal scores keep their order.
                if kept == keep:
                    if score <= scores[kept - 1]:
                        continue
                    place = kept - 1
                else:
                    place = kept
                    kept += 1
                while place > 0 and score > scores[place - 1]:
                    scores[place] = scores[place - 1]
                    order[place] = order[place - 1]
                    place -= 1
                scores[place] = score
                order[place] = i
            count = kept
            if step + 1 < len(dimensions):
                # In the order of the shortlist, so that no write overwrites an unread entry.
                chosen = np.sort(order[:kept])
                for i in range(kept):
                    ids[i], products[i], squares[i] = (
                        ids[chosen[i]],
                        products[chosen[i]],
                        squares[chosen[i]],
                    )
            start = end
        for i in range(found.shape[1]):
            found[row, i] = ids[order[i]] if i < count else -1
