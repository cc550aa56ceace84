"""Files that are whole or absent, and the folder of the cache."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from bench.owners import owned


def cache_folder() -> Path:
    """Return ``$MATRYOSHKA_BENCH_CACHE``, or the user's cache folder if it is not set.

    It is made if need be. Raises UsageError if other users could have written to it (`owned`).
    """
    named = os.environ.get("MATRYOSHKA_BENCH_CACHE")
    default = platformdirs.user_cache_dir("matryoshka-bench")
    return owned(Path(named or default), shared=bool(named))


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a path to write to, and rename it to `path` once all of it is on disk.

    A process that is killed leaves ``.NAME.PID.partial.SUFFIX`` behind, never half of `path`.
    An error removes the partial file and is raised again.
    """
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
