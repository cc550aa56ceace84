"""Truncation against plain arithmetic."""

import numpy as np
import pytest

from bench import truncate


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_prefix_is_renormalised(dtype):
    vectors = np.random.default_rng(0).standard_normal((50, 12)).astype(dtype)
    for d in (1, 5, 12):
        prefix = vectors[:, :d].astype(np.float64)
        found = truncate(vectors, d)
        np.testing.assert_allclose(
            found, prefix / np.linalg.norm(prefix, axis=1, keepdims=True), atol=1e-6
        )
        assert found.dtype == np.float32
        assert found.flags.c_contiguous


def test_a_zero_prefix_stays_zero():
    assert not truncate(np.array([[0.0, 0.0, 3.0]]), 2).any()


@pytest.mark.parametrize("dimension", [0, -1, 13, True, 1.5, "3", None])
def test_a_dimension_outside_is_refused_with_both_numbers(dimension):
    with pytest.raises(ValueError, match=f"dimension {dimension} is outside 1…12"):
        truncate(np.ones((2, 12)), dimension)
