"""Fuzz the readers of input: ``python -m tests.fuzz --cases 100000``, or ``--seconds 3600``.

Each target runs in a child process, so that a hang or a crash ends only that child and its input is
kept. A case depends on the seed, the target and its number alone. Exits 1 if any reader failed.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import re
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from bench.datasets import _hdf5
from tests.fuzz import kept
from tests.fuzz.target import outcome, prepare
from tests.fuzz.targets import TARGETS

CASE_SECONDS = 60.0
"""Time after which a case counts as a hang."""
_MEMORY_BYTES = 8 * 2**30
_TURN_SECONDS = 20.0
_IN_MEMORY = Path("/dev/shm")
"""Where the samples lie, if there is such a folder: a fuzz would wear out a disk."""


def _work(
    pipe: Connection, theirs: Connection, folder: Path, name: str, seed: int, first: int
) -> None:
    """Run cases from `first` on; send (number, None) before each, (number, result) after it."""
    import resource

    theirs.close()  # so that a send fails and ends this process if the parent was killed
    # Sound readers of these samples need little memory; others get a MemoryError.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    # The reader's own time-out, held below that of a case, and short: these samples are small.
    _hdf5.DESCRIBE_SECONDS, _hdf5.COPY_SECONDS = 15.0, 20.0
    case = first
    while True:
        pipe.send((case, None))
        try:
            result = outcome(prepare(folder, TARGETS[name], f"{seed}:{name}:{case}"))
        except BaseException:  # whatever it is, it is the finding
            result = traceback.format_exc()
        pipe.send((case, result))
        case += 1


class Fuzz:
    """One target under way: its next case, its counts, its failures."""

    def __init__(self, name: str, seed: int, keep: Path, scratch: Path) -> None:
        self.name = name
        self.seed = seed
        self.keep = keep
        self.folder = scratch / name
        self.case = 0
        self.last: float = math.inf
        """How many cases it gets."""
        self.counts = Counter[str]()
        self.failures = Counter[str]()

    def turn(self, until: float) -> None:
        """Run cases in one child until the time is over, or the child hangs or crashes."""
        ours, theirs = multiprocessing.Pipe()
        arguments = (theirs, ours, self.folder, self.name, self.seed, self.case)
        child = multiprocessing.get_context("fork").Process(
            target=_work, args=arguments, daemon=False
        )
        child.start()
        theirs.close()
        try:
            while time.monotonic() < until and self.case < self.last:
                if not ours.poll(CASE_SECONDS):
                    return self._failed(f"hang: no answer within {CASE_SECONDS:.0f} s")
                self.case, result = ours.recv()
                if result is not None:
                    self._count(result)
        except (EOFError, ConnectionResetError):
            child.join()
            self._failed(f"crash: the process ended with {child.exitcode}")
        finally:
            child.kill()
            child.join()
            ours.close()

    def _count(self, result: str) -> None:
        if result in ("accepted", "refused"):
            self.counts[result] += 1
            self.case += 1
        else:
            self._failed(result)

    def _failed(self, report: str) -> None:
        """Count a failure; keep the input of the first three of each kind."""
        kind = re.sub(r"\d+|0x\w+", "…", report.strip().splitlines()[-1][:200])
        self.counts["failures"] += 1
        self.failures[kind] += 1
        if self.failures[kind] <= 3:
            place = self.keep / f"{self.name}-{self.seed}-{self.case}"
            prepare(place, TARGETS[self.name], f"{self.seed}:{self.name}:{self.case}")
            (self.keep / f"{place.name}.log").write_text(report, errors="backslashreplace")
            print(f"{self.name} case {self.case}: {kind!r}\n  kept in {place}", flush=True)
        self.case += 1


def _share_out(fuzzes: list[Fuzz], cases: int) -> None:
    """Give each target its part of all cases, and the first what is left over."""
    shares = [TARGETS[fuzz.name].share for fuzz in fuzzes]
    for fuzz, share in zip(fuzzes, shares, strict=True):
        fuzz.last = int(cases * share / sum(shares))
    fuzzes[0].last += cases - sum(fuzz.last for fuzz in fuzzes)


def main() -> int:
    """Fuzz the targets in turns; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz every reader of input."
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--seconds", type=float, default=60.0, help="how long, over all targets")
    length.add_argument("--cases", type=int, help="how many, over all targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated"
    )
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-failures"), help="folder for failing inputs"
    )
    chosen = parser.parse_args()
    names = chosen.target or sorted(TARGETS)
    place = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="fuzz-", dir=place) as scratch:
        tempfile.tempdir = scratch
        kept.measure(Path(scratch) / "measured")
        fuzzes = [Fuzz(name, chosen.seed, chosen.keep.absolute(), Path(scratch)) for name in names]
        end = time.monotonic() + (math.inf if chosen.cases else chosen.seconds)
        turn = _TURN_SECONDS
        if chosen.cases:
            _share_out(fuzzes, chosen.cases)
        else:
            turn = min(turn, chosen.seconds / len(fuzzes))
        while (left := [f for f in fuzzes if f.case < f.last]) and time.monotonic() < end:
            for fuzz in left:
                fuzz.turn(min(end, time.monotonic() + turn))
    columns = ("refused", "accepted", "failures")
    print(f"{'target':<12}{'cases':>10}" + "".join(f"{column:>10}" for column in columns))
    for fuzz in fuzzes:
        _print(fuzz.name, fuzz.counts, columns)
    _print("all", sum((fuzz.counts for fuzz in fuzzes), Counter()), columns)
    return int(any(fuzz.failures for fuzz in fuzzes))


def _print(name: str, counts: Counter[str], columns: tuple[str, ...]) -> None:
    figures = (counts.total(), *(counts[column] for column in columns))
    print(f"{name:<12}" + "".join(f"{figure:>10}" for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
