"""Indexes of faiss by their codes, as plain functions: a deployment contains them as they are.

Each recipe takes the (n, d) float32 vectors of unit length to learn from and returns a trained,
empty index: exhaustive, in `lists` k-means cells if that is not 0, in a graph of `M` if that is not
0. The index may begin with a rotation or with padding; `inner` returns what follows.
"""

from __future__ import annotations

import faiss
import numpy as np


def inner(index: faiss.Index) -> faiss.Index:
    """Return the index behind a rotation or padding, or `index` itself."""
    is_turned = isinstance(index, faiss.IndexPreTransform)
    return faiss.downcast_index(index.index) if is_turned else index


def trainable(vectors: np.ndarray) -> np.ndarray:
    """Return (max(n, 256), d) vectors, those of a small corpus repeated: 8-bit codes need 256."""
    return vectors if len(vectors) >= 256 else np.resize(vectors, (256, vectors.shape[1]))


def sampled(vectors: np.ndarray, most: int = 65_536) -> np.ndarray:
    """Return at most `most` of the (n, d) vectors, evenly spaced."""
    return vectors[:: -(-len(vectors) // most)]


def rotation_of(d: int, seed: int = 123) -> faiss.RandomRotationMatrix:
    """Return a random rotation of d dimensions."""
    rotation = faiss.RandomRotationMatrix(d, d)
    rotation.init(seed)
    return rotation


def cells_of(vectors: np.ndarray, lists: int) -> faiss.IndexFlatIP:
    """Return an index of the centroids of `lists` k-means cells of (n, d) vectors."""
    kmeans = faiss.Kmeans(
        vectors.shape[1], lists, niter=10, spherical=True, min_points_per_centroid=1
    )
    kmeans.train(vectors)
    cells = faiss.IndexFlatIP(vectors.shape[1])
    cells.add(kmeans.centroids)
    return cells


def rabitq(
    vectors: np.ndarray, bits: int, query_bits: int = 0, lists: int = 0, M: int = 0
) -> faiss.Index:
    """RaBitQ after a random rotation: `bits` per component and an unbiased estimate of scores.

    `query_bits` rounds the query, 0 does not. In a graph, distances of unit vectors order as their
    inner products do. Cells hold residuals. Source: Gao & Long 2024; Gao et al. 2025 (more bits).
    """
    d, rotation = vectors.shape[1], rotation_of(vectors.shape[1])
    if lists:
        cells, product = cells_of(rotation.apply(vectors), lists), faiss.METRIC_INNER_PRODUCT
        codes = faiss.IndexIVFRaBitQ(cells, d, lists, product, True, bits)
    elif M:
        codes = faiss.IndexHNSWRaBitQ(d, M, bits, faiss.METRIC_L2)
    else:
        codes = faiss.IndexRaBitQ(d, faiss.METRIC_INNER_PRODUCT, bits)
    (faiss.downcast_index(codes.storage) if M else codes).qb = query_bits
    index = faiss.IndexPreTransform(rotation, codes)
    index.train(vectors)
    return index


def eden(vectors: np.ndarray, bits: int, lists: int = 0) -> faiss.Index:
    """EDEN after a random rotation: levels of the normal distribution, a scale per vector.

    Cells hold residuals, by distance. Source: Vargaftik et al. 2022.
    """
    d, rotation = vectors.shape[1], rotation_of(vectors.shape[1])
    if lists:
        cells = cells_of(rotation.apply(vectors), lists)
        codes = faiss.IndexIVFEDEN(cells, d, lists, faiss.METRIC_L2, True, bits)
    else:
        codes = faiss.IndexEDEN(d, faiss.METRIC_INNER_PRODUCT, bits)
    index = faiss.IndexPreTransform(rotation, codes)
    index.train(vectors)
    return index


def scalar(vectors: np.ndarray, kind: int, lists: int = 0, M: int = 0) -> faiss.Index:
    """Return one of faiss's scalar quantisers; those with ranges take them from least to most."""
    d, product = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    if lists:
        # Components instead of residuals, so that codes equal those of exhaustive search.
        cells, by_residual = cells_of(vectors, lists), False
        codes = faiss.IndexIVFScalarQuantizer(cells, d, lists, kind, product, by_residual)
    elif M:
        codes = faiss.IndexHNSWSQ(d, kind, M, product)
    else:
        codes = faiss.IndexScalarQuantizer(d, kind, product)
    codes.train(vectors)
    return codes


def turboquant(vectors: np.ndarray, kind: str, lists: int = 0, M: int = 0) -> faiss.Index:
    """TurboQuant: after a random rotation, the levels that suit coordinates on the sphere.

    Source: Zandieh et al. 2025.
    """
    rotation, quantiser = rotation_of(vectors.shape[1]), getattr(faiss.ScalarQuantizer, kind)
    codes = scalar(rotation.apply(vectors), quantiser, lists, M)
    return faiss.IndexPreTransform(rotation, codes)


def product_codes(
    vectors: np.ndarray, bits: int, per_code: int, lists: int = 0, M: int = 0
) -> tuple[faiss.Index, faiss.ProductQuantizer]:
    """Return an untrained index of codes of `bits` for `per_code` components each, and its codec.

    `per_code` divides d. In a graph, distances order documents until `scored_by_product`.
    """
    d, product = vectors.shape[1], faiss.METRIC_INNER_PRODUCT
    n_codes = d // per_code
    if lists:
        kind = faiss.IndexIVFPQFastScan if bits == 4 else faiss.IndexIVFPQ
        codes = kind(cells_of(vectors, lists), d, lists, n_codes, bits, product)
        codes.by_residual = False
        quantiser = codes.pq
    elif M:
        codes = faiss.IndexHNSWPQ(d, n_codes, M, bits, faiss.METRIC_L2)
        quantiser = faiss.downcast_index(codes.storage).pq
    else:
        kind = faiss.IndexPQFastScan if bits == 4 else faiss.IndexPQ
        codes = kind(d, n_codes, bits, product)
        quantiser = codes.pq
    quantiser.cp.min_points_per_centroid = 1
    return codes, quantiser


def scored_by_product(graph: faiss.IndexHNSW) -> None:
    """Let a filled graph of product codes score by inner product.

    faiss compares two product codes by their distance alone, so the graph is built by distance.
    """
    graph.metric_type = faiss.METRIC_INNER_PRODUCT
    faiss.downcast_index(graph.storage).metric_type = faiss.METRIC_INNER_PRODUCT
    graph.hnsw.is_similarity = True


def padding_of(d: int, multiple: int) -> faiss.VectorTransform:
    """Return a transform that pads d dimensions with zeros to a multiple; scores do not change."""
    return faiss.RemapDimensionsTransform(d, d + -d % multiple, False)


def pq(
    vectors: np.ndarray, per_code: int, rotate: bool = False, lists: int = 0, M: int = 0
) -> faiss.Index:
    """Product codes of 8 bits for `per_code` components each; `rotate` fits a rotation before.

    Source: Jégou et al. 2011; Ge et al. 2013 (OPQ).
    """
    padding = padding_of(vectors.shape[1], per_code)
    vectors = padding.apply(trainable(vectors))
    d = vectors.shape[1]
    if rotate:
        rotation, quantiser = (
            faiss.OPQMatrix(d, d // per_code),
            faiss.ProductQuantizer(d, d // per_code, 8),
        )
        quantiser.cp.min_points_per_centroid = 1
        rotation.pq = quantiser
        # The default of 50 iterations takes minutes at 256 d.
        rotation.niter, rotation.niter_pq = 4, 4
        rotation.train(vectors)
        vectors = rotation.apply(vectors)
    codes, _ = product_codes(vectors, 8, per_code, lists, M)
    codes.train(vectors)
    index = faiss.IndexPreTransform(rotation, codes) if rotate else faiss.IndexPreTransform(codes)
    index.prepend_transform(padding)
    return index


def grid(
    vectors: np.ndarray, levels: np.ndarray, per_code: int, lists: int = 0, M: int = 0
) -> faiss.Index:
    """Store each component as one of its own (d, L) `levels`, the nearest; return the index.

    faiss searches them as product codes whose centroids are all combinations of the levels of
    `per_code` components. Four bits in one code are looked up in registers, rounded to 8 bits.
    """
    d, count = levels.shape
    if not np.ptp(levels, axis=1).any():
        levels = levels + 1e-6 * np.arange(count)  # registers need scores that differ
    padding = padding_of(d, per_code)
    levels = np.pad(levels, ((0, -d % per_code), (0, 0))).reshape(-1, per_code, count)
    bits = int(np.ceil(np.log2(count**per_code)))
    places = np.indices((count,) * per_code).reshape(per_code, -1)
    places = np.pad(places, ((0, 0), (0, 2**bits - count**per_code)))
    centroids = levels[:, np.arange(per_code)[:, None], places].transpose(0, 2, 1)
    codes, quantiser = product_codes(padding.apply(vectors), bits, per_code, lists, M)
    faiss.copy_array_to_vector(centroids.astype(np.float32).ravel(), quantiser.centroids)
    if M:
        quantiser.compute_sdc_table()
        codes.storage.is_trained = True
    codes.is_trained = True
    return faiss.IndexPreTransform(padding, codes)


def uniform(vectors: np.ndarray, bits: int, lists: int = 0, M: int = 0) -> faiss.Index:
    """2^bits steps of equal width between the least and the most of each component."""
    if bits >= 4:
        return scalar(vectors, getattr(faiss.ScalarQuantizer, f"QT_{bits}bit"), lists, M)
    low, high = vectors.min(axis=0)[:, None], vectors.max(axis=0)[:, None]
    levels = low + (high - low) * ((np.arange(2**bits) + 0.5) / 2**bits)
    return grid(vectors, levels, 2, lists, M)


def percentile(vectors: np.ndarray, bits: int, lists: int = 0, M: int = 0) -> faiss.Index:
    """Levels of each component are the medians of 2^bits bins that hold equally many documents.

    Source: the percentile binning of CoRECT (Caspari et al. 2025).
    """
    places = (np.arange(2**bits) + 0.5) / 2**bits
    levels = np.quantile(sampled(vectors), places, axis=0).T
    return grid(vectors, levels, 2 if bits < 4 else 1, lists, M)


def float8_values(exponent_bits: int, mantissa_bits: int) -> np.ndarray:
    """Return the (256,) values of 8-bit floats; zero in place of what is infinite or no number.

    Four bits of exponent are E4M3FN, which has no infinity, five are E5M2.
    Source: Micikevicius et al. 2022.
    """
    code = np.arange(128)
    exponent, mantissa = code >> mantissa_bits, code % 2**mantissa_bits / 2**mantissa_bits
    bias = 2 ** (exponent_bits - 1) - 1
    values = np.where(exponent > 0, 1 + mantissa, mantissa) * 2.0 ** (
        np.maximum(exponent, 1) - bias
    )
    unused = code == 127 if exponent_bits == 4 else exponent == 2**exponent_bits - 1
    values[unused] = 0
    return np.concatenate([values, -values])


def float8(
    vectors: np.ndarray, exponent_bits: int, mantissa_bits: int, lists: int = 0, M: int = 0
) -> faiss.Index:
    """8-bit floats, scaled so that the largest of each component is the largest finite value."""
    values = float8_values(exponent_bits, mantissa_bits)
    most = np.abs(vectors).max(axis=0)[:, None]
    return grid(vectors, most / values.max() * values, 1, lists, M)


def to_ternary(vectors: np.ndarray, share: float = 0.54) -> np.ndarray:
    """Return (n, d) vectors of -1, 0 and 1: the signs of the largest components of each vector.

    `share` of the components are not zero: that turns normally distributed vectors least. Source:
    Dearle, Claydon & Connor 2025.
    """
    kept = max(1, round(share * vectors.shape[1]))
    largest = np.argpartition(-np.abs(vectors), kept - 1, axis=1)[:, :kept]
    signs = np.zeros_like(vectors)
    np.put_along_axis(signs, largest, np.sign(np.take_along_axis(vectors, largest, axis=1)), axis=1)
    return signs


def ternary(vectors: np.ndarray, lists: int = 0, M: int = 0) -> faiss.Index:
    """Return an index for what `to_ternary` gives: five components in a byte."""
    levels = np.tile(np.float32([-1, 0, 1]), (vectors.shape[1], 1))
    return grid(vectors, levels, 5, lists, M)


def mean_threshold(vectors: np.ndarray) -> tuple[None, np.ndarray]:
    """Return no rotation and the mean of each component."""
    return None, vectors.mean(axis=0)


def median_threshold(vectors: np.ndarray) -> tuple[None, np.ndarray]:
    """Return no rotation and the median of each component."""
    return None, np.median(sampled(vectors), axis=0)


def random_turn(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a random rotation, (d, d), and zeros."""
    d = vectors.shape[1]
    rotation = rotation_of(d)
    return faiss.vector_to_array(rotation.A).reshape(d, d).T.copy(), np.zeros(d, np.float32)


def itq_turn(
    vectors: np.ndarray, iterations: int = 50, most: int = 16_384
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rotation, (d, d), that brings centred vectors nearest to their signs; the mean.

    The mean is rotated too. Given the signs, the best rotation is that of a Procrustes problem;
    both alternate, from a random rotation. Source: Gong & Lazebnik 2011 (iterative quantisation).
    """
    d, mean = vectors.shape[1], vectors.mean(axis=0, dtype=np.float64)
    rotation = rotation_of(d)
    matrix = faiss.vector_to_array(rotation.A).reshape(d, d).T.astype(np.float64)
    # In double precision, so that the order of the documents changes nothing.
    centred = sampled(vectors, most) - mean
    for _ in range(iterations):
        signs = np.where(centred @ matrix > 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(centred.T @ signs)
        matrix = left @ right
    return matrix.astype(np.float32), (mean @ matrix).astype(np.float32)


def turned(vectors: np.ndarray, matrix: np.ndarray | None, threshold: np.ndarray) -> np.ndarray:
    """Return (n, d) vectors whose signs are the codes."""
    return (vectors if matrix is None else vectors @ matrix) - threshold


def sign_codes(packed: np.ndarray, lists: int = 0, M: int = 0) -> faiss.IndexBinary:
    """Return a trained, empty index of (n, b) bytes of signs, compared by Hamming distance."""
    bits = 8 * packed.shape[1]
    if lists:
        codes = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(bits), bits, lists)
        codes.cp.min_points_per_centroid = 1
        codes.train(packed)
        return codes
    return faiss.IndexBinaryHNSW(bits, M) if M else faiss.IndexBinaryFlat(bits)
