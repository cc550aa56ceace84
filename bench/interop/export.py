"""Export results as MTEB result files and TREC runs."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd

from bench import __version__
from bench.analysis.labels import labels
from bench.errors import DataError, NothingToShow
from bench.quality.measures import MEASURES
from bench.registry import split_name
from bench.results.store import load_rankings

MAIN_SCORE = "ndcg_at_10"


def export_mteb(frame: pd.DataFrame, out: str | Path) -> list[Path]:
    """Write each trial with relevance measures as an MTEB result, and return the paths.

    The files are ``out/MODEL/REVISION/TASK.json`` and ``model_meta.json``. A model's name is the
    encoder with the configuration's label, so that MTEB's tools see one model per configuration.
    Raises NothingToShow if no trial has relevance measures.
    """
    rows = frame[(frame["status"] == "ok") & frame[MAIN_SCORE].notna()]
    if rows.empty:
        raise NothingToShow("nothing to export: no successful trial has relevance judgements")
    paths = []
    for (_, row), label in zip(rows.iterrows(), labels(rows), strict=True):
        name = f"{row['encoder'] or 'vectors'} {label}"
        folder = Path(out) / _file_name(name) / str(row["trial_id"])
        folder.mkdir(parents=True, exist_ok=True)
        scores = {measure: row[measure] for measure in MEASURES if pd.notna(row[measure])}
        task = _task_name(row["dataset"])
        result = {
            "dataset_revision": row["dataset_fingerprint"],
            "task_name": task,
            "mteb_version": _version("mteb"),
            "scores": {
                "test": [
                    {
                        **scores,
                        "main_score": row[MAIN_SCORE],
                        "hf_subset": "default",
                        "languages": ["und-Zyyy"],
                    }
                ]
            },
            "evaluation_time": None,
            "kg_co2_emissions": None,
        }
        meta = {
            "name": f"matryoshka-bench/{_file_name(name)}",
            "revision": str(row["trial_id"]),
            "embed_dim": int(row["dim"]),
            "similarity_fn_name": "cosine",
            "framework": [f"matryoshka-bench {__version__}"],
            "experiment_kwargs": {
                key: row[key]
                for key in (
                    "backend",
                    "reducer",
                    "reducer_params",
                    "precision",
                    "build_params",
                    "search_params",
                    "stages",
                )
                if row[key]
            },
        }
        paths += [
            _written(folder / f"{_file_name(task)}.json", result),
            _written(folder / "model_meta.json", meta),
        ]
    return paths


def export_trec(frame: pd.DataFrame, results: str | Path, out: str | Path) -> list[Path]:
    """Write each trial's rankings as a TREC run and return the paths.

    Each line of ``out/CONFIGURATION.run`` has query, Q0, document, rank, score and tag. The score
    falls by one per rank, because rankings are stored without scores. Raises NothingToShow if no
    trial has rankings, DataError for an id with white space, which the format cannot hold.
    """
    rows = frame[frame["status"] == "ok"]
    paths = []
    Path(out).mkdir(parents=True, exist_ok=True)
    for (_, row), label in zip(rows.iterrows(), labels(rows), strict=True):
        rankings = load_rankings(results, row["trial_id"])
        if rankings is None:
            continue
        tag = _file_name(f"{row['encoder'] or 'vectors'} {label}")
        lines = []
        for query, documents in zip(rankings["query_id"], rankings["doc_ids"], strict=True):
            for name in (query, *documents):
                if not name or any(c.isspace() for c in name):
                    raise DataError(
                        f"the id {name!r} is empty or has white space, "
                        "which a TREC run cannot hold: rename it in the data"
                    )
            lines += [
                f"{query} Q0 {document} {rank} {len(documents) - rank + 1} {tag}\n"
                for rank, document in enumerate(documents, 1)
            ]
        path = Path(out) / f"{_file_name(row['dataset'])}.{tag}.{row['trial_id'][:6]}.run"
        path.write_text("".join(lines), encoding="utf-8")
        paths.append(path)
    if not paths:
        raise NothingToShow(
            f"{results} has no rankings, which are kept since version 0.1: run the study again"
        )
    return paths


def _task_name(dataset: str) -> str:
    """Return the last part of a dataset's path or name: ``scifact`` for ``beir:data/scifact/``."""
    name, argument = split_name(dataset)
    return (argument or name).rstrip("/").rpartition("/")[2]


def _file_name(text: str) -> str:
    """Return a name that any file system accepts; a long one is cut and gets a digest."""
    plain = re.sub(r"[^A-Za-z0-9._=-]+", "_", text).strip("_.")
    return (
        plain
        if len(plain) <= 100
        else f"{plain[:90]}_{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    )


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _written(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path
