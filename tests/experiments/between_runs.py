"""A run's interval holds what other runs of the same study find, on the same machine.

Promises tested: the intervals of the median latency and of the speed-up, as `bench.load` returns
them, hold the mean of the other runs in at least 90 % of the rows; and the speed-up agrees with the
ratio of the medians in the same table within 10 % for every backend. The study is the shipped
`regress` without random subsets, run afresh each time.

``python -m tests.experiments.between_runs [--runs 6] [--study regress] [--set key=value …]``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

import bench
from bench import machine
from bench.results.rows import timed
from bench.results.schema import CONFIGURATION
from bench.results.spread import SPEEDUP, pooled

FIGURES = ("latency_ms_p50", SPEEDUP)
KEY = [c for c in CONFIGURATION if c not in ("dataset", "encoder", "k", "threads", "clients")]


def runs(study: str, count: int, overrides: list[str]) -> list[pd.DataFrame]:
    found = []
    for run in range(count):
        with tempfile.TemporaryDirectory() as folder:
            frame = timed(bench.run(study, Path(folder) / "out", overrides, progress=False))
        p50, speedup = (pooled(frame)[figure] for figure in FIGURES)
        print(
            f"run {run + 1}: {len(frame)} rows; sd between its processes: p50 {p50.deviation:.3f}, "
            f"speed-up {speedup.deviation:.3f} ({speedup.degrees} degrees of freedom)",
            flush=True,
        )
        found.append(frame.set_index(KEY).sort_index())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--study", default="regress")
    parser.add_argument("--set", action="append", default=['reducers=["truncate", "pca"]'])
    given = parser.parse_args()
    print(machine.description())
    frames = runs(given.study, given.runs, given.set)
    covered, spread = [], []
    for figure in FIGURES:
        table = pd.concat({i: np.log(f[figure]) for i, f in enumerate(frames)}, axis=1)
        spread.append(table.std(axis=1, ddof=1).rename(figure))
        held = {}
        for i, frame in enumerate(frames):
            others = np.exp(table.drop(columns=i).mean(axis=1))
            held[i] = (frame[f"{figure}_low"] <= others) & (others <= frame[f"{figure}_high"])
        covered.append(pd.concat(held, axis=1).mean(axis=1).rename(figure))
    apart = []
    for frame in frames:
        row = frame.reset_index()
        full = row[(row["backend"] == "faiss-flat") & (row["dim"] == row["full_dim"])]
        exact = full.loc[full["stages"].fillna("") == "", "latency_ms_p50"].iloc[0]
        apart.append(np.abs(np.log(frame[SPEEDUP] * frame["latency_ms_p50"] / exact)))
    disagreement = np.exp(pd.concat(apart, axis=1).max(axis=1)) - 1
    print("per backend: rows, share of intervals that hold the mean of the other runs,")
    print("sd between runs of the log (root mean square), largest disagreement of the speed-up")
    print(
        f"{'backend':12} {'rows':>4} {'held p50':>9} {'held x':>7} {'sd p50':>7} {'sd x':>7} "
        f"{'apart':>6}"
    )
    backends = disagreement.index.get_level_values("backend")
    for name in [*dict.fromkeys(backends), "all"]:
        part = np.full(len(backends), True) if name == "all" else backends == name
        held = [values[part].mean() for values in covered]
        deviations = [(values[part] ** 2).mean() ** 0.5 for values in spread]
        print(
            f"{name:12} {part.sum():4} {held[0]:9.0%} {held[1]:7.0%} {deviations[0]:7.4f} "
            f"{deviations[1]:7.4f} {disagreement[part].max():6.1%}"
        )


if __name__ == "__main__":
    main()
