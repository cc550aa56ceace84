"""What this suite costs beside what it measures: a table of ratios, kept in results/gate.

``python -m tests.benchmarks.suite [--out results/gate/suite.md]``. The quick start runs from an empty
cache. `regress` compares import time, exact pass, study and worker of two versions besides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench import load, machine
from bench.docs import markdown_table
from tests.benchmarks import exact_pass, overhead

ROUNDS = 7


def seconds(code: str) -> float:
    """Return how long a fresh interpreter takes for some code, s."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def imports() -> tuple[str, str, str, float]:
    """Compare the start of the command line with that of an interpreter that imports numpy."""
    taken = [(seconds("import bench.cli"), seconds("import numpy")) for _ in range(ROUNDS)]
    ours, numpy = np.median(taken, axis=0)
    ratio = float(np.median([a / b for a, b in taken]))
    return "import of the command line", f"{ours:.2f} s", f"import of numpy, {numpy:.2f} s", ratio


def passes() -> tuple[str, str, str, float]:
    """Compare the exact pass over eight dimensions with one product at the full dimension."""
    ours, _, product, _, ratio = exact_pass.compare(100_000, 500, 1, 3)
    words = f"one product at {exact_pass.DIMENSIONS[-1]} d, {product:.2f} s"
    name = f"exact pass, {len(exact_pass.DIMENSIONS)} dimensions"
    return name, f"{ours:.2f} s", words, ratio


def harness() -> list[tuple[str, str, str, float]]:
    """Compare the recorded median latency with a bare loop around the library."""
    return [
        (f"recorded latency, {name} {d} d", f"{bare * ratio:.4f} ms", f"bare, {bare:.4f} ms", ratio)
        for name, d, bare, ratio, _, _ in overhead.measure(ROUNDS)
    ]


def quickstart() -> list[tuple[str, str, str, float]]:
    """Compare the quick start's time with that of its workers, its memory with its vectors."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "quickstart"
        begun = time.perf_counter()
        run = subprocess.Popen(
            [sys.executable, "-m", "bench", "run", "quickstart", "--quiet", "--out", str(out)],
            env={**os.environ, "MATRYOSHKA_BENCH_CACHE": f"{folder}/cache"},
        )
        _, status, used = os.wait4(run.pid, 0)
        run.returncode = os.waitstatus_to_exitcode(status)
        taken = time.perf_counter() - begun
        if run.returncode:
            raise SystemExit("the quick start failed")
        tasks = [json.loads(line) for line in (out / "tasks.jsonl").read_text().splitlines()]
        frame = load(out)
    workers = sum(task["seconds"] for task in tasks)
    vectors = int(frame["n_corpus"].iloc[0]) * int(frame["full_dim"].iloc[0]) * 4
    peak = used.ru_maxrss * 1024
    return [
        (
            "quick start from an empty cache",
            f"{taken:.0f} s",
            f"its tasks, {workers:.0f} s",
            taken / workers,
        ),
        (
            "its largest process",
            f"{peak / 2**20:.0f} MiB",
            f"its vectors, {vectors / 2**20:.0f} MiB",
            peak / vectors,
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    about = f"{machine.description()}, Python {sys.version.split()[0]}"
    # The harness comes last: it pins this process to a core.
    rows = [imports(), passes(), *quickstart(), *harness()]
    cells = [(*words, f"{ratio:.2f}") for *words, ratio in rows]
    head = ("figure", "this suite", "beside", "ratio")
    text = f"{about}\n{markdown_table(head, cells)}"
    print(text)
    if given.out:
        given.out.write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
