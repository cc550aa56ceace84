"""Compare the fused second stage with the time to read its bytes: 200 candidates at 768 d.

``python -m tests.benchmarks.rescore [--candidates 200] [--documents 200000]``
"""

import argparse
import time

import numpy as np

from bench import machine
from bench.measuring.stages import MultiStage, Step

DIMENSION = 768


def main() -> None:
    """Print the median of the fused kernel, of plain numpy, and of the bytes alone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--candidates", type=int, default=200)
    parser.add_argument("--documents", type=int, default=200_000)
    asked = parser.parse_args()
    machine.pin(machine.usable_cores()[-1:])
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((asked.documents, DIMENSION), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:1000] + 0.1
    # Separate lists, or the second side would find the vectors of the first in cache.
    shortlists, others = rng.integers(asked.documents, size=(2, 1000, asked.candidates))
    steps = [Step(DIMENSION, 10)]
    stage = MultiStage(None, vectors, asked.candidates, steps, unit=True)  # type: ignore[arg-type]

    def fused(i: int) -> np.ndarray:
        return stage.narrow(shortlists[i : i + 1], queries[i : i + 1])

    def plain(i: int) -> np.ndarray:
        candidates = others[i]
        return candidates[np.argsort(-(vectors[candidates] @ queries[i]), kind="stable")[:10]]

    taken = {name: [] for name in ("fused", "numpy")}
    for i in range(1000):
        for name, run in (("fused", fused), ("numpy", plain)):
            before = time.perf_counter_ns()
            run(i)
            taken[name].append((time.perf_counter_ns() - before) / 1e3)
    bandwidth = machine.memory_bandwidth()
    bytes_alone = asked.candidates * DIMENSION * 4 / bandwidth * 1e6
    medians = {name: float(np.median(times[100:])) for name, times in taken.items()}
    print(
        f"{asked.candidates} of {asked.documents:,} vectors at {DIMENSION} d; "
        f"one thread reads {bandwidth / 1e9:.1f} GB/s"
    )
    print(
        f"bytes alone {bytes_alone:.1f} µs; twice that and 20 µs is {2 * bytes_alone + 20:.1f} µs"
    )
    print(
        f"fused median {medians['fused']:.1f} µs: "
        f"{medians['fused'] / bytes_alone:.2f} × the bytes; numpy {medians['numpy']:.1f} µs"
    )


if __name__ == "__main__":
    main()
