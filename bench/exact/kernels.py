"""The compiled inner loops of the exact pass, and the BLAS product that feeds them.

The loops release the interpreter's lock and start no threads: `one_pass` calls them from its own.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401  (loaded for its address below)
from numba import njit
from numba.extending import get_cython_function_address

RUN = 128
"""Scores tested together: enough vector instructions to make up for the branch after them."""

COSINE, INNER_PRODUCT, L2 = 0, 1, 2

# Sums may be reordered and multiply-adds fused; infinities and NaN keep their meaning.
_SUMS = {"reassoc", "contract", "nsz"}

_sgemm: Any = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(
    get_cython_function_address("scipy.linalg.cython_blas", "sgemm")
)
_T, _N = ctypes.c_char(b"T"), ctypes.c_char(b"N")
_ONE, _ZERO = ctypes.c_float(1), ctypes.c_float(0)


def add_products(
    products: np.ndarray, queries: np.ndarray, documents: np.ndarray, first: int, last: int
) -> None:
    """Add the inner products over coordinates first…last to `products` (q, ≥ rows).

    Overwrites if `first` is 0. `queries` (q, D) and `documents` (rows, D) are float32 and
    C-contiguous. Columns beyond `rows` are left alone. numpy's product would need a temporary
    array for each part; BLAS adds in place. Releases the interpreter's lock.
    """
    rows, width = documents.shape
    sizes = (ctypes.c_int * 5)(rows, len(queries), last - first, width, products.shape[1])
    step = ctypes.sizeof(ctypes.c_int)
    at = ctypes.addressof(sizes)
    _sgemm(
        ctypes.addressof(_T),
        ctypes.addressof(_N),
        at,
        at + step,
        at + 2 * step,
        ctypes.addressof(_ONE),
        documents.ctypes.data + 4 * first,
        at + 3 * step,
        queries.ctypes.data + 4 * first,
        at + 3 * step,
        ctypes.addressof(_ONE if first else _ZERO),
        products.ctypes.data,
        at + 4 * step,
    )


@njit(nogil=True, cache=True, fastmath=_SUMS)
def prefix_squares(vectors: np.ndarray, steps: np.ndarray, squares: np.ndarray) -> None:
    """Write the squared length of each prefix.

    `vectors` (n, D) float32, `steps` (s,) int64 → `squares` (s, ≥ n) float32.
    """
    for i in range(len(vectors)):
        total, previous = np.float32(0), 0
        for s in range(len(steps)):
            part = vectors[i, previous : steps[s]]
            added = np.float32(0)
            for c in range(len(part)):
                added += part[c] * part[c]
            total += added
            squares[s, i] = total
            previous = steps[s]


@njit(nogil=True, cache=True, fastmath=_SUMS)
def weights(metric: int, squares: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> None:
    """Write the weights that turn a product into a score, (n,) float32 each.

    The score is product · `scale` + `shift`. Terms that depend on the query alone are left out:
    they do not change the order of a query's documents.
    """
    for i in range(len(squares)):
        scale[i], shift[i] = 1, 0
        if metric == COSINE:
            scale[i] = 1 / np.sqrt(squares[i]) if squares[i] > 0 else 0
        elif metric == L2:
            scale[i], shift[i] = 2, -squares[i]


@njit(nogil=True, cache=True)
def _key(score: float, position: int) -> np.uint64:
    """Pack a float32 score and a position into a key; of equal scores the first is largest."""
    bits = np.float32(score).view(np.uint32)
    bits = (
        np.uint32(~bits)
        if bits & np.uint32(0x80000000)
        else np.uint32(bits | np.uint32(0x80000000))
    )
    return (np.uint64(bits) << np.uint64(32)) | (np.uint64(0xFFFFFFFF) - np.uint64(position))


@njit(nogil=True, cache=True)
def _score(key: np.uint64) -> np.float32:
    bits = np.uint32(key >> np.uint64(32))
    bits = (
        np.uint32(bits & np.uint32(0x7FFFFFFF))
        if bits & np.uint32(0x80000000)
        else np.uint32(~bits)
    )
    return np.uint32(bits).view(np.float32)


@njit(nogil=True, cache=True)
def _largest_first(keys: np.ndarray, k: int) -> None:
    """Move the k largest of `keys` to the front, in no order. Source: Hoare 1961, find."""
    low, high = 0, len(keys) - 1
    while low < high:
        a, b, c = keys[low], keys[(low + high) >> 1], keys[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[i] > pivot:
                i += 1
            while keys[j] < pivot:
                j -= 1
            if i <= j:
                keys[i], keys[j] = keys[j], keys[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            break


@njit(nogil=True, cache=True, fastmath=_SUMS)
def collect(
    products: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    start: int,
    keep: int,
    keys: np.ndarray,
    counts: np.ndarray,
    bars: np.ndarray,
    shared: np.ndarray,
) -> None:
    """Collect the documents of a block that may be among the `keep` best of their query.

    `products` (q, ≥ n) float32 covers n = len(`scale`) documents from position `start` on. `keys`
    (q, capacity) uint64 holds the candidates of each query, `counts` (q,) their number. A full row
    is cut down to its `keep` best, which raises `bars` (q,), the score that a document must exceed.
    Blocks arrive in the order of positions, so a document that only equals the bar ranks behind it.
    `shared` (q,) is the highest bar of any thread. No document below it is among the best overall.
    """
    capacity = keys.shape[1]
    for q in range(len(counts)):
        row, mine, count = products[q], keys[q], counts[q]
        bar = max(bars[q], np.nextafter(shared[q], np.float32(-np.inf)))
        for first in range(0, len(scale), RUN):
            factor, addend = scale[first : first + RUN], shift[first : first + RUN]
            run = row[first : first + len(factor)]
            above = False
            for i in range(len(factor)):
                above |= run[i] * factor[i] + addend[i] > bar
            if not above:
                continue
            for i in range(len(factor)):
                score = run[i] * factor[i] + addend[i]
                if score > bar:
                    mine[count] = _key(score, start + first + i)
                    count += 1
                    if count == capacity:
                        _largest_first(mine, keep)
                        count = keep
                        bars[q] = _score(mine[keep - 1])
                        bar = max(bar, bars[q])
        counts[q] = count
        if bars[q] > shared[q]:
            shared[q] = bars[q]


@njit(nogil=True, cache=True, fastmath=_SUMS)
def raise_bars(
    metric: int,
    queries: np.ndarray,
    documents: np.ndarray,
    near: np.ndarray,
    steps: np.ndarray,
    margin: np.ndarray,
    bars: np.ndarray,
) -> None:
    """Raise `bars` (s, q) to the worst score of the documents `near` (q, m) int64.

    Scores are on the scale of the pass. A -1 among the documents leaves the bars of its query.
    `queries` (q, D) and `documents` (n, D) float32, `steps` (s,) int64; `margin` (s, q) float32 is
    what rounding may add to a score elsewhere.
    """
    worst = np.empty(len(steps), np.float32)
    for q in range(len(near)):
        worst[:] = np.inf
        for position in near[q]:
            if position < 0:
                worst[:] = -np.inf
                break
            product, square, previous = np.float32(0), np.float32(0), 0
            for s in range(len(steps)):
                added, length = np.float32(0), np.float32(0)
                for c in range(previous, steps[s]):
                    added += queries[q, c] * documents[position, c]
                    length += documents[position, c] * documents[position, c]
                product, square, previous = product + added, square + length, steps[s]
                score = product
                if metric == COSINE:
                    score = product / np.sqrt(square) if square > 0 else np.float32(0)
                elif metric == L2:
                    score = 2 * product - square
                worst[s] = min(worst[s], score)
        for s in range(len(steps)):
            bar = worst[s] - margin[s, q]
            if bar > bars[s, q]:
                bars[s, q] = bar


@njit(nogil=True, cache=True, fastmath=_SUMS)
def pair_score(metric: int, query: np.ndarray, document: np.ndarray) -> float:
    """Return the double-precision score of two (d,) float32 vectors; higher is nearer.

    The cosine with a zero vector is 0.
    """
    product, square, query_square = 0.0, 0.0, 0.0
    for c in range(len(query)):
        a, b = np.float64(query[c]), np.float64(document[c])
        product += a * b
        square += b * b
        query_square += a * a
    if metric == INNER_PRODUCT:
        return product
    if metric == L2:
        return 2 * product - square - query_square
    if square <= 0 or query_square <= 0:
        return 0.0
    return product / np.sqrt(square * query_square)  # type: ignore[no-any-return]


@njit(nogil=True, cache=True)
def pair_scores(
    metric: int,
    queries: np.ndarray,
    rows: np.ndarray,
    documents: np.ndarray,
    positions: np.ndarray,
    width: int,
    scores: np.ndarray,
) -> None:
    """Write the score of query ``rows[i]`` with document ``positions[i]``, (p,) float64.

    Only the first `width` coordinates count.
    """
    for i in range(len(rows)):
        scores[i] = pair_score(metric, queries[rows[i], :width], documents[positions[i], :width])


@njit(nogil=True, cache=True, fastmath=_SUMS)
def count_above(
    metric: int,
    products: np.ndarray,
    scale: np.ndarray,
    shift: np.ndarray,
    start: int,
    queries: np.ndarray,
    documents: np.ndarray,
    width: int,
    first_pair: np.ndarray,
    positions: np.ndarray,
    raw: np.ndarray,
    near: np.ndarray,
    exact: np.ndarray,
    above: np.ndarray,
) -> None:
    """Count, per pair of a query and a document, the documents of a block that rank above it.

    The pairs of query q are ``first_pair[q]…first_pair[q + 1]``: document ``positions[p]`` with the
    double-precision score ``exact[p]``, which is ``raw[p]`` on the scale of the pass. Scores within
    ``near[p]`` of that are computed again in double precision. Scores equal as float32 rank by
    position. Adds to `above` (p,) int64.
    """
    for q in range(len(first_pair) - 1):
        row = products[q]
        for p in range(first_pair[q], first_pair[q + 1]):
            low, high = np.float32(raw[p] - near[p]), np.float32(raw[p] + near[p])
            for first in range(0, len(scale), RUN):
                factor, addend = scale[first : first + RUN], shift[first : first + RUN]
                run = row[first : first + len(factor)]
                clear, reached = np.float32(0), np.float32(0)
                for i in range(len(factor)):
                    score = run[i] * factor[i] + addend[i]
                    clear += np.float32(1) if score > high else np.float32(0)
                    reached += np.float32(1) if score >= low else np.float32(0)
                above[p] += np.int64(clear)
                if reached == clear:
                    continue
                for i in range(len(factor)):
                    score = run[i] * factor[i] + addend[i]
                    position = start + first + i
                    if low <= score <= high and position != positions[p]:
                        true = np.float32(
                            pair_score(metric, queries[q, :width], documents[first + i, :width])
                        )
                        if true > np.float32(exact[p]) or (
                            true == np.float32(exact[p]) and position < positions[p]
                        ):
                            above[p] += 1
