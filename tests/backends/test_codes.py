"""Codes of any shape: what is packed comes back, and what is rounded is off by half a step."""

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.backends import get_backend, packed_signs
from bench.vectors import normalise, truncate

any_shape = settings(max_examples=40, deadline=None, derandomize=True, database=None)
shapes = st.tuples(st.integers(1, 40), st.integers(1, 40))
numbers = st.floats(-1e6, 1e6, width=32)


@st.composite
def unit_vectors(draw):
    """Draw vectors of unit length (or zero), some coordinates constant, tiny or huge before."""
    n, d = draw(shapes)
    rows = np.random.default_rng(draw(st.integers(0, 99))).standard_normal((n, d))
    scales = draw(
        hnp.arrays(np.float64, d, elements=st.sampled_from([0.0, 1e-20, 1e-3, 1.0, 1e15]))
    )
    constant = draw(hnp.arrays(np.bool_, d))
    rows[:, constant] = 0.5
    return normalise(rows * scales)


def built(precision, vectors):
    backend = get_backend("faiss-flat")(precision)
    backend.build(vectors)
    return backend


@any_shape
@given(vectors=hnp.arrays(np.float32, shapes, elements=numbers))
def test_packed_signs_come_back_and_their_padding_is_zero(vectors):
    packed = packed_signs(vectors)
    n, d = vectors.shape
    assert packed.shape == (n, -(-d // 8))
    bits = np.unpackbits(packed, axis=1)
    np.testing.assert_array_equal(bits[:, :d], vectors > 0)
    assert not bits[:, d:].any()


@any_shape
@given(vectors=unit_vectors())
def test_int8_is_off_by_half_a_step_and_keeps_constants(vectors):
    backend = built("int8", vectors)
    levels = backend._levels(vectors)
    assert np.abs(levels).max() <= 127
    np.testing.assert_array_equal(levels, np.rint(levels))
    decoded = levels * backend.step + backend.centre
    slack = 4 * np.finfo(np.float32).eps
    assert (np.abs(decoded - vectors) <= backend.step / 2 + slack).all()
    constant = np.ptp(vectors, axis=0) == 0
    np.testing.assert_array_equal(levels[:, constant], 0)


@any_shape
@given(vectors=unit_vectors())
def test_int8_codes_in_the_index_are_the_levels(vectors):
    backend = built("int8", vectors)
    codes = faiss.vector_to_array(backend.index.codes).reshape(vectors.shape)
    np.testing.assert_array_equal(codes.astype(int) - 128, backend._levels(vectors))


@pytest.mark.parametrize(("precision", "bits"), [("float16", 11), ("bfloat16", 8)])
@any_shape
@given(vectors=unit_vectors())
def test_a_short_float_is_off_by_half_its_last_bit(precision, bits, vectors):
    decoded = built(precision, vectors).stored(vectors)
    smallest = 2.0**-24 if precision == "float16" else 1e-37
    assert (np.abs(decoded - vectors) <= np.abs(vectors) * 2.0**-bits + smallest).all()


@any_shape
@given(vectors=unit_vectors())
def test_int4_is_off_by_half_a_step_within_its_range(vectors):
    backend = built("int4", vectors)
    # faiss fits mean and deviation without the first vector: with few of them, another range.
    low, width = faiss.vector_to_array(backend.index.sq.trained).reshape(2, -1)
    clipped = np.clip(vectors, low, low + width)
    slack = 1e-5 * (np.abs(low) + width + 1)
    assert (np.abs(backend.stored(vectors) - clipped) <= width / 30 + slack).all()


@any_shape
@given(vectors=unit_vectors(), k=st.integers(1, 50))
def test_binary_search_finds_the_nearest_by_hamming_distance_at_any_width(vectors, k):
    found = built("binary", vectors).search(vectors[:3], k)
    distance = ((vectors[:3] > 0)[:, None] != (vectors > 0)[None]).sum(axis=2)
    n = min(k, len(vectors))
    own = np.take_along_axis(distance, found[:, :n], axis=1)
    np.testing.assert_array_equal(own, np.sort(distance, axis=1)[:, :n])
    assert (found[:, n:] == -1).all()


@any_shape
@given(vectors=hnp.arrays(np.float32, shapes, elements=numbers), draw=st.data())
def test_a_prefix_is_of_unit_length_and_a_prefix_of_a_prefix_is_the_shorter_one(vectors, draw):
    full = vectors.shape[1]
    long = draw.draw(st.integers(1, full))
    short = draw.draw(st.integers(1, long))
    found = truncate(vectors, short)
    lengths = np.linalg.norm(found.astype(np.float64), axis=1)
    is_zero = ~vectors[:, :short].any(axis=1)
    assert (found[is_zero] == 0).all()
    np.testing.assert_allclose(lengths[~is_zero], 1, atol=1e-6)
    again = truncate(vectors[:, :long] * np.float32(4), short)
    np.testing.assert_allclose(again, found, atol=1e-6)
    for outside in (0, -1, full + 1):
        with pytest.raises(ValueError, match="outside"):
            truncate(vectors, outside)
