"""Short names for configurations, so that no two in a table read alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.backends import backends
from bench.reducers import PREFIX, reducers
from bench.results.rows import UNCOMPRESSED
from bench.study.plan import BM25, parameters
from bench.study.schema import (
    DIMENSION,
    DISK,
    FUNNEL,
    FUSION,
    NATIVE,
    RERANK,
    SHORTLIST,
    VECTORS,
    reads_texts,
    rescores,
)

_SETTINGS = ("threads", "k", "clients", "arrival")
_SEED = "seed"
_SHOWN = ["backend", "dim", "reducer_kind", "reducer", "reducer_params", "precision"]
_SHOWN += ["build_params", "search_params", "stages", *_SETTINGS]
"""Columns that a label is made from."""


def label(row: pd.Series | Mapping[Any, Any], varying: Collection[str] = ()) -> str:
    """Return a configuration in a few words: ``faiss-hnsw 64 d, M=16, ef=32``.

    Shown are the parameters that the backend declares and those in `varying`.
    """
    if row["backend"] == BM25:
        return "BM25"
    shown = {*label_parameters(row["backend"]), *varying}
    parts = [f"{row['backend']} {row['dim']} d"]
    if row["reducer_kind"] != PREFIX:
        chosen = parameters(row["reducer_params"])
        parts[0] += f" {variant(row['reducer'], row['reducer_params'])}"
        parts += [f"{_SEED}={chosen[_SEED]}"] if _SEED in chosen else []
    if row["precision"] != UNCOMPRESSED:
        parts.append(str(row["precision"]))
    given = parameters(row["build_params"]) | parameters(row["search_params"])
    parts += [f"{name}={value}" for name, value in given.items() if name in shown]
    if stages := parameters(row["stages"]):
        parts.append(stage_label(stages))
    parts += [f"{column}={row[column]}" for column in _SETTINGS if column in varying]
    return ", ".join(parts)


def label_parameters(backend: str) -> tuple[str, ...]:
    """Return the parameters that labels show; none if the backend is unknown."""
    known = backends()
    return known[backend].label_parameters if backend in known else ()


def stage_label(stages: dict[str, Any]) -> str:
    """Return the later stages in a few words: ``rescore 100 at 128 d from disk``.

    Texts follow: ``100 fused with BM25, 100 reranked by ms-marco-MiniLM-L6-v2``.
    """
    count, parts = str(stages.get(SHORTLIST, "?")), []
    if rescores(stages) or not reads_texts(stages):
        words = ["own"] if stages.get(NATIVE) else []
        words += ["funnel" if stages.get(FUNNEL) else "rescore", count]
        words += ["at", str(stages[DIMENSION]), "d"] if DIMENSION in stages else []
        parts.append(" ".join(words + (["from disk"] if stages.get(VECTORS) == DISK else [])))
    if FUSION in stages:
        parts.append(f"{count} fused with BM25")
    if RERANK in stages:
        parts.append(f"{count} reranked by {Path(str(stages[RERANK])).name}")
    return ", ".join(parts)


def labels(frame: pd.DataFrame, rows: pd.Index | None = None) -> pd.Series:
    """Return the label of each row, text; parameters that differ within a backend are shown.

    `rows` limits the labels to some rows; what differs is still that of the whole frame.
    """
    shown = frame[_SHOWN] if rows is None else frame.loc[rows.unique(), _SHOWN]
    named = pd.Series("", index=shown.index, dtype=object)
    for backend, part in shown.groupby("backend", sort=False):
        differing = varying(frame[frame["backend"] == backend])
        named.loc[part.index] = [label(row, differing) for row in part.to_dict("records")]
    return named


def varying(frame: pd.DataFrame) -> set[str]:
    """Return the parameters, and of threads, k, clients and arrival those, that differ by row."""
    found = {column for column in _SETTINGS if frame[column].nunique() > 1}
    for column in ("build_params", "search_params"):
        values: dict[str, set[str]] = {}
        for text in frame[column].dropna().unique():
            for name, value in parameters(text).items():
                values.setdefault(name, set()).add(json.dumps(value, sort_keys=True))
        found |= {name for name, seen in values.items() if len(seen) > 1}
    return found


def variant(reducer: str, reducer_params: object) -> str:
    """Return a reducer and its parameters without the seed: ``pca whiten``, ``adaptor mine``."""
    chosen = parameters(reducer_params)
    known = reducers().get(reducer)
    path = known.argument if known else ""
    words = [
        name if value is True else Path(str(value)).name if name == path else f"{name}={value}"
        for name, value in chosen.items()
        if name != _SEED and value not in (False, "")
    ]
    return " ".join([str(reducer), *words])


def variants(frame: pd.DataFrame) -> pd.Series:
    """Return the `variant` of each row's reducer, text."""
    name, names = pd.factorize(frame["reducer"], use_na_sentinel=False)
    text, texts = pd.factorize(frame["reducer_params"], use_na_sentinel=False)
    pairs, place = np.unique(name * len(texts) + text, return_inverse=True)
    found = [variant(names[pair // len(texts)], texts[pair % len(texts)]) for pair in pairs]
    return pd.Series(np.array(found, dtype=object)[place], index=frame.index, dtype=object)


def dims_text(dimensions: pd.Index | list[int]) -> str:
    """Return dimensions as words: ``16, 32 and 64 d``."""
    words = [str(d) for d in dimensions]
    return f"{', '.join(words[:-1])} and {words[-1]} d" if len(words) > 1 else f"{words[0]} d"
