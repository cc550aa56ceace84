"""Files that are whole or absent, even after a power loss, and the folder of the cache."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs

from bench.errors import UsageError
from bench.machine import is_running
from bench.owners import owned

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a full disk and of a quota."""
UNWRITABLE = (*NO_SPACE, errno.EROFS, errno.EACCES)
"""Those, and errors of a place where nothing may be written."""
_SCRATCH = "matryoshka-worker-"
CACHE_VARIABLE = "MATRYOSHKA_BENCH_CACHE"
_HOST = hashlib.blake2b(platform.node().encode(), digest_size=4).hexdigest()
"""In the names of partial files: two hosts of one shared folder may have the same process ids."""


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

    A process that is killed leaves ``.NAME.HOST-PID.partial.SUFFIX`` behind, never half of `path`.
    An error removes the partial file and is raised again. On return neither a kill nor a power loss
    can undo it.
    """
    with unfinished(path) as partial:
        yield partial
        settle(partial, path)


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """Yield the path of a partial file of `path`, for `settle`; an error removes the file."""
    partial = path.with_name(f".{path.stem}.{_HOST}-{os.getpid()}.partial{path.suffix}")
    try:
        with partial.open("wb") as held:
            # The lock goes with this process, so `clear` knows what nobody writes any more.
            with contextlib.suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_EX)
            yield partial
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def settle(partial: Path, path: Path) -> None:
    """Rename a finished file to `path`, so that a power loss leaves all of it or what was before.

    On return the new name is on disk too. What it replaces may be removed then.
    """
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some network file systems cannot sync a folder.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, so that a power loss cannot take it with what is in it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def clear(folder: Path) -> None:
    """Remove partial files in a folder, and in those below it, that killed processes left."""
    for partial in folder.rglob(".*.partial*"):
        with contextlib.suppress(OSError), partial.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a UsageError that names `path` and says how to go on."""
    try:
        yield
    except OSError as error:
        hint = "free some space and" if error.errno in NO_SPACE else "make it writable and"
        raise UsageError(
            f"{path} cannot be written ({error.strerror or error}); what was measured is kept: "
            f"{hint} run again to resume"
        ) from error


def append(path: Path, line: str) -> None:
    """Add a line to a text file; raises UsageError.

    If a kill has cut the last line short, the new one does not join it.
    """
    with writing(path), path.open("ab+") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        whole_line = file.read(1) in (b"", b"\n")
        file.write(b"" if whole_line else b"\n")
        file.write(line.encode() + b"\n")


def check_space(error: str) -> None:
    """Raise UsageError if the text of an error, of whatever library, says that a disk is full.

    That says nothing of the configuration that met it.
    """
    if any(os.strerror(code) in error for code in NO_SPACE):
        raise UsageError(
            f"a disk is full: {error}; what was measured is kept: free some space and run again to "
            "resume"
        )


def temporary_folder() -> Path:
    """Return the folder for temporary files that outlive a worker, whose own go with it."""
    found = Path(tempfile.gettempdir())
    return found.parent if found.name.startswith(_SCRATCH) else found


def scratch_folder() -> Path:
    """Make a temporary folder for a worker of this process; raises UsageError."""
    root = temporary_folder()
    with writing(root):
        return Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-", dir=root))


def clear_scratch() -> None:
    """Remove the temporary folders of workers whose runner was killed."""
    for folder in temporary_folder().glob(f"{_SCRATCH}*"):
        owner = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdecimal() and not is_running(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


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
