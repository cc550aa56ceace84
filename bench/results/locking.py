"""One writer at a time for a results folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from bench.errors import UsageError
from bench.files import writing

LOCK = ".lock"
"""Its file in a results folder."""


@contextmanager
def only_writer(folder: Path, otherwise: str = "choose another --out") -> Iterator[None]:
    """Hold a results folder against other writers.

    Raises UsageError at once if another process writes it; `otherwise` ends its message.
    """
    lock = filelock.FileLock(folder / LOCK)
    with writing(folder):
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout as error:
            raise UsageError(
                f"{folder} is being written by another run; wait for it or {otherwise}"
            ) from error
    try:
        yield
    finally:
        lock.release()
