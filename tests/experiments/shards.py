"""A study measured whole, and in shards that are merged: the same trials, the same quality.

Promises tested: the shards' folders merged hold the trial ids of the whole run, and every figure
that no clock decides is the same to the bit. Each part has a cache of its own, as on machines that
share nothing, so each encodes. Printed besides: what each took.

``python -m tests.experiments.shards [--shards 4] [--study quickstart] [--set key=value …]``
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench
from bench import machine
from bench.results.schema import COLUMNS

GROUPS = ("identity", "configuration", "data", "quality")
SAME = [c.name for c in COLUMNS.values() if c.group in GROUPS] + ["bytes_per_vector"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=4)
    parser.add_argument("--study", default="quickstart")
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    print(machine.description())
    chosen = [word for text in given.set for word in ("--set", text)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = [f"{number}/{given.shards}" for number in range(1, given.shards + 1)]
        for shard in ["1/1", *shards]:
            out = folder / shard.replace("/", "-of-")
            command = ["run", given.study, "--quiet", "--shard", shard, "--out", str(out), *chosen]
            begun = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "bench", *command],
                env=os.environ | {"MATRYOSHKA_BENCH_CACHE": f"{out}-cache"},
                check=True,
            )
            taken = time.monotonic() - begun
            print(f"shard {shard}: {len(bench.load(out))} trials, {taken:.0f} s", flush=True)
        begun = time.monotonic()
        parts = [folder / shard.replace("/", "-of-") for shard in shards]
        merged = bench.merge(parts, folder / "merged")
        print(f"merge: {time.monotonic() - begun:.2f} s")
        print("\n".join(merged.lines()))
        whole, together = (
            bench.load(path).sort_values("trial_id").reset_index(drop=True)
            for path in (folder / "1-of-1", folder / "merged")
        )
        print(f"the same trial ids: {whole['trial_id'].equals(together['trial_id'])}")
        differing = [column for column in SAME if not whole[column].equals(together[column])]
        print(f"of {len(SAME)} columns that no clock decides, not the same: {differing or 'none'}")


if __name__ == "__main__":
    main()
