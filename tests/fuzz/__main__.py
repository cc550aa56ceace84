"""Fuzz the readers of input: ``python -m tests.fuzz --seconds 3600``.

Each target runs in a child process, so that a hang or a crash ends only that child and its input is
kept. A case depends on the seed, the target and its number alone. Exits 1 if any reader failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

from bench.datasets import _hdf5
from tests.fuzz.targets import TARGETS, damage_one, outcome

CASE_SECONDS = 60.0
"""Time after which a case counts as a hang."""
_MEMORY_BYTES = 8 * 2**30
_TURN_SECONDS = 20.0


def prepare(folder: Path, name: str, seed: int, case: int, sound: bool = False) -> None:
    """Empty `folder` and write the damaged (or the `sound`) sample of one case into it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = random.Random(f"{seed}:{name}:{case}")
    TARGETS[name].make(folder, rng)
    if not sound:
        damage_one(folder, TARGETS[name], rng)


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
        prepare(folder, name, seed, case)
        pipe.send((case, None))
        try:
            result = outcome(TARGETS[name], folder)
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
            while time.monotonic() < until:
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
        kind = report.strip().splitlines()[-1][:200]
        self.counts["failures"] += 1
        self.failures[kind] += 1
        if self.failures[kind] <= 3:
            kept = self.keep / f"{self.name}-{self.seed}-{self.case}"
            prepare(kept, self.name, self.seed, self.case)
            (self.keep / f"{kept.name}.log").write_text(report)
            print(f"{self.name} case {self.case}: {kind}\n  kept in {kept}", flush=True)
        self.case += 1


def main() -> int:
    """Fuzz the targets in turns; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz", description="Fuzz every reader of input."
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long, over all targets")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated"
    )
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-failures"), help="folder for failing inputs"
    )
    chosen = parser.parse_args()
    end = time.monotonic() + chosen.seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        fuzzes = [
            Fuzz(name, chosen.seed, chosen.keep.absolute(), Path(scratch))
            for name in chosen.target or sorted(TARGETS)
        ]
        while time.monotonic() < end:
            for fuzz in fuzzes:
                fuzz.turn(
                    min(end, time.monotonic() + min(_TURN_SECONDS, chosen.seconds / len(fuzzes)))
                )
    columns = ("refused", "accepted", "failures")
    print(f"{'target':<12}{'cases':>10}" + "".join(f"{column:>10}" for column in columns))
    for fuzz in fuzzes:
        print(
            f"{fuzz.name:<12}{fuzz.counts.total():>10}"
            + "".join(f"{fuzz.counts[column]:>10}" for column in columns)
        )
    return int(any(fuzz.failures for fuzz in fuzzes))


if __name__ == "__main__":
    sys.exit(main())
