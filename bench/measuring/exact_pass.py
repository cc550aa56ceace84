"""The exact pass over one reducer: neighbours at every dimension, and their quality."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from bench.exact.one_pass import exact_search
from bench.measuring.jobs import Emit, _now
from bench.measuring.prepared import _embeddings, _reducer, _relevant, exact_path
from bench.quality.scorer import Scorer
from bench.vectors import normalise


def run_exact(job: dict[str, Any], emit: Emit) -> None:
    """Search exactly at every dimension with one reducer; emit one row a dimension, with quality at full depth."""
    embeddings = _embeddings(job)
    path, reducer = exact_path(embeddings.folder, job), _reducer(embeddings, job)
    if not path.exists():
        rows, documents = _relevant(embeddings)
        found = exact_search(
            embeddings.queries,
            embeddings.corpus,
            job["dimensions"],
            job["depth"],
            # Cutting needs no map, and the cosine no unit length.
            transform=None
            if job["reducer"] == "truncate"
            else lambda block: reducer.map(normalise(block)),
            own=embeddings.own,
            relevant=(rows, documents),
        )
        unfinished = path.with_name(f".{path.stem}.{os.getpid()}.partial.npz")
        arrays: dict[str, Any] = {f"ids_{d}": ids for d, (ids, _) in found.nearest.items()}
        for d, (_, ranks) in found.relevant.items():
            first = np.full(len(embeddings.queries), len(embeddings.corpus) + 1)
            np.minimum.at(first, rows, ranks)
            arrays[f"first_relevant_{d}"] = first
        np.savez(unfinished, **arrays)
        unfinished.replace(path)
    emit({"event": "built"})
    if not job["trials"]:
        return
    exact = np.load(path)
    scorer = Scorer(embeddings, job["seed"], job["exact_full"])
    for trial in job["trials"]:
        emit({"event": "start", "trial_id": trial["trial_id"]})
        started = _now()
        ids = exact[f"ids_{trial['dim']}"]
        figures, queries = scorer.score(ids[:, : trial["k"]], exact_ids=ids, precise_ids=ids)
        if embeddings.qrels is not None:
            queries["first_relevant_rank"] = exact[f"first_relevant_{trial['dim']}"].tolist()
        figures |= (
            {"loss_precision": 0.0, "loss_search": 0.0} if "loss_dimension" in figures else {}
        )
        row = {
            "status": "ok",
            "started_at": started,
            "bytes_per_vector": trial["dim"] * 4.0,
            "ann_recall_at_10": 1.0,
            "caution": reducer.caution(trial["dim"]),
            **figures,
        }
        emit({"event": "trial", "row": {"trial_id": trial["trial_id"], **row}, "queries": queries})
