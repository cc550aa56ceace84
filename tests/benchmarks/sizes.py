"""Seconds and memory of each part of a study, from ten thousand vectors to ten million.

``python -m tests.benchmarks.sizes 10000x256 1000000x256`` writes vectors of each size to a file,
measures a study on them and prints a table: what each part took, the most memory of its own that
the runner and the worker held, and the most that the worker had mapped besides.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from bench.vectors import normalise

_CLUSTERS, _BLOCK = 1_000, 65_536
_SECONDS = 0.05
_QUERIES = 100
_STUDY = """
name = "sizes"
dataset = "vectors:{folder}"
dimensions = [64]
queries = {queries}
repeats = 1
subsets = 0
threads = {threads}
timeout_seconds = 7200

[[configurations]]
backend = "faiss-flat"
precision = ["int8", "binary"]
stages = {{ shortlist = 100 }}
dimensions = [{full}]

[[configurations]]
backend = "faiss-ivf-pq"
precision = "pq4"
build = {{ components_per_code = 2 }}
search = {{ nprobe = [16] }}

[[configurations]]
backend = "faiss-hnsw"
build = {{ M = 16, ef_construction = 40 }}
search = {{ ef = [64] }}
"""
_WIDE = """
[[configurations]]
backend = "faiss-flat"
dimensions = [64, 256, {full}]

[[configurations]]
backend = "faiss-ivf"
search = {{ nprobe = [16] }}
dimensions = [64, 256, {full}]
"""


def write_vectors(folder: Path, n: int, d: int) -> None:
    """Write a seeded mixture of Gaussians as ``corpus.npy`` and ``queries.npy``."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((_CLUSTERS, d), dtype=np.float32)

    def drawn(count: int) -> np.ndarray:
        noise = rng.standard_normal((count, d), dtype=np.float32)
        return normalise(noise + centres[rng.integers(_CLUSTERS, size=count)])

    header = {"descr": "<f4", "fortran_order": False, "shape": (n, d)}
    with (folder / "corpus.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, n, _BLOCK):
            drawn(min(_BLOCK, n - start)).tofile(file)
        os.fsync(file.fileno())
    np.save(folder / "queries.npy", drawn(_QUERIES))


class Sampler(threading.Thread):
    """Samples the memory of a process and of its children until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.samples: list[tuple[float, int, int, int]] = []
        """When; own memory of the runner, own and resident memory of the largest child, bytes."""

    def run(self) -> None:
        while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
            try:
                children = [_memory(c.pid) for c in self.process.children(recursive=True)]
                runner = _memory(self.process.pid)[0]
            except (psutil.Error, OSError):
                continue
            own, resident = (max((c[i] for c in children), default=0) for i in (0, 1))
            self.samples.append((time.time(), runner, own, resident))
            time.sleep(_SECONDS)

    def peaks(self, begun: float, seconds: float) -> list[float]:
        """Return the most of each kind while a part ran, GiB."""
        inside = [s[1:] for s in self.samples if begun <= s[0] <= begun + seconds] or [(0, 0, 0)]
        return [max(column) / 2**30 for column in zip(*inside, strict=True)]


def _memory(pid: int) -> tuple[int, int]:
    """Return the anonymous and the resident memory of a process, bytes; nothing once it ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0, 0
    fields = dict(line.split(":", 1) for line in lines)
    anonymous, resident = (fields.get(name, "0").split()[0] for name in ("RssAnon", "VmRSS"))
    return int(anonymous) * 1024, int(resident) * 1024


def measure(n: int, d: int, threads: int, work: Path) -> None:
    """Measure one size, and print its rows."""
    folder = work / f"{n}x{d}"
    folder.mkdir(parents=True, exist_ok=True)
    begun = time.time()
    if not (folder / "queries.npy").exists():
        write_vectors(folder, n, d)
    print(f"wrote {n:,} × {d} in {time.time() - begun:.0f} s", flush=True)
    text = _STUDY + (_WIDE if d > 256 else "")
    study = folder / "sizes.toml"
    study.write_text(text.format(folder=folder, queries=_QUERIES, threads=threads, full=d))
    out = folder / "results"
    command = [sys.executable, "-m", "bench", "run", str(study), "--out", str(out)]
    environment = {**os.environ, "MATRYOSHKA_BENCH_CACHE": str(folder / "cache")}
    with subprocess.Popen(command, env=environment) as process:
        sampler = Sampler(process.pid)
        sampler.start()
    if process.returncode:
        sys.exit(f"the study of {n} × {d} ended with {process.returncode}")
    print("| vectors | part | seconds | runner GiB | worker GiB | with mapped files |")
    print("| --- | --- | --- | --- | --- | --- |")
    for line in (out / "tasks.jsonl").read_text().splitlines():
        task = json.loads(line)
        peaks = " | ".join(f"{p:.2f}" for p in sampler.peaks(task["begun"], task["seconds"]))
        name = f"{task['task']}: {task['label']}"
        print(f"| {n:,} × {d} | {name} | {task['seconds']:.1f} | {peaks} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="+", help="as 1000000x256")
    parser.add_argument("--threads", type=int, default=1, help="of the libraries")
    parser.add_argument("--work", type=Path, help="folder for the vectors; a temporary one else")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for size in arguments.sizes:
            n, _, d = size.partition("x")
            measure(int(n), int(d), arguments.threads, arguments.work or Path(temporary))


if __name__ == "__main__":
    main()
