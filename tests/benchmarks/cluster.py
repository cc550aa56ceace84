"""The Ray executor beside this machine's: ``python -m tests.benchmarks.cluster exact|overhead``.

``exact`` splits one exact pass over nodes of this machine, compares what they find with what one
process finds, and prints seconds and memory. ``overhead`` runs a small study in turns on this
machine and on a cluster of it, and prints the ratio. Both start node processes of Ray here.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from bench.cluster import connected
from bench.embeddings import embed
from bench.measuring.executor import Executor
from bench.measuring.jobs import ExactJob
from bench.measuring.prepared import ExactResults
from bench.measuring.remaining import this_machine
from bench.measuring.runner import run
from bench.measuring.supervisor import Worker
from bench.measuring.workload import Workload
from bench.study.schema import Study
from tests.cluster.nodes import LocalCluster

_ROWS = 100_000


def written(folder: Path, n: int, width: int, queries: int) -> Path:
    """Write a corpus of random vectors around a thousand centres, and queries near some of them."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((1_000, width), dtype=np.float32)
    path = folder / "corpus.npy"
    if not path.exists():
        partial = folder / "corpus.partial"
        with partial.open("wb") as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (n, width)}
            np.lib.format.write_array_header_1_0(file, header)
            for start in range(0, n, _ROWS):
                rows = min(_ROWS, n - start)
                block = centres[rng.integers(0, 1_000, rows)]
                file.write((block + rng.standard_normal((rows, width), dtype=np.float32)).data)
        partial.rename(path)
    asked = centres[:queries] + np.random.default_rng(1).standard_normal((queries, width))
    np.save(folder / "queries.npy", asked.astype(np.float32))
    return folder


class Peak:
    """The most anonymous memory that all processes of a kind held together, bytes."""

    def __init__(self, word: str) -> None:
        self.word, self.bytes = word, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self) -> None:
        while not self.ended.wait(0.5):
            held = 0
            for process in psutil.process_iter(["cmdline"]):
                if self.word in " ".join(process.info["cmdline"] or []):
                    try:
                        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
                    except OSError:
                        continue
                    held += sum(
                        int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")
                    )
            self.bytes = max(self.bytes, held)


def exact(folder: Path, n: int, width: int, queries: int, nodes: list[int]) -> None:
    """Print what one process and clusters of `nodes` take for one pass, and whether they agree."""
    dataset = f"vectors:{written(folder / f'{n}x{width}', n, width, queries)}"
    dimensions = [width // 8, width // 4, width // 2, width]
    study = Study.model_validate({"name": "exact", "dataset": dataset, "dimensions": dimensions})
    found = embed(dataset, progress=False)
    work = Workload(study, found, this_machine(study).name)
    key = work.full_key
    cores = this_machine(study).cores
    job = ExactJob(cores=cores, exact=key, full=key, trials={})
    kept = ExactResults(key).path

    def row(name: str, seconds: float, peak: Peak, same: str) -> None:
        print(f"| {name} | {n:,} × {width} | {seconds:.1f} | {peak.bytes / 2**30:.2f} | {same} |")

    print("| executor | corpus | seconds | GiB of all its processes | same neighbours and scores |")
    print("| --- | --- | --- | --- | --- |")
    kept.unlink(missing_ok=True)
    begun = time.perf_counter()
    with Peak("bench.measuring.worker") as peak, Worker(job, 1e6, 1e15) as worker:
        list(worker.events())
    assert worker.status == "ok", worker.error
    row(f"one process, {len(cores)} threads", time.perf_counter() - begun, peak, "")
    with np.load(kept) as file:
        alone = dict(file)
    for count in nodes:
        with tempfile.TemporaryDirectory() as scratch:
            cluster = LocalCluster(Path(scratch), 0)
            cache = os.environ["MATRYOSHKA_BENCH_CACHE"]
            for _ in range(count):
                cluster.add(cache)
            try:
                with connected(cluster.address) as executor:
                    kept.unlink()
                    begun = time.perf_counter()
                    with Peak("ray::scan_part") as peak:
                        executor.find_exact(job, lambda done, total: None)
                    seconds = time.perf_counter() - begun
            finally:
                cluster.close()
        with np.load(kept) as file:
            same = alone.keys() == file.keys() and all(
                np.array_equal(alone[name], file[name]) for name in alone
            )
        row(f"Ray, {count} nodes of 1 thread", seconds, peak, "yes" if same else "NO")


def overhead(repeats: int) -> None:
    """Print the seconds of a small study on this machine and on a cluster of it, in turns."""
    table = {
        "name": "small",
        "dataset": "pydoc",
        "encoder": "wordllama",
        "dimensions": [64, 256],
        "configurations": [
            {"backend": "faiss-flat"},
            {"backend": "faiss-hnsw", "build": {"M": 16, "ef_construction": 100}},
        ],
    }
    study = Study.model_validate(table)
    taken: dict[str, list[float]] = {"this machine": [], "Ray": []}

    def timed(name: str, executor: Executor) -> None:
        with tempfile.TemporaryDirectory() as scratch:
            begun = time.perf_counter()
            run(study, Path(scratch) / "out", progress=False, again=False, executor=executor)
            taken[name].append(time.perf_counter() - begun)

    begun = time.perf_counter()
    with connected() as executor:
        started = time.perf_counter() - begun
        timed("this machine", Executor())  # encodes, and finds the exact results
        taken["this machine"].clear()
        for _ in range(repeats):
            timed("this machine", Executor())
            timed("Ray", executor)
    for name, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{name}: median {middle:.1f} s of {min(seconds):.1f} to {max(seconds):.1f}")
    ratio = statistics.median(taken["Ray"]) / statistics.median(taken["this machine"])
    print(f"ratio {ratio:.2f}; a cluster of this machine starts in {started:.1f} s")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["exact", "overhead"])
    parser.add_argument("--documents", type=float, default=10e6)
    parser.add_argument("--dimension", type=int, default=256)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--nodes", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep corpus and cache here")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="cluster-"))
    os.environ["MATRYOSHKA_BENCH_CACHE"] = str(folder / "cache")
    try:
        if chosen.what == "exact":
            n = int(chosen.documents)
            exact(folder, n, chosen.dimension, chosen.queries, chosen.nodes)
        else:
            overhead(chosen.repeats)
    finally:
        if chosen.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
