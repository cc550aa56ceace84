"""The same index against itself: a speed-up of 1, whichever was built first (A/A).

Promise tested: the interval of one process's paired ratio leaves 1 out in at most 5 % of processes,
at 10 MB and at 1 GB. Each process is a real worker: the supervisor's environment, the worker's own
build, `Measure` and its clock, over synthetic vectors. The index is faiss-flat at the full
dimension, so it is the reference itself. "as loaded" is the interval that `bench.load` gives: the spread
between processes is in it, known from four other indexes of three processes each, as in a study of
four backends. "rounds alone" is the interval within a process, which is not the promise: it is that
narrow that it sees what differs between processes.

``python -m tests.experiments.same_index [--processes 30] [--sizes 10 1000]``
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from bench import machine
from bench.embeddings import embed
from bench.measuring.jobs import BuildJob, ExactJob, TimedAgain
from bench.measuring.supervisor import Worker
from bench.measuring.workload import Workload
from bench.results.spread import SPEEDUP, Spread
from bench.study.plan import EXACT
from bench.study.reader import load_study

DIMENSION = 256
QUERIES = {10: 1000, 1000: 100}
"""MB of vectors → queries, so that a process of either size takes seconds."""
STUDY = """
name = "same-index"
dataset = "synthetic:n={count},d={dimension}"
dimensions = [{dimension}]
queries = {queries}
[[configurations]]
backend = "faiss-flat"
"""


def workload(megabytes: int, folder: Path) -> Workload:
    count = megabytes * 10**6 // (4 * DIMENSION)
    queries = QUERIES.get(megabytes, 200)
    path = folder / "study.toml"
    path.write_text(STUDY.format(count=count, dimension=DIMENSION, queries=queries))
    study = load_study(path)
    found = embed(study.dataset[0], None, max_queries=study.queries, seed=0, progress=False)
    return Workload(study, found, machine.description())


def measured(work: Workload, job: ExactJob | BuildJob) -> list[dict]:
    """Run a worker to its end; return the columns of each timed trial."""
    with Worker(job, 3600, 1e15) as worker:
        rows = [event.row for event in worker.events() if isinstance(event, TimedAgain)]
    if worker.status != "ok":
        raise RuntimeError(worker.error)
    return rows


def processes(work: Workload, count: int, reference_first: bool) -> pd.DataFrame:
    cores = machine.usable_cores()
    group = next(g for g in work.groups if next(iter(g.values())).backend != EXACT)
    job = BuildJob(
        cores=cores[-1:],
        exact=work.full_key,
        full=work.full_key,
        trials=group,
        # From the second process on only times are taken; odd ones build the reference first.
        process=1 if reference_first else 2,
        repeats=work.study.repeats,
        budget_seconds=5.0,
        pareto=False,
        rivals=[],
        bandwidth=0.0,
        machine_cores=cores,
        encode_ms_p50=None,
    )
    return pd.DataFrame([row for _ in range(count) for row in measured(work, job)])


def half_width(logs: np.ndarray, own: int) -> float:
    """Return what the spread of up to four triples of other processes adds to a bound."""
    others = np.roll(logs, -own)[1:13]
    triples = others[: len(others) // 3 * 3].reshape(-1, 3)
    deviation = float(triples.var(axis=1, ddof=1).mean() ** 0.5)
    return Spread(deviation, 2 * len(triples)).half_width(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=30)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 1000])
    given = parser.parse_args()
    print(f"{machine.description()}; {given.processes} processes a line")
    print(
        f"{'MB':>5} {'built first':12} {'median':>7} {'sd of log':>9} {'least':>6} {'most':>6} "
        f"{'1 left out: as loaded':>22} {'rounds alone':>13}"
    )
    for size in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            work = workload(size, Path(folder))
            exact = ExactJob(
                cores=machine.usable_cores(), exact=work.full_key, full=work.full_key, trials={}
            )
            measured(work, exact)
            # The order alternates from process to process, as in a study.
            found = pd.concat(
                processes(work, 1, reference_first).assign(reference_first=reference_first)
                for _ in range(given.processes)
                for reference_first in (False, True)
            )
            logs = np.log(found[[SPEEDUP, f"{SPEEDUP}_low", f"{SPEEDUP}_high"]].to_numpy(float))
            between = [half_width(logs[:, 0], i) for i in range(len(logs))]
            ratio, low, high = logs.T
            found["alone"] = (low > 0) | (high < 0)
            found["loaded"] = np.abs(ratio) > np.hypot(
                np.where(ratio > 0, ratio - low, high - ratio), between
            )
            found["log"] = ratio
            for first, part in found.groupby("reference_first"):
                print(
                    f"{size:5} {'reference' if first else 'index':12} "
                    f"{np.exp(part['log'].median()):7.3f} {part['log'].std():9.4f} "
                    f"{np.exp(part['log'].min()):6.3f} {np.exp(part['log'].max()):6.3f} "
                    f"{part['loaded'].mean():22.0%} {part['alone'].mean():13.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
