"""Full disks, quotas and folders that cannot be written, at each kind of write.

A run ends with one line and nothing finished is lost; after the disk has room again the same run
completes, and no trial was blamed for the disk.
"""

from __future__ import annotations

import errno
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from unittest import mock

import bench
from tests.faults.ground import Budget, Counts, Lost, Site, finished, forked_workers, site
from tests.faults.kills import anew, undisturbed

_RESULTS = ("parts", ".trials.", ".queries.", "rankings", "tasks.jsonl", "studies", "out")
_CACHE = ("matrices", "ingested", "sets", "exact", ".reducer.", ".subsets", "cache")
WRITES = [*((name, code) for name in (*_RESULTS, *_CACHE, "tmp") for code in ("ENOSPC", "EDQUOT"))]
"""Parts of the paths whose writes fail, with the error."""


@contextmanager
def full(part: str, code: int) -> Iterator[None]:
    """Let every write to a path with `part` in it fail with `code`, in this process."""
    fsync, opened, write = os.fsync, Path.open, os.mkdir

    def refuse(path: str) -> None:
        if part in path.rpartition("/faults-")[2].partition("/")[2]:
            raise OSError(code, os.strerror(code), path)

    def noted_fsync(descriptor: int) -> None:
        refuse(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        fsync(descriptor)

    def noted_open(self: Path, mode: str = "r", *rest: Any, **keys: Any) -> IO[Any]:
        if any(letter in mode for letter in "wax+"):
            refuse(str(self))
        return opened(self, mode, *rest, **keys)

    def noted_mkdir(path: str, *rest: Any) -> None:
        refuse(str(path))
        write(path, *rest)

    with (
        mock.patch("os.fsync", noted_fsync),
        mock.patch.object(Path, "open", noted_open),
        mock.patch("os.mkdir", noted_mkdir),
    ):
        yield


def writes(budget: Budget, chance: random.Random) -> Counts:
    """Fail each kind of write of the runner and of its workers, with a full disk and a quota."""
    counts = Counts()
    with site() as place:
        study = place.study()
        expected, _ = undisturbed(place, study, fork=True)
        asked = list(WRITES)
        chance.shuffle(asked)
        for part, code in asked:
            if not budget.left(counts.faults):
                break
            anew(place)
            number = getattr(errno, code)

            def hit(part: str = part, number: int = number) -> None:
                with forked_workers(), full(part, number):
                    bench.run(study, place.out, progress=False, again=False)

            answer = place.start(hit).end()
            if not answer.startswith("UsageError") or os.strerror(number) not in answer:
                raise Lost(f"{part}, {code}: the run said {answer or 'nothing'}")
            counts.faults += 1
            counts.trials += _completes(place, study, expected, f"{part}, {code}")
    return counts


def small_disk(budget: Budget, chance: random.Random) -> Counts:
    """Fill a real file system: results, cache or temporary files on one with little room."""
    counts = Counts()
    with site() as place:
        study = place.study()
        expected, _ = undisturbed(place, study, fork=True)
        while budget.left(counts.faults):
            anew(place)
            folder = chance.choice([place.out, place.cache])
            folder.mkdir()
            with _mounted(folder, f"{chance.randrange(8, 120, 4)}k") as grow:
                answer = place.run(study, again=False)
                if answer and "No space left on device" not in answer:
                    raise Lost(f"{folder.name}: the run said {answer}")
                if not answer:
                    continue
                counts.faults += 1
                grow()
                counts.trials += _completes(place, study, expected, folder.name)
    return counts


def read_only(budget: Budget, chance: random.Random) -> Counts:
    """Run into results that cannot be written: they are as before, and can be read."""
    counts = Counts()
    with site() as place:
        place.out.mkdir()
        with _mounted(place.out, "8m") as grow:
            if error := place.run(place.study()):
                raise Lost(error)
            before = finished(place.out)
            subprocess.run(["mount", "-o", "remount,ro", str(place.out)], check=True)
            for study in (place.study(), place.study("wider.toml", dimensions=[4, 8, 16])):
                answer = place.run(study)
                if not answer.startswith("UsageError") or "Read-only file system" not in answer:
                    raise Lost(f"the run said {answer or 'nothing'}")
                counts.faults += 1
                if len(bench.load(place.out)) != len(before):
                    raise Lost("the results are not as before")
            grow()
            counts.trials += place.check(before)
    return counts


@contextmanager
def _mounted(folder: Path, size: str) -> Iterator[Callable[[], None]]:
    """Mount a small file system; yield a function that gives it room. Needs root."""
    # A cache that everybody may write to would be refused.
    options = f"size={size},mode=0755"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(folder)], check=True)

    def grow() -> None:
        subprocess.run(["mount", "-o", "remount,rw,size=64m", str(folder)], check=True)

    try:
        yield grow
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _completes(place: Site, study: Path, expected: dict[str, float], what: str) -> int:
    before = finished(place.out)

    if error := place.run(study, again=False):
        raise Lost(f"{what}: with room again, the run said {error}")
    checked = place.check(before)
    if finished(place.out) != expected:
        raise Lost(f"{what}: with room again, the results are others")
    return checked
