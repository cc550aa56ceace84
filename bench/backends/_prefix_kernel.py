"""The compiled loop of `prefix_scan`. Apart from it, so that listing backends loads no compiler."""

from __future__ import annotations

import numpy as np
from numba import njit

BLOCK = 64
"""Vectors whose first coordinates lie side by side: full vector registers, sums in cache."""


@njit(nogil=True, cache=True)
def insert(
    scores: np.ndarray, ids: np.ndarray, count: int, score: np.float32, position: int
) -> int:
    """Insert into the `count` best so far, best first; equal scores keep their order."""
    place = count
    if count == len(scores):
        if score <= scores[count - 1]:
            return count
        place = count - 1
    else:
        count += 1
    while place > 0 and score > scores[place - 1]:
        scores[place] = scores[place - 1]
        ids[place] = ids[place - 1]
        place -= 1
    scores[place] = score
    ids[place] = position
    return count


# Sums may be reordered and multiply-adds fused; infinities and NaN keep their meaning.
@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def scan(
    n: int,
    first: np.ndarray,
    later: np.ndarray,
    bounds: np.ndarray,
    rests: np.ndarray,
    queries: np.ndarray,
    margin: float,
    products: np.ndarray,
    alive: np.ndarray,
    found: np.ndarray,
) -> int:
    """Write the exact neighbours to `found` (q, k) int64, -1 pads; return the numbers read.

    `first` (blocks, bounds[0], BLOCK) float32 holds the first level, `later` the others one after
    the other, vector by vector in each. `bounds` (levels,) int64 are the ends of the levels, the
    last one d. `rests` (levels - 1, n) float32 are the lengths of what follows each level.
    `queries` (q, d) float32. `margin` is what rounding may add to a product. `products` (blocks ·
    BLOCK,) float32 and `alive` (n,) int32 are overwritten.

    Every vector's first level is read. The vectors that are best by it are completed: the k-th best
    of these products is one that the true neighbours reach. Level by level, vectors are dropped
    whose product so far, plus that of the lengths of the rests (Cauchy–Schwarz), stays below it.
    """
    k, levels, start = found.shape[1], len(bounds), bounds[0]
    ahead = min(n, 2 * k)
    sums = np.empty(BLOCK, np.float32)
    leads, leading = np.empty(ahead, np.float32), np.empty(ahead, np.int64)
    best, ids = np.empty(k, np.float32), np.empty(k, np.int64)
    query_rests = np.zeros(levels, np.float32)
    read = 0
    for row in range(len(queries)):
        query = queries[row]
        square = np.float32(0)
        for level in range(levels - 1, 0, -1):
            for c in range(bounds[level - 1], bounds[level]):
                square += query[c] * query[c]
            query_rests[level - 1] = np.sqrt(square)
        count, bar = 0, np.float32(-np.inf)
        for b in range(len(first)):
            block = first[b]
            sums[:] = 0
            for c in range(start):
                weight, column = query[c], block[c]
                for i in range(BLOCK):
                    sums[i] += weight * column[i]
            written = products[b * BLOCK : (b + 1) * BLOCK]
            highest = np.float32(-np.inf)
            for i in range(BLOCK):
                written[i] = sums[i]
                highest = max(highest, sums[i])
            if highest > bar:
                for i in range(min(BLOCK, n - b * BLOCK)):
                    if sums[i] > bar:
                        count = insert(leads, leading, count, sums[i], b * BLOCK + i)
                        if count == ahead:
                            bar = leads[count - 1]
        read += n * start
        left = n
        if levels > 1:
            kept = 0
            for lead in range(count):
                total, offset = leads[lead], 0
                for level in range(1, levels):
                    width = bounds[level] - bounds[level - 1]
                    part = query[bounds[level - 1] : bounds[level]]
                    at = offset + leading[lead] * width
                    vector = later[at : at + width]
                    added = np.float32(0)
                    for c in range(len(part)):
                        added += vector[c] * part[c]
                    total += added
                    offset += n * width
                kept = insert(best, ids, kept, total, leading[lead])
            read += count * (bounds[levels - 1] - start)
            reached = best[k - 1] - np.float32(margin) if kept == k else np.float32(-np.inf)
            left, rest = 0, query_rests[0]
            for i in range(n):
                alive[left] = i
                left += products[i] + rest * rests[0, i] >= reached
            read += n
        else:
            for i in range(n):
                alive[i] = i
        offset = 0
        for level in range(1, levels):
            width = bounds[level] - bounds[level - 1]
            part = query[bounds[level - 1] : bounds[level]]
            stored = later[offset : offset + n * width]
            last, rest = level == levels - 1, query_rests[level]
            read += left * (width if last else width + 1)
            staying = 0
            for place in range(left):
                i = alive[place]
                vector = stored[i * width : (i + 1) * width]
                added = np.float32(0)
                for c in range(len(part)):
                    added += vector[c] * part[c]
                products[i] += added
                alive[staying] = i
                if last:
                    staying += 1
                else:
                    staying += products[i] + rest * rests[level, i] >= reached
            left = staying
            offset += n * width
        kept = 0
        for place in range(left):
            kept = insert(best, ids, kept, products[alive[place]], alive[place])
        for i in range(k):
            found[row, i] = ids[i] if i < kept else -1
    return read
