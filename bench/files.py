"""Files that are whole or absent, and the folder of the cache."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from bench.owners import owned

CACHE_VARIABLE = "MATRYOSHKA_BENCH_CACHE"


def cache_folder() -> Path:
    """Return ``$MATRYOSHKA_BENCH_CACHE``, or the user's cache folder if it is not set.

    It is made if need be. Raises UsageError if other users could have written to it (`owned`).
    """
    named = os.environ.get(CACHE_VARIABLE)
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


def write_checked(path: Path, value: Any) -> None:
    """Write a value as JSON, with a digest by which `read_checked` sees any damage to it."""
    text = json.dumps(value)
    with whole(path) as partial:
        partial.write_text(f"{text}\n{_digest(text.encode())}\n", encoding="utf-8")


def read_checked(path: Path) -> Any:
    """Return what `write_checked` wrote; raises OSError or ValueError if it is not just that."""
    text, _, digest = path.read_bytes().partition(b"\n")
    if digest != f"{_digest(text)}\n".encode():
        raise ValueError(f"{path} is damaged")
    return json.loads(text)


def content_digest(path: Path) -> str:
    """Return the hexadecimal digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).hexdigest()


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16).hexdigest()
