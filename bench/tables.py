"""What figures, report, table and decision read off the trials: a quality, a front, a label, findings."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.study import EXACT

SYNTHETIC = "synthetic vectors: for speed and scale only"
FEW_QUERIES = 50
WORTH_SHOWING = 0.5


@dataclass(frozen=True)
class Quality:
    """The columns that hold the quality of a frame, with the bounds of their 95 % intervals."""

    column: str
    label: str

    @property
    def low(self) -> str:
        """Column of the lower bound."""
        return f"{self.column}_low"

    @property
    def high(self) -> str:
        """Column of the upper bound."""
        return f"{self.column}_high"

    @property
    def retained(self) -> str:
        """Column of the share kept of exact search at the full dimension; fidelity is such a share itself."""
        return f"retained_{self.column}" if self is NDCG else self.column

    @property
    def retained_low(self) -> str:
        """Column of that share's lower bound."""
        return f"{self.retained}_low"

    @property
    def retained_high(self) -> str:
        """Column of that share's upper bound."""
        return f"{self.retained}_high"


NDCG = Quality("ndcg_at_10", "nDCG@10")
FIDELITY = Quality("fidelity_at_10", "fidelity@10")


def quality_of(frame: pd.DataFrame) -> Quality:
    """Return nDCG@10 where there are judgements, else fidelity@10 to exact search at the full dimension."""
    return NDCG if frame["ndcg_at_10"].notna().any() else FIDELITY


def groups(frame: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Return ((dataset, encoder), its rows), in order of appearance."""
    return [(key, part) for key, part in frame.groupby(["dataset", "encoder"], sort=False, dropna=False)]


def timed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that ended ok and have a latency."""
    return frame[(frame["status"] == "ok") & frame["latency_ms_p50"].notna()]


def exact_rows(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the exact pass: quality of every reducer and dimension, no times."""
    return frame[(frame["status"] == "ok") & (frame["backend"] == EXACT)]


def pareto(frame: pd.DataFrame, maximise: list[str], minimise: list[str]) -> pd.Series:
    """Return which rows no other row beats: at least as good in every column and better in one. NaN is never optimal.

    Of rows equal in all columns the first is kept.
    """
    values = np.column_stack(
        [*(-frame[c].to_numpy(float) for c in maximise), *(frame[c].to_numpy(float) for c in minimise)]
    )
    optimal = ~np.isnan(values).any(axis=1)
    for i in np.flatnonzero(optimal):
        no_worse = (values <= values[i]).all(axis=1)
        beaten = no_worse & (values < values[i]).any(axis=1)
        copies = no_worse & ~beaten
        optimal[i] = not beaten.any() and np.flatnonzero(copies)[0] == i
    return pd.Series(optimal, index=frame.index)


def label(row: pd.Series, told: Collection[str] = ()) -> str:
    """Return a configuration in a few words: ``faiss-hnsw 64 d, M=16, ef=32``; `told` names what else to say."""
    parts = [f"{row['backend']} {row['dim']} d"]
    if row["reducer"] != "truncate":
        parts[0] += f" {row['reducer']}"
        parts += [f"{k}={v}" for k, v in parameters(row["reducer_params"]).items() if v not in (False, "")]
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
    words = ["funnel" if stages.get("funnel") else "rescore", str(stages["shortlist"])]
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


def parameters(text: object) -> dict[str, Any]:
    """Return what a column of JSON text holds; nothing where it is empty or null."""
    return json.loads(text) if isinstance(text, str) and text else {}


def two_stage(frame: pd.DataFrame) -> pd.Series:
    """Return which rows rescore a shortlist, bool."""
    return frame["stages"].fillna("") != ""


def is_synthetic(frame: pd.DataFrame) -> bool:
    """Return whether any row is of synthetic vectors."""
    return bool(frame["synthetic"].fillna(False).astype(bool).any())


# Parameters that a study usually leaves at their one default say nothing in a label.
_SHOWN = {"M", "ef", "nprobe", "n_trees", "search_k"}
_SETTINGS = ("threads", "k")


def dimension_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for one dataset and encoder, what exact search finds at each dimension.

    Index: dimension. Columns: truncate, truncate_low, truncate_high, retained, retained_low, retained_high, subset (mean
    over seeds), subset_low and subset_high (least and most over seeds), one column for each other reducer, bytes (a vector,
    float32). Columns of what was not measured are left out.
    """
    quality, exact = quality_of(frame), exact_rows(frame)
    plain = exact[exact["reducer"] == "truncate"].drop_duplicates("dim", keep="last").set_index("dim").sort_index()
    table = pd.DataFrame(
        {
            "truncate": plain[quality.column],
            "truncate_low": plain[quality.low],
            "truncate_high": plain[quality.high],
            "retained": plain[quality.retained],
            "retained_low": plain[quality.retained_low],
            "retained_high": plain[quality.retained_high],
        }
    )
    subsets = exact[exact["reducer"] == "random_subset"].groupby("dim")[quality.column]
    if len(subsets):
        table["subset"], table["subset_low"], table["subset_high"] = subsets.mean(), subsets.min(), subsets.max()
    for reducer, part in exact[~exact["reducer"].isin(["truncate", "random_subset"])].groupby("reducer", sort=False):
        table[reducer] = part.groupby("dim")[quality.column].mean()
    table["bytes"] = table.index * 4
    return table


def other_reducers(table: pd.DataFrame) -> list[str]:
    """Return the reducers of a `dimension_table` besides truncate and random_subset."""
    fixed = ("truncate", "retained", "subset")
    return [c for c in table.columns if not c.startswith(fixed) and c != "bytes"]


def findings(frame: pd.DataFrame) -> list[str]:
    """Return what the numbers say, a sentence each, for one dataset and encoder; what a careful reviewer would raise first."""
    return [
        *_caveats(frame),
        *_training(frame),
        *_curve(frame),
        *_speed(frame),
        *_encoding(frame),
        *_failures(frame),
    ]


def _caveats(frame: pd.DataFrame) -> list[str]:
    found = []
    if is_synthetic(frame):
        found.append(f"{SYNTHETIC[0].upper()}{SYNTHETIC[1:]}: they have no relevance and no prefix structure.")
    queries = frame["n_queries"].min()
    found += list(dict.fromkeys(_sentence(n) for n in "\n".join(frame["notes"].dropna()).splitlines() if n))
    if queries < FEW_QUERIES:
        found.append(f"Only {queries} queries: the intervals are wide, and differences smaller than them mean nothing.")
    samples = frame[["dataset_fingerprint", "n_queries"]].drop_duplicates()
    if len(samples) > 1:
        found.append(
            f"{len(samples)} different versions or query samples of this dataset are mixed in this table: their figures are not comparable."
        )
    return found


def _sentence(note: str) -> str:
    return f"{note[0].upper()}{note[1:].rstrip('.')}."


def _training(frame: pd.DataFrame) -> list[str]:
    """Say whether truncation is better than the baselines that need no Matryoshka training."""
    if is_synthetic(frame):
        return []
    quality, table = quality_of(frame), dimension_table(frame)
    below = table[(table.index < frame["full_dim"].max()) & table["truncate"].notna()]
    return [*_against_subsets(below), *_against_pca(below, quality)]


def _against_subsets(below: pd.DataFrame) -> list[str]:
    known = below.dropna(subset="subset") if "subset" in below else below.iloc[:0]
    if known.empty:
        return []
    gain = (known["truncate"] / known["subset"] - 1).replace([np.inf, -np.inf], np.nan).dropna()
    extent = f" ({gain.min():+.1%} to {gain.max():+.1%} against their mean)" if len(gain) else ""
    inside = known[known["truncate"] <= known["subset_high"]]
    if inside.empty:
        return [
            f"Truncation beats every random subset of as many coordinates at each dimension measured below the full one{extent}."
        ]
    return [
        f"At {dims_text(inside.index)} truncation is no better than the best of the random subsets of as many coordinates"
        f"{extent.replace('mean)', 'mean over all dimensions)')}: there the vectors do not look Matryoshka-trained."
    ]


def _against_pca(below: pd.DataFrame, quality: Quality) -> list[str]:
    known = below.dropna(subset="pca") if "pca" in below else below.iloc[:0]
    if known.empty:
        return []
    better = known[known["pca"] > known["truncate"]]
    if better.empty:
        return ["Truncation is at least as good as PCA at every dimension measured below the full one."]
    gain = (better["pca"] - better["truncate"]).max()
    return [
        f"PCA is better than truncation at {dims_text(better.index)}, by up to {gain:.3f} {quality.label}, with no training."
    ]


def _curve(frame: pd.DataFrame) -> list[str]:
    table = dimension_table(frame)
    found = []
    falls = [
        f"{a} → {b} d"
        for (a, left), (b, right) in zip(table.iloc[:-1].iterrows(), table.iloc[1:].iterrows(), strict=True)
        if right["truncate_high"] < left["truncate_low"]
    ]
    if falls:
        found.append(f"The curve is not monotonic beyond its intervals: quality falls from {', '.join(falls)}.")
    # At the full dimension the ratio is one but for the last digits of a mean.
    better = table[(table["retained_low"] > 1 + 1e-9) & (table.index < frame["full_dim"].max())]
    if len(better):
        found.append(
            f"Truncation *improves* quality significantly at {dims_text(better.index)}: explain this before it is used; the full vectors "
            "may carry something harmful, or the queries be few and alike."
        )
    return found


def _speed(frame: pd.DataFrame) -> list[str]:
    """Say what a shorter vector wins with each backend, at the same build and search parameters.

    The shorter vector is the shortest that keeps `WORTH_SHOWING` of the quality: that an unusable one is fast says nothing.
    """
    single = timed(frame)
    single = single[~two_stage(single) & (single["reducer"] == "truncate") & (single["precision"] == "float32")]
    least = _shortest_usable(frame)
    found = []
    for backend, part in single.groupby("backend", sort=False):
        part = part[part["dim"] >= least]
        short, full = part["dim"].min(), part["dim"].max()
        settings = [c for c in ("build_params", "search_params", "threads", "k") if part[c].notna().all()]
        pairs = part[part["dim"] == short].merge(part[part["dim"] == full], on=settings, suffixes=("", "_full"))
        if pairs.empty or short == full:
            continue
        faster = float((pairs["latency_ms_p50_full"] / pairs["latency_ms_p50"]).median())
        smaller = float((pairs["bytes_per_vector_full"] / pairs["bytes_per_vector"]).median())
        found.append(
            f"{backend}: {full} → {short} d is {full / short:.2g}× fewer numbers a vector, {smaller:.2g}× fewer bytes with the index, "
            f"and {_times(faster)} at the same settings{': less than in proportion' if 0.95 <= faster < 0.6 * full / short else ''}."
        )
    return found


def _shortest_usable(frame: pd.DataFrame) -> float:
    table = dimension_table(frame)
    usable = table.index[table["retained"] >= WORTH_SHOWING]
    return usable.min() if len(usable) else 0


def _times(faster: float) -> str:
    if faster < 0.95:
        return f"{1 / faster:.2g}× slower"
    return f"{faster:.2g}× faster" if faster > 1.05 else "no faster"


def _encoding(frame: pd.DataFrame) -> list[str]:
    encode, search = timed(frame)["encode_ms_p50"].median(), front(frame)["latency_ms_p50"].median()
    if pd.isna(encode) or not search > 0:
        return []
    return [
        f"Encoding a query takes {encode:.3f} ms, {encode / search:.2g}× the median search on the Pareto front: an application waits for both."
    ]


def _failures(frame: pd.DataFrame) -> list[str]:
    bad = frame[~frame["status"].isin(["ok", "pruned"])]
    return [
        f"{len(part)} {'trial' if len(part) == 1 else 'trials'} ended as {status.replace('_', ' ')}, the first: "
        f"{label(part.iloc[0])}: {part.iloc[0]['error'] or 'no error recorded'}"
        for status, part in bad.groupby("status")
    ]


def dims_text(dimensions: pd.Index | list[int]) -> str:
    """Return dimensions as words: ``16, 32 and 64 d``."""
    words = [str(d) for d in dimensions]
    return f"{', '.join(words[:-1])} and {words[-1]} d" if len(words) > 1 else f"{words[0]} d"


def front(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the configurations that none beats in quality, median latency and bytes a vector at once, fastest first."""
    rows = timed(frame)
    best = rows[pareto(rows, [quality_of(frame).column], ["latency_ms_p50", "bytes_per_vector"])]
    return best.sort_values(["latency_ms_p50", "trial_id"], kind="stable")


def evenly(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most `most` rows, evenly spread, first and last included."""
    if len(rows) <= most:
        return rows
    return rows.iloc[[round(i * (len(rows) - 1) / (most - 1)) for i in range(most)]]


def worth_showing(best: pd.DataFrame) -> pd.DataFrame:
    """Leave out the front's fast end that keeps less than `WORTH_SHOWING` of the quality, unless nothing keeps more."""
    shown = best[best[quality_of(best).retained] >= WORTH_SHOWING]
    return shown if len(shown) else best
