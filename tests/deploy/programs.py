"""Measure configurations, write their code, run it without the package, compare the ids."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

import bench
from bench import machine
from bench.backends import Backend, get_backend
from bench.backends import _postgres as postgres
from bench.codes.table import BY_NAME
from bench.deploy import deploy
from bench.results.store import load_rankings

D, DIM, K, QUERIES = 32, 16, 10, 20
_PREAMBLE = (
    f'name = "s"\ndimensions = [{DIM}]\nk = {K}\nqueries = {QUERIES}\nrepeats = 1\nsubsets = 0\n'
)
_RUN = """
import json, os, runpy, sys
import numpy as np

sys.modules["bench"] = None  # an import of the package is an error
corpus, queries = (np.load(path) for path in sys.argv[1:3])
for folder in json.loads(sys.argv[3]):
    os.chdir(folder)
    program = runpy.run_path("search.py", run_name="search")
    index = program["index_corpus"](corpus)
    np.save("ids.npy", np.concatenate([program["answer"](index, query[None]) for query in queries]))
    if "DSN" in program:
        (index[0] if isinstance(index, tuple) else index).execute("DROP TABLE items")
"""


@dataclass(frozen=True)
class Outcome:
    """How the code of one trial compares with the trial."""

    row: pd.Series
    program: Path
    equal: float
    """Share of the queries with the same ids in the same order."""
    overlap: float
    """Share of the trial's ids that the code finds, mean over the queries."""


def write_vectors(folder: Path, n: int = 600) -> Path:
    """Write n ready vectors of D dimensions with falling variance, and 40 queries near some."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    scale = np.linspace(2, 0.5, D, dtype=np.float32)
    corpus = rng.standard_normal((n, D)).astype(np.float32) * scale
    queries = corpus[rng.choice(n, 40, replace=False)]
    queries = queries + 0.6 * rng.standard_normal((40, D)).astype(np.float32)
    np.save(folder / "corpus.npy", corpus)
    np.save(folder / "queries.npy", queries)
    return folder


def deployed(cls: type[Backend]) -> list[str]:
    """Return the precisions whose code is run: of the codings, those of two bits and the signs."""
    few = ("eden_2bit", "rabitq_2bit", "turboquant_2bit", "uniform_2bit", "ternary", "binary_itq")
    return [name for name in cls.precision_names() if name not in BY_NAME or name in few]


def configurations(name: str, whole: bool = False) -> str:
    """Return a backend's tables of a study: every precision, and two of them with later stages.

    The code of a later stage is the same for every precision; `whole` runs it for each.
    """
    cls = get_backend(name)
    # Narrow searches of two indexes differ more than the indexes themselves.
    place = 1 / 3 if cls.deterministic else 1
    search = {
        name: values[int(place * (len(values) - 1))] for name, values in cls.search_grid.items()
    }
    build = {parameter: values[0] for parameter, values in cls.build_grid.items()}
    build |= dict.fromkeys(cls.dimension_parameters, DIM)

    def head(precisions: list[str]) -> str:
        return (
            f'[[configurations]]\nbackend = "{name}"\nprecision = {json.dumps(precisions)}\n'
            f"build = {_table(build)}\nsearch = {_table(search)}\n"
        )

    every = deployed(cls)
    staged = every if whole else list(dict.fromkeys([every[0], every[-1]]))
    tables = [head(every), f"{head(staged)}stages = {{ shortlist = 30 }}\n"]
    if cls.native_stages:  # the prefix is the whole vector
        stages = f"dimensions = [{D}]\nstages = {{ shortlist = 30, native = true }}\n"
        tables.append(head(staged) + stages)
    return "".join(tables)


def compared(dataset: Path, tables: str, folder: Path) -> list[Outcome]:
    """Measure a study of `tables`, run the code of each timed trial, compare what both find."""
    folder.mkdir(parents=True, exist_ok=True)
    study = folder / "study.toml"
    study.write_text(f'{_PREAMBLE}dataset = "vectors:{dataset}"\n{tables}')
    frame = bench.run(study, folder / "results", progress=False, again=False)
    timed = frame[~frame["backend"].isin(["exact", "bm25"])]
    bad = timed[timed["status"] != "ok"]
    assert bad.empty, list(bad["error"])
    return outcomes(dataset, folder / "results", timed, folder)


def outcomes(dataset: Path, results: Path, rows: pd.DataFrame, folder: Path) -> list[Outcome]:
    """Write the code of `rows` into folders by trial id, run it, compare what it finds."""
    trials = list(rows["trial_id"])
    for trial in trials:
        deploy(results, trial[:12], folder / trial)
    kept = [load_rankings(results, trial) for trial in trials]
    asked = np.load(dataset / "queries.npy")[kept[0]["query_id"].astype(int)]
    np.save(folder / "asked.npy", asked)
    programs = [folder / trial for trial in trials]
    # chromadb keeps its clients by their path, which is the same for each program.
    apart = (rows["backend"] == "chroma").any()
    for group in [[each] for each in programs] if apart else [programs]:
        execute(dataset / "corpus.npy", folder / "asked.npy", group)
    return [
        _outcome(row, folder / row["trial_id"], ranking)
        for (_, row), ranking in zip(rows.iterrows(), kept, strict=True)
    ]


def execute(corpus: Path, queries: Path, folders: list[Path]) -> None:
    """Run the programs of `folders`, query by query, in a process that cannot import the package."""
    environment = {**os.environ, **machine.thread_environment(1)}
    if "psycopg" in (folders[0] / "search.py").read_text():
        environment["DATABASE_URL"] = postgres.server()
    paths = json.dumps([str(folder) for folder in folders])
    done = subprocess.run(
        [sys.executable, "-c", _RUN, str(corpus), str(queries), paths],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folders[0],
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def _outcome(row: pd.Series, folder: Path, ranking: pd.DataFrame) -> Outcome:
    found = np.load(folder / "ids.npy")
    assert found.dtype == np.int64
    assert found.shape == (len(ranking), K)
    expected = [np.asarray(ids, dtype=np.int64) for ids in ranking["doc_ids"]]
    pairs = [(ids[ids >= 0], wanted) for ids, wanted in zip(found, expected, strict=True)]
    return Outcome(
        row=row,
        program=folder / "search.py",
        equal=float(np.mean([np.array_equal(ids, wanted) for ids, wanted in pairs])),
        overlap=float(np.mean([np.isin(wanted, ids).mean() for ids, wanted in pairs])),
    )


def _table(values: dict) -> str:
    return (
        "{ " + ", ".join(f"{name} = {json.dumps(value)}" for name, value in values.items()) + " }"
    )
