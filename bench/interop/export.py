"""Results in the field's own formats: MTEB result files and TREC runs."""

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
from bench.errors import UsageError
from bench.quality.measures import MEASURES
from bench.results.store import load_rankings

MAIN_SCORE = "ndcg_at_10"


def export_mteb(frame: pd.DataFrame, out: str | Path) -> list[Path]:
    """Write each trial with relevance figures as MTEB keeps results: ``out/MODEL/REVISION/TASK.json`` and ``model_meta.json``.

    The model is the encoder with the configuration's label, so that each configuration is a model of its own to MTEB's
    tools. Returns the paths. Raises UsageError where no trial has relevance figures.
    """
    rows = frame[(frame["status"] == "ok") & frame[MAIN_SCORE].notna()]
    if rows.empty:
        raise UsageError("there is nothing to export: no trial ended ok with relevance judgements")
    paths = []
    for (i, row), told in zip(rows.iterrows(), labels(rows), strict=True):
        del i
        name = f"{row['encoder'] or 'vectors'} {told}"
        folder = Path(out) / _file_name(name) / str(row["trial_id"])
        folder.mkdir(parents=True, exist_ok=True)
        scores = {measure: row[measure] for measure in MEASURES if pd.notna(row[measure])}
        task = re.sub(r"^(beir|mteb|vectors):", "", row["dataset"]).rstrip("/").rpartition("/")[2]
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
    """Write each trial's rankings as a TREC run, ``out/CONFIGURATION.run``: query, Q0, document, rank, score, tag.

    The score is what keeps the order (the number of results less the rank): what an index returns is an order.
    Returns the paths. Raises UsageError where there is none, or an id holds white space, which the format cannot.
    """
    rows = frame[frame["status"] == "ok"]
    paths = []
    Path(out).mkdir(parents=True, exist_ok=True)
    for (_, row), told in zip(rows.iterrows(), labels(rows), strict=True):
        rankings = load_rankings(results, row["trial_id"])
        if rankings is None:
            continue
        tag = _file_name(f"{row['encoder'] or 'vectors'} {told}")
        lines = []
        for query, documents in zip(rankings["query_id"], rankings["doc_ids"], strict=True):
            for name in (query, *documents):
                if not name or any(c.isspace() for c in name):
                    raise UsageError(
                        f"the id {name!r} holds white space, which a TREC run cannot: rename it in the data"
                    )
            lines += [
                f"{query} Q0 {document} {rank} {len(documents) - rank + 1} {tag}\n"
                for rank, document in enumerate(documents, 1)
            ]
        path = Path(out) / f"{_file_name(row['dataset'])}.{tag}.{row['trial_id'][:6]}.run"
        path.write_text("".join(lines), encoding="utf-8")
        paths.append(path)
    if not paths:
        raise UsageError(
            f"{results} holds no rankings: they are kept since version 0.1; run the study again"
        )
    return paths


def _file_name(text: str) -> str:
    """Return text that any file system takes; what is long is cut, and told apart by a digest."""
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
