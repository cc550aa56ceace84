"""Sources of Python for the datasets that are made of them."""

import textwrap

import pytest

from bench.datasets import _sources


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Return a function that makes the given modules the only sources, with a separate cache."""
    monkeypatch.setenv("MATRYOSHKA_BENCH_CACHE", str(tmp_path / "cache"))

    def make(**modules):
        for name, text in modules.items():
            data = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
            (tmp_path / f"{name}.py").write_bytes(data)
        monkeypatch.setattr(
            _sources,
            "modules",
            lambda packages: [(name, tmp_path / f"{name}.py") for name in modules],
        )

    return make
