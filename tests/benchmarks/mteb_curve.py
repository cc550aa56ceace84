"""Compare `bench run` over eight dimensions with `mteb.evaluate` per dimension, encoding included.

`python -m tests.benchmarks.mteb_curve BEIR_FOLDER` prints both times, their ratio, and the largest
difference in nDCG@10. Both have the same encoder and data, an empty cache, and loaded libraries.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

DIMENSIONS = (8, 16, 32, 64, 96, 128, 192, 256)
STUDY = """
name = "curve"
dataset = "beir:{folder}"
encoder = "{encoder}"
dimensions = [{dimensions}]
reducers = ["truncate"]
configurations = []
"""


def main(folder: Path, encoder_name: str, rounds: int) -> None:
    """Time both, in turn."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    from bench.encoders import get_encoder
    from bench.measuring.runner import run
    from tests.interop.mteb_task import LocalModel, mteb_scores

    encoder = get_encoder(encoder_name)
    encoder.encode(["warm"])
    dimensions = [d for d in DIMENSIONS if d <= encoder.dimension]
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as scratch:
            os.environ["MATRYOSHKA_BENCH_CACHE"] = scratch
            study = Path(scratch) / "study.toml"
            listed = ", ".join(map(str, dimensions))
            study.write_text(
                STUDY.format(folder=folder.resolve(), encoder=encoder_name, dimensions=listed)
            )
            begun = time.perf_counter()
            frame = run(study, Path(scratch) / "results", progress=False)
            ours = time.perf_counter() - begun
        curve = frame[frame["backend"] == "exact"].set_index("dim")["ndcg_at_10"]
        begun = time.perf_counter()
        theirs = {d: mteb_scores(LocalModel(encoder, d), folder)["ndcg_at_10"] for d in dimensions}
        taken = time.perf_counter() - begun
        apart = max(abs(curve[d] - theirs[d]) for d in dimensions)
        print(
            f"bench {ours:.1f} s, mteb.evaluate {len(dimensions)} times {taken:.1f} s: "
            f"{taken / ours:.1f} times faster; nDCG@10 at most {apart:.1e} apart",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--encoder", default="wordllama")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.encoder, arguments.rounds)
