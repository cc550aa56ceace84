"""matryoshka-bench: which embedding dimension, precision and vector index to use, for your model on your corpus."""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Loaded on first use: a child process that measures a backend must not carry what it does not need.
_PUBLIC = {
    "truncate": "bench.vectors",
    "normalise": "bench.vectors",
    "load_dataset": "bench.datasets",
    "get_encoder": "bench.encoders",
    "get_backend": "bench.backends",
    "exact_topk": "bench.exact.one_pass",
    "run": "bench.measuring.runner",
    "load": "bench.results.store",
    "load_queries": "bench.results.store",
    "recommend": "bench.analysis.recommendation",
    "compare": "bench.analysis.regression",
    "MtebIndex": "bench.interop.mteb_index",
    "UsageError": "bench.errors",
}
__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError(f"module 'bench' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
