"""Files that are whole or absent, and where the cache lies."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return where embeddings are kept: ``$MATRYOSHKA_BENCH_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("MATRYOSHKA_BENCH_CACHE") or platformdirs.user_cache_dir("matryoshka-bench"))
