"""Who may write to the cache: what other users could have put there is not read.

The cache holds vectors that stand in for measured ones, and environments whose code is run.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from bench.errors import UsageError


def owned(folder: Path, shared: bool = False) -> Path:
    """Return `folder`, which is made for this user alone if it does not exist.

    Raises UsageError for a folder of another user than root, or one that every user can write to or
    replace. Its group may write to it only if it is `shared`, which is if the user named it.
    """
    with contextlib.suppress(OSError):  # who writes there says what is wrong
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        found = folder.stat()
    except OSError:
        return folder
    if found.st_uid not in (os.geteuid(), 0):
        raise _refused(
            folder, "belongs to another user", "set MATRYOSHKA_BENCH_CACHE to one of yours"
        )
    if found.st_mode & stat.S_IWOTH:
        raise _refused(folder, "can be written by every user", f"chmod o-w {folder}")
    if found.st_mode & stat.S_IWGRP and not shared:
        hint = "or set MATRYOSHKA_BENCH_CACHE to it to trust the group"
        raise _refused(folder, "can be written by its group", f"chmod g-w {folder}, {hint}")
    for above in {*folder.absolute().parents, *folder.resolve().parents}:
        mode = above.stat().st_mode
        # In a folder like /tmp, which is sticky, nobody can replace what is another's.
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise _refused(folder, f"can be replaced by every user through {above}", "move it")
    return folder


def _refused(folder: Path, why: str, remedy: str) -> UsageError:
    return UsageError(f"the cache {folder} {why}, so its files are not trusted: {remedy}")
