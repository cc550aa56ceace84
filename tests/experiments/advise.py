"""Does `advise` find what a full grid finds, in a fifth of its time? And what do samplers find?

Promise tested: in at most a fifth of the time of a full grid, `advise` finds a configuration whose
value (bytes per vector, or latency: what `advise` minimises) is within 5 % of the grid's best.

The grid times every reducer, dimension, precision and index that `advise` looks at by default, at
the widths of the backends' own grids, powers of two of the dimension, and rescores of flat indexes.
Its best is told twice: the least value that keeps the share on all queries (which chance helps),
and what the rule of `advise` decides among all rows (a third of the queries choose, the others
confirm). `advise` runs in a process and a cache of its own, so nothing measured before helps it.
The last step measures the grid's best and the choice of `advise` side by side, in three processes
each, since times differ between runs: the table compares those. Optuna's TPE and a random order
search the measured grid in the time that `advise` took. Each of their evaluations pays what the
grid paid, an index once. The exact pass is free for them, and the rule decides among what they saw.

``python -m tests.experiments.advise [--datasets pydoc beir:PATH …] [--keep 0.95 0.98] [--out DIR]``

An interrupted call resumes. `--help` names the options that change the size of the grid.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w

import bench
from bench.advising.candidates import USUAL, reducer_choice
from bench.advising.value import Value
from bench.advising.wanted import Wanted
from bench.analysis.labels import label
from bench.analysis.money import load_prices
from bench.embeddings import embed
from bench.embeddings.sets import Embeddings
from bench.errors import UsageError
from bench.reducers import PLAIN
from bench.reducers.adaptor import Adaptor
from bench.results.rows import timed
from bench.results.store import ADVICE, load, load_queries
from bench.study.plan import parameters, plan
from bench.study.schema import DISK, Study
from tests.experiments._replay import (
    Grid,
    Sampler,
    Seen,
    at_random,
    by_optuna,
    settings,
    shares,
    valued,
)

QUERIES = 1000
"""Most queries, as many as `advise` takes."""
REDUCERS: dict[str, str | dict[str, Any]] = {
    PLAIN: PLAIN,
    "pca": "pca",
    "pca-whitened": {"name": "pca", "whiten": True},
    "adaptor": "adaptor",
}
PRECISIONS = ("float32", "int8", "int4", "binary")
RESCORED = ("float32", "int8", "binary")
M = 16
SHORTLISTS = (20, 50, 100)
NEAR = 1.05
"""A value up to so many times the best counts as found."""
FLAT, IVF, HNSW = USUAL
SECONDS = "seconds.json"
READY_VECTORS = ("vectors:", "synthetic:")
HEAD = (
    "dataset", "asked", "method", "seconds", "of the grid's", "value / best", "value / decided",
    "configuration", "bytes", "ms", "keeps, all queries", "confirmed",
)  # fmt: skip


def grid_study(
    dataset: str, encoder: str | None, full: int, given: argparse.Namespace
) -> dict[str, Any]:
    """Return the full grid of one dataset, as a study file holds it."""
    dimensions = [d for d in given.dimensions or powers(full) if d <= full]
    reducers = [REDUCERS[name] for name in given.reducers or shipped(encoder, full)]

    def table(backend: str, **more: Any) -> dict[str, Any]:
        return {"backend": backend, "reducer": reducers, **more}

    tables = [
        table(FLAT, precision=list(PRECISIONS)),
        table(FLAT, precision=list(RESCORED), stages={"shortlist": list(SHORTLISTS)}),
        table(IVF, precision=list(PRECISIONS)),
        table(HNSW, precision=list(PRECISIONS), build={"M": M}),
    ]
    if given.disk_shortlists:
        stages = {"shortlist": given.disk_shortlists, "vectors": DISK}
        tables.append(table(FLAT, precision=given.disk_precisions, stages=stages))
    if PLAIN not in reducers or full not in dimensions:
        tables.append({"backend": FLAT, "reducer": PLAIN, "dimensions": full})
    return {
        "name": "grid",
        "dataset": dataset,
        **({"encoder": encoder} if encoder else {}),
        "dimensions": dimensions,
        "queries": QUERIES,
        "subsets": 0,
        "configurations": tables,
    }


def powers(full: int, least: int = 32) -> list[int]:
    """Return the powers of two from `least` to the full dimension, and that itself."""
    return sorted({*(2**i for i in range(3, 14) if least <= 2**i < full), full})


def shipped(encoder: str | None, full: int) -> list[str]:
    """Return the names of the reducers that `advise` compares."""
    try:
        Adaptor(encoder or "").check(full)
    except UsageError:
        return [name for name in REDUCERS if name != "adaptor"]
    return list(REDUCERS)


@dataclass(frozen=True)
class Asked:
    """One search: its dataset and what is asked of it."""

    dataset: str
    encoder: str | None
    wanted: Wanted
    folder: Path
    """Folder of everything measured on the dataset."""
    embeddings: Embeddings

    @property
    def name(self) -> str:
        """Share and objective, for names of folders."""
        return f"{self.wanted.objective}-{100 * self.wanted.keep:g}"

    @property
    def value(self) -> Value:
        """What is minimised."""
        return Value(self.wanted, len(self.embeddings.corpus), load_prices(None))


def advised(asked: Asked, budget: float) -> tuple[Path, float]:
    """Run `advise` as a user does, unless it ended before; return its folder and its seconds.

    The embeddings are made before, since everything else is measured with them too. A search that
    was interrupted begins anew.
    """
    out, cache = asked.folder / f"advise-{asked.name}", asked.folder / "cache"
    kept = out / SECONDS
    if not kept.exists():
        shutil.rmtree(out, ignore_errors=True)
        embed(asked.dataset, asked.encoder, max_queries=QUERIES, cache=cache, progress=False)
        for found in cache.glob("sets/*/exact"):
            shutil.rmtree(found)
        wanted = asked.wanted
        names = [asked.dataset, *([asked.encoder] if asked.encoder else [])]
        options = ["--keep", str(wanted.keep), "--objective", wanted.objective]
        options += ["--budget", f"{budget:.1f}s", "--out", str(out)]
        command = [sys.executable, "-m", "bench", "advise", *names, *options]
        begun = time.monotonic()
        environment = {**os.environ, "MATRYOSHKA_BENCH_CACHE": str(cache)}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
        kept.write_text(json.dumps({"seconds": time.monotonic() - begun, "budget": budget}))
    return out, float(json.loads(kept.read_text())["seconds"])


def side_by_side(asked: Asked, rows: Sequence[pd.Series]) -> pd.DataFrame:
    """Measure configurations again, in three processes each; return their rows in order."""
    tables = []
    for row in rows:
        table = {
            "backend": row["backend"],
            "reducer": reducer_choice(row["reducer"], row["reducer_params"]),
            "dimensions": int(row["dim"]),
            "precision": row["precision"],
            "build": parameters(row["build_params"]),
            "search": parameters(row["search_params"]),
        }
        stages = parameters(row["stages"])
        tables.append(table | ({"stages": stages} if stages else {}))
    study = {
        "name": "again",
        "dataset": asked.dataset,
        **({"encoder": asked.encoder} if asked.encoder else {}),
        "dimensions": asked.embeddings.full_dim,
        "queries": QUERIES,
        "subsets": 0,
        "processes": 3,
        "configurations": [t for i, t in enumerate(tables) if t not in tables[:i]],
    }
    out = asked.folder / f"again-{asked.name}"
    frame = timed(bench.run(Study.model_validate(study), out, progress=False))
    frame = valued(frame, asked.value, asked.embeddings.full_dim)
    found = {tuple(settings(row).values()): row for row in frame.to_dict("records")}
    return pd.DataFrame([found[tuple(settings(row).values())] for row in rows])


class Comparison:
    """The rows of the table for one dataset, share and objective."""

    def __init__(self, asked: Asked, grid: Grid) -> None:
        self.asked, self.grid, self.keep = asked, grid, asked.wanted.keep
        self.best = grid.best(self.keep)
        chosen = grid.decided(self.keep).chosen
        self.decided = None if chosen is None else grid.position(chosen.trial_id)
        self.table: list[list[str]] = []
        self.notes: list[str] = []

    def of(self, budget: float, samplers: dict[str, Sampler], seeds: int) -> None:
        """Fill the table, with `budget` seconds for `advise`."""
        grid, rows = self.grid, self.grid.rows
        reference = self.best if self.decided is None else self.decided
        for name, position in (("grid, best", self.best), ("grid, decided", reference)):
            sure = name == "grid, decided" and self.decided is not None
            self._add(name, grid.seconds, self._ratios(rows["value"].iloc[position]),
                      rows.iloc[position], grid.shares[position], "yes" if sure else "")  # fmt: skip
        seconds = self._advise(budget, rows.iloc[[self.best, reference]])
        for name, sampler in samplers.items():
            begun = time.monotonic()
            given = repeat(grid), repeat(self.keep), repeat(seconds), range(seeds)
            with ProcessPoolExecutor() as pool:
                found = list(pool.map(sampler, *given))
            print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
            self._sampled(name, found)

    def _ratios(self, value: float) -> tuple[str, str]:
        values = self.grid.rows["value"]
        decided = "" if self.decided is None else f"{value / values.iloc[self.decided]:.3f}"
        return f"{value / values.iloc[self.best]:.3f}", decided

    def _advise(self, budget: float, grids: pd.DataFrame) -> float:
        asked = self.asked
        out, seconds = advised(asked, budget)
        advice = json.loads((out / ADVICE).read_text())
        if (choice := advice["choice"]) is None:
            self._add("advise", seconds, ("", ""), None, float("nan"), "no")
            self.notes.append(f"advise: {advice['sentences'][0]}")
            return seconds
        frame = load(out)
        own = frame[frame["trial_id"] == choice["trial_id"]]
        share = float(shares(frame, load_queries(out), own["trial_id"])[0])
        row = valued(own, asked.value, asked.embeddings.full_dim).iloc[0]
        near = self.grid.rows.iloc[self.grid.nearest(row)]
        again = side_by_side(asked, [grids.iloc[0], grids.iloc[1], row])
        best, decided, this = again["value"]
        ratios = f"{this / best:.3f}", f"{this / decided:.3f}" if self.decided is not None else ""
        self._add("advise", seconds, ratios, again.iloc[2], share, "yes")
        alone = " and ".join(filter(None, self._ratios(row["value"])))
        grids_own = " and ".join(filter(None, self._ratios(near["value"])))
        same = "the same" if settings(near) == settings(row) else f"the nearest, {label(near)},"
        self.notes.append(
            f"advise, budget {budget:.0f} s: by its own times {alone} of the grid's; in the grid "
            f"{same} has {grids_own}. Side by side, ms: grid's best {_ms(again.iloc[0])}, decided "
            f"{_ms(again.iloc[1])}, advise {_ms(again.iloc[2])}."
        )
        self.notes += [line for line in advice["not_tried"] if "time was over" in line]
        return seconds

    def _sampled(self, name: str, found: Sequence[Seen]) -> None:
        """Add the median over the seeds, its worst, and how often it is near the grid's."""
        grid, values = self.grid, self.grid.rows["value"].to_numpy(float)
        chosen = [grid.decided(self.keep, each.positions).chosen for each in found]
        ends = [grid.baseline if c is None else grid.position(c.trial_id) for c in chosen]
        ends = sorted(ends, key=lambda i: values[i])
        middle = ends[(len(ends) - 1) // 2]

        def told(reference: int | None) -> str:
            if reference is None:
                return ""
            ratios = values[ends] / values[reference]
            near = float(np.mean(ratios <= NEAR))
            return f"{np.median(ratios):.3f} (worst {ratios.max():.3f}; near in {near:.0%})"

        seen = np.median([len(each.positions) for each in found])
        spent = float(np.mean([each.seconds for each in found]))
        self._add(f"{name}, {seen:.0f} trials", spent, (told(self.best), told(self.decided)),
                  grid.rows.iloc[middle], grid.shares[middle], "yes")  # fmt: skip

    def _add(
        self,
        method: str,
        seconds: float,
        ratios: tuple[str, str],
        row: pd.Series | None,
        share: float,
        confirmed: str,
    ) -> None:
        parts = [
            Path(self.asked.dataset).name,
            f"{self.keep:.0%}, {self.asked.wanted.objective}",
            method,
            f"{seconds:.0f}",
        ]
        parts += [f"{seconds / self.grid.seconds:.0%}", *ratios]
        if row is None:
            parts += ["none", "", "", "", confirmed]
        else:
            parts += [label(row), f"{row['bytes_per_vector']:.1f}", _ms(row), f"{share:.1%}"]
            parts += [confirmed]
        self.table.append(parts)


def _ms(row: pd.Series) -> str:
    return f"{row['latency_ms_p50']:.3g}"


def printed(head: Iterable[str], rows: Iterable[Sequence[str]]) -> None:
    head = list(head)
    print("| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def measured(dataset: str, given: argparse.Namespace) -> list[Comparison]:
    """Measure one dataset, and compare for every share."""
    encoder = None if dataset.startswith(READY_VECTORS) else given.encoder
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{Path(dataset).name}-{encoder or ''}").strip("-.")
    folder = given.out / name
    folder.mkdir(parents=True, exist_ok=True)
    embeddings = embed(dataset, encoder, max_queries=QUERIES)
    study = grid_study(dataset, encoder, embeddings.full_dim, given)
    trials = plan(Study.model_validate(study))
    path = folder / "grid.toml"
    path.write_text(tomli_w.dumps(study), encoding="utf-8")
    print(
        f"{dataset}: {len(embeddings.corpus):,} documents, {len(embeddings.query_ids):,} queries; "
        f"{len(trials):,} timed trials over {len({t.build_key for t in trials}):,} indexes: {path}",
        file=sys.stderr,
        flush=True,
    )
    if given.count:
        return []
    bench.run(path, folder / "grid", again=False)
    samplers: dict[str, Sampler] = {"Optuna": by_optuna, "random": at_random}
    found = []
    for objective in given.objectives:
        for keep in given.keep:
            asked = Asked(dataset, encoder, Wanted(keep, objective), folder, embeddings)
            grid = Grid(folder / "grid", asked.value, embeddings.full_dim)
            budget = given.budget or given.share * grid.seconds
            comparison = Comparison(asked, grid)
            comparison.of(budget, samplers, given.seeds)
            found.append(comparison)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--datasets", nargs="+", default=["pydoc"])
    add("--encoder", default="wordllama", help="of the datasets that are not ready vectors")
    add("--keep", type=float, nargs="+", default=[0.95, 0.98])
    add("--objectives", nargs="+", choices=["memory", "latency"], default=["memory"])
    add("--out", type=Path, default=Path("results/advise-and-grid"))
    add("--share", type=float, default=0.19, help="budget of advise, of the grid's time")
    add("--budget", type=float, help="budget of advise in seconds, instead of a share")
    add("--dimensions", type=int, nargs="+", help="powers of two from 32 and the full one")
    add("--reducers", nargs="+", choices=list(REDUCERS), help="those that advise compares")
    add("--disk-shortlists", type=int, nargs="*", default=[100], help="none to leave them out")
    add("--disk-precisions", nargs="+", choices=PRECISIONS, default=["binary"])
    add("--seeds", type=int, default=20)
    add("--count", action="store_true", help="say how large the grid is, and measure nothing")
    given = parser.parse_args()
    try:
        import optuna  # noqa: F401
    except ImportError:
        sys.exit("Optuna is not installed: pip install --group experiments")
    try:
        found = [each for dataset in given.datasets for each in measured(dataset, given)]
    except UsageError as error:
        sys.exit(f"error: {error}")
    if found:
        printed(HEAD, [row for each in found for row in each.table])
    for each in found:
        for note in each.notes:
            print(f"- {Path(each.asked.dataset).name}, {each.asked.name}: {note}")


if __name__ == "__main__":
    main()
