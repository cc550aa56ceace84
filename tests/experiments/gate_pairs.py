"""Measure process pairs of one revision against itself, and against copies that are slower.

What `tests.experiments.gate` counts errors on. Each round measures the shipped study `regress` by
two sides of the same code, index by index in turns, and by a third whose searches spin until they
took FACTOR times as long; the factor changes every `BLOCK` rounds.

``python -m tests.experiments.gate_pairs OUT [--rounds 40] [--minutes 60] [--load]``
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np

from bench import machine
from bench.commits import git
from bench.gate.driving import Driver
from bench.gate.duet import PAIRS
from bench.gate.sides import Side, Wanted, prepared
from bench.gate.slices import slices
from bench.study.reader import load_study

BLOCK = PAIRS
FACTORS = (1.15, 1.3, 2.0)
BACKENDS = ("faiss_flat", "faiss_ivf", "faiss_hnsw", "annoy")
SPIN = """

def _slower(cls, factor):
    import time

    plain = cls.search

    def search(self, *args, **kwargs):
        begun = time.perf_counter_ns()
        found = plain(self, *args, **kwargs)
        until = begun + (time.perf_counter_ns() - begun) * factor
        while time.perf_counter_ns() < until:
            pass
        return found

    cls.search = search


for _cls in list(globals().values()):
    if isinstance(_cls, type) and hasattr(_cls, "search") and _cls.__module__ == __name__:
        _slower(_cls, {factor})
"""


def plant(source: Path, backend: str, text: str) -> None:
    """Append code to a backend's file in a work tree."""
    with (source / "bench" / "backends" / f"{backend}.py").open("a", encoding="utf-8") as file:
        file.write(text)


def load_second_core() -> None:
    """Keep the first core and the memory bus busy until killed."""
    os.sched_setaffinity(0, {machine.usable_cores()[0]})
    square = np.random.default_rng(0).random((1500, 1500))
    while True:
        square @ square


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--load", action="store_true", help="load the second core meanwhile")
    given = parser.parse_args()
    study, out = load_study("regress"), given.out.resolve()
    print(machine.description())
    loader = multiprocessing.Process(target=load_second_core, daemon=True)
    if given.load:
        loader.start()
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(prepared(Wanted("HEAD"), Wanted("HEAD"), out))
        planted = []
        for factor in FACTORS:
            source = out / f"slower-{factor}-source"
            git("worktree", "add", "--detach", "--force", str(source), "HEAD")
            stack.callback(git, "worktree", "remove", "--force", "--force", str(source))
            for backend in BACKENDS:
                plant(source, backend, SPIN.replace("{factor}", str(factor)))
            planted.append(Side(f"slower-{factor}", "", source, both[0].python, ""))
        drivers = {
            side.name: stack.enter_context(contextlib.closing(Driver(side, out / side.name)))
            for side in (*both, *planted)
        }
        run(study, drivers, out, given.rounds, given.minutes * 60)


def run(study, drivers, out, rounds, seconds) -> None:
    begun, finished = time.monotonic(), out / "rounds.jsonl"
    done = len(finished.read_text().splitlines()) if finished.exists() else 0
    for number in range(done, rounds):
        if time.monotonic() - begun > seconds:
            break
        start = time.monotonic()
        third = f"slower-{FACTORS[number // BLOCK % len(FACTORS)]}"
        for position, part in enumerate(slices(study, reducers=number == 0)):
            names = ["base", "head"] if (number + position) % 2 == 0 else ["head", "base"]
            for name in [*names, third]:
                drivers[name].run(part.table | ({"order": number} if number else {}), number)
        with finished.open("a") as file:
            file.write(json.dumps({"round": number, "third": third}) + "\n")
        print(f"round {number + 1}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
