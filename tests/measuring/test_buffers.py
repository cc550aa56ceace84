"""Where queries and vectors lie in memory, in this process and in a worker."""

import os
import platform
import subprocess
import sys

import numpy as np
import pytest

from bench import machine
from bench.measuring.buffers import LINE, aligned, singles
from bench.measuring.supervisor import worker_environment


@pytest.mark.parametrize("dimension", [1, 8, 96, 100, 256])
def test_every_query_begins_at_a_cache_line(dimension):
    vectors = np.random.default_rng(0).standard_normal((37, dimension)).astype(np.float32)
    found = singles(vectors)
    for single, vector in zip(found, vectors, strict=True):
        assert single.ctypes.data % LINE == 0
        assert single.shape == (1, dimension)
        assert single.strides == (4 * dimension, 4)
        assert single.flags.c_contiguous
        np.testing.assert_array_equal(single[0], vector)
    block = aligned(vectors[:, ::-1])
    assert block.ctypes.data % LINE == 0
    assert block.flags.c_contiguous
    np.testing.assert_array_equal(block, vectors[:, ::-1])


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@glibc
def test_large_blocks_get_huge_pages_and_a_user_s_own_settings_win():
    settings = machine.malloc_environment
    assert settings({}) == {
        "MALLOC_MMAP_THRESHOLD_": "131072",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    }
    other = "glibc.malloc.tcache_count=7"
    assert settings({"GLIBC_TUNABLES": other})["GLIBC_TUNABLES"] == (
        f"{other}:glibc.malloc.hugetlb=1"
    )
    own = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0", "MALLOC_MMAP_THRESHOLD_": "65536"}
    assert settings(own) == {}
    assert "MALLOC_MMAP_THRESHOLD_" not in settings(
        {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=65536"}
    )


def test_another_c_library_gets_no_settings(monkeypatch):
    monkeypatch.setattr(machine.platform, "libc_ver", lambda: ("", ""))
    assert machine.malloc_environment({}) == {}


@glibc
def test_a_worker_says_how_it_allocates():
    code = "from bench import machine; print(machine.allocator())"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=worker_environment(1),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "MALLOC_MMAP_THRESHOLD_=131072" in answer or "MALLOC_MMAP_THRESHOLD_" in os.environ
    assert "glibc.malloc.hugetlb=1" in answer or "hugetlb" in os.environ.get("GLIBC_TUNABLES", "")


def test_caches_are_summed_beyond_the_first_level(tmp_path):
    for name, level, size in (("index0", 1, "32K"), ("index2", 2, "1024K"), ("index3", 3, "96M")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "level").write_text(f"{level}\n")
        (tmp_path / name / "size").write_text(f"{size}\n")
    assert machine.cache_bytes(tmp_path) == 97 * 2**20
    assert machine.cache_bytes(tmp_path / "none") > 2**20
