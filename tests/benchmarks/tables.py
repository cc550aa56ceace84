"""Time large tables: ``python -m tests.benchmarks.tables [--rows 5000 50000] [--queries 100]``.

Prints seconds, peak memory and the page's size for `show`, `recommend`, `report` and `figures` over
made-up results, the time in which a finished study of 5,000 trials is resumed (``--resume``), and the
time of 5,000 quality-only configurations of pydoc's 10,000 documents (``--quality``).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.large import finished, made_up

COMMANDS = ("show", "recommend", "report", "figures")
RESUMED = """
name = "resumed"
dataset = "synthetic:n=10000,d=256,q=1000"
dimensions = [{dimensions}]
reducers = ["truncate", "pca"]

[[configurations]]
backend = "faiss-hnsw"
reducer = ["truncate", "pca", "random_projection"]
build = {{ M = [8, 16, 32, 48], ef_construction = [100, 200] }}
search = {{ ef = [16, 32, 64, 128, 256, 512] }}
"""
QUALITY = """
name = "quality"
dataset = "pydoc"
encoder = "wordllama"
queries = 1000
dimensions = [{dimensions}]
reducers = [
    "truncate",
    {{ name = "random_subset", seed = [{seeds}] }},
    {{ name = "random_projection", seed = [{seeds}] }},
]
"""


def timed(arguments: list[str]) -> tuple[float, float, int]:
    """Run a command of the suite in a child; return seconds, peak MB and exit status."""
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - begun, usage.ru_maxrss / 1e3, process.returncode


def _line(what: str, seconds: float, peak: float, note: str = "") -> None:
    print(f"{what:44} {seconds:8.1f} s {peak:8,.0f} MB  {note}", flush=True)


def tables(folder: Path, rows: int, queries: int, commands: list[str]) -> None:
    results = made_up(folder / f"{rows}x{queries}", rows, queries)
    for command in commands:
        seconds, peak, code = timed([command, str(results)])
        note = "" if code == 0 else f"exit status {code}"
        if command == "report" and code == 0:
            note = f"page {(results / 'report.html').stat().st_size / 1e6:.2f} MB"
        _line(f"{command}, {rows:,} rows × {queries:,} queries", seconds, peak, note)


def resumed(folder: Path) -> None:
    study = folder / "resumed.toml"
    study.write_text(RESUMED.format(dimensions=", ".join(str(8 + 7 * i) for i in range(35))))
    count = finished(folder / "resumed", str(study))
    seconds, peak, code = timed(["run", str(study), "--out", str(folder / "resumed"), "--quiet"])
    _line(
        f"resume, {count:,} finished trials", seconds, peak, f"exit status {code}" if code else ""
    )


def quality(folder: Path, dimensions: int, seeds: int) -> None:
    study = folder / "quality.toml"
    study.write_text(
        QUALITY.format(
            dimensions=", ".join(map(str, range(257 - dimensions, 257))),
            seeds=", ".join(map(str, range(seeds))),
        )
    )
    seconds, peak, code = timed(["run", str(study), "--out", str(folder / "quality"), "--quiet"])
    count = dimensions * (2 * seeds + 1)
    _line(f"{count:,} quality-only configurations", seconds, peak, f"status {code}" if code else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=[])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--commands", nargs="*", default=COMMANDS)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--quality", type=int, nargs="*", metavar="N", help="[DIMENSIONS [SEEDS]]")
    parser.add_argument("--keep", type=Path, help="folder to keep the results in")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for rows in given.rows:
            tables(folder, rows, given.queries, given.commands)
        if given.resume:
            resumed(folder)
        if given.quality is not None:
            dimensions, seeds = [*given.quality, *[200, 12][len(given.quality) :]]
            quality(folder, dimensions, seeds)


if __name__ == "__main__":
    main()
