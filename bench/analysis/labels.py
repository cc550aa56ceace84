"""Short names for configurations, so that no two of a table read alike."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd

from bench.study.plan import parameters


def label(row: pd.Series, told: Collection[str] = ()) -> str:
    """Return a configuration in a few words: ``faiss-hnsw 64 d, M=16, ef=32``; `told` names what else to say."""
    parts = [f"{row['backend']} {row['dim']} d"]
    if row["reducer"] != "truncate":
        parts[0] += f" {variant(row['reducer'], row['reducer_params'])}"
        parts += [f"seed={v}" for k, v in parameters(row["reducer_params"]).items() if k == "seed"]
    if row["precision"] != "float32":
        parts.append(row["precision"])
    parts += [
        f"{k}={v}"
        for column in ("build_params", "search_params")
        for k, v in parameters(row[column]).items()
        if k in _SHOWN or k in told
    ]
    stages = parameters(row["stages"])
    if stages:
        parts.append(stage_label(stages))
    parts += [f"{column}={row[column]}" for column in _SETTINGS if column in told]
    return ", ".join(parts)


def stage_label(stages: dict[str, Any]) -> str:
    """Return the steps after the index's own in a few words: ``rescore 100 at 128 d from disk``."""
    words = ["own"] if stages.get("native") else []
    words += ["funnel" if stages.get("funnel") else "rescore", str(stages["shortlist"])]
    words += ["at", str(stages["dimension"]), "d"] if "dimension" in stages else []
    return " ".join(words + (["from disk"] if stages.get("vectors") == "disk" else []))


def labels(frame: pd.DataFrame) -> pd.Series:
    """Return the label of each row, text; what differs among a backend's rows is told, so that no two read alike."""
    named = pd.Series("", index=frame.index, dtype=object)
    for _, part in frame.groupby("backend", sort=False):
        differing = varying(part)
        named.loc[part.index] = [label(row, differing) for _, row in part.iterrows()]
    return named


def varying(frame: pd.DataFrame) -> set[str]:
    """Return the build and search parameters, and of `threads` and `k`, those that differ among the rows."""
    found = {column for column in _SETTINGS if frame[column].nunique() > 1}
    for column in ("build_params", "search_params"):
        values: dict[str, set[str]] = {}
        for text in frame[column].dropna().unique():
            for name, value in parameters(text).items():
                values.setdefault(name, set()).add(json.dumps(value, sort_keys=True))
        found |= {name for name, seen in values.items() if len(seen) > 1}
    return found


def variant(reducer: str, reducer_params: object) -> str:
    """Return a reducer with what was chosen of its parameters, its seed aside: ``pca``, ``pca whiten``, ``adaptor mine``."""
    chosen = {
        k: v for k, v in parameters(reducer_params).items() if k != "seed" and v not in (False, "")
    }
    words = [
        k if v is True else Path(v).name if k == "path" else f"{k}={v}" for k, v in chosen.items()
    ]
    return " ".join([reducer, *words])


def variants(frame: pd.DataFrame) -> pd.Series:
    """Return the `variant` of each row's reducer, text."""
    pairs = zip(frame["reducer"], frame["reducer_params"], strict=True)
    return pd.Series([variant(*pair) for pair in pairs], index=frame.index, dtype=object)


# Parameters that a study usually leaves at their one default say nothing in a label.
_SHOWN = {"M", "ef", "nprobe", "n_trees", "search_k"}
_SETTINGS = ("threads", "k", "clients")


def dims_text(dimensions: pd.Index | list[int]) -> str:
    """Return dimensions as words: ``16, 32 and 64 d``."""
    words = [str(d) for d in dimensions]
    return f"{', '.join(words[:-1])} and {words[-1]} d" if len(words) > 1 else f"{words[0]} d"
