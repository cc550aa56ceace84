"""What figures, report, table and decision read off the trials: a quality, a front, a label, findings."""

from __future__ import annotations

import json
from dataclasses import dataclass

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


def label(row: pd.Series) -> str:
    """Return a configuration in a few words: ``faiss-hnsw 64 d, M=16, ef=32``."""
    parts = [f"{row['backend']} {row['dim']} d"]
    if row["reducer"] != "truncate":
        parts[0] += f" {row['reducer']}"
        parts += [f"{k}={v}" for k, v in _parameters(row["reducer_params"]).items() if v is not False]
    if row["precision"] != "float32":
        parts.append(row["precision"])
    parts += [
        f"{k}={v}"
        for column in ("build_params", "search_params")
        for k, v in _parameters(row[column]).items()
        if k in _SHOWN
    ]
    stages = _parameters(row["stages"])
    if stages:
        parts.append(f"rescore {stages['shortlist']}")
    return ", ".join(parts)


# Parameters that a study usually leaves at their one default say nothing in a label.
_SHOWN = {"M", "ef", "nprobe", "n_trees", "search_k"}


def _parameters(text: str) -> dict[str, object]:
    return json.loads(text) if text else {}


def dimension_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for one dataset and encoder, what exact search finds at each dimension.

    Index: dimension. Columns: truncate, truncate_low, truncate_high, retained, retained_low, retained_high, subset (mean
    over seeds), subset_low and subset_high (least and most over seeds), one column for each other reducer, bytes (a vector,
    float32). Columns of what was not measured are left out.
    """
    quality, exact = quality_of(frame), exact_rows(frame)
    plain = exact[exact["reducer"] == "truncate"].drop_duplicates("dim").set_index("dim").sort_index()
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
    if frame["synthetic"].fillna(False).astype(bool).any():
        found.append(f"{SYNTHETIC[0].upper()}{SYNTHETIC[1:]}: they have no relevance and no prefix structure.")
    queries = frame["n_queries"].min()
    if queries < FEW_QUERIES:
        found.append(f"Only {queries} queries: the intervals are wide, and differences smaller than them mean nothing.")
    return found


def _training(frame: pd.DataFrame) -> list[str]:
    """Say whether truncation is better than the baselines that need no Matryoshka training."""
    if frame["synthetic"].fillna(False).astype(bool).any():
        return []
    quality, table = quality_of(frame), dimension_table(frame)
    below = table[table.index < frame["full_dim"].max()]
    found = []
    if "subset" in below and len(below):
        above = below[below["truncate"] > below["subset_high"]].index
        gain = (below["truncate"] / below["subset"] - 1).replace([np.inf, -np.inf], np.nan)
        extent = f"{gain.min():+.1%} to {gain.max():+.1%} against their mean"
        if len(above) == len(below):
            found.append(
                f"Truncation beats every random subset of as many coordinates at each dimension below the full one ({extent})."
            )
        else:
            where = _dims([d for d in below.index if d not in set(above)])
            found.append(
                f"At {where} truncation is no better than the best of the random subsets of as many coordinates ({extent} over all "
                "dimensions): there the vectors do not look Matryoshka-trained."
            )
    if "pca" in below and len(below):
        better = below[below["pca"] > below["truncate"]]
        if len(better):
            gain = (better["pca"] - better["truncate"]).max()
            found.append(
                f"PCA is better than truncation at {_dims(better.index)}, by up to {gain:.3f} {quality.label}, with no training."
            )
        else:
            found.append("Truncation is at least as good as PCA at every dimension.")
    return found


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
    better = table[table["retained_low"] > 1]
    if len(better):
        found.append(
            f"Truncation *improves* quality significantly at {_dims(better.index)}: explain this before it is used; the full vectors "
            "may carry something harmful, or the queries be few and alike."
        )
    return found


def _speed(frame: pd.DataFrame) -> list[str]:
    """Say what a shorter vector wins with each backend, at the same build and search parameters."""
    single = timed(frame)
    single = single[(single["stages"] == "") & (single["reducer"] == "truncate")]
    found = []
    for backend, part in single.groupby("backend", sort=False):
        wins = []
        for _, same in part.groupby(["build_params", "search_params", "threads", "k"]):
            least, most = same.loc[same["dim"].idxmin()], same.loc[same["dim"].idxmax()]
            if least["dim"] < most["dim"]:
                wins.append((most["dim"], least["dim"], most["latency_ms_p50"] / least["latency_ms_p50"]))
        if not wins:
            continue
        most_dim, least_dim = wins[0][0], wins[0][1]
        ratio = float(np.median([win[2] for win in wins]))
        shorter = most_dim / least_dim
        verdict = "most of what fewer bytes promise" if ratio > 0.6 * shorter else "less than fewer bytes promise"
        found.append(
            f"{backend}: {most_dim} → {least_dim} d is {shorter:.0f}× fewer bytes a vector and {ratio:.2g}× the speed: {verdict}."
        )
    return found


def _encoding(frame: pd.DataFrame) -> list[str]:
    rows = timed(frame)
    encode = rows["encode_ms_p50"].median()
    if pd.isna(encode):
        return []
    search = front(frame)["latency_ms_p50"].median()
    return [
        f"Encoding a query takes {encode:.3f} ms, {encode / search:.2g}× the median search on the Pareto front: an application waits for both."
    ]


def _failures(frame: pd.DataFrame) -> list[str]:
    bad = frame[frame["status"] != "ok"]
    return [
        f"{len(part)} trials ended as {status.replace('_', ' ')}, the first: {label(part.iloc[0])}: {part.iloc[0]['error']}"
        for status, part in bad.groupby("status")
    ]


def _dims(dimensions: pd.Index | list[int]) -> str:
    words = [str(d) for d in dimensions]
    return f"{', '.join(words[:-1])} and {words[-1]} d" if len(words) > 1 else f"{words[0]} d"


def front(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the configurations that none beats in quality, median latency and bytes a vector at once, fastest first."""
    rows = timed(frame)
    best = rows[pareto(rows, [quality_of(frame).column], ["latency_ms_p50", "bytes_per_vector"])]
    return best.sort_values(["latency_ms_p50", "trial_id"], kind="stable")


def worth_showing(best: pd.DataFrame) -> pd.DataFrame:
    """Leave out the front's fast end that keeps less than `WORTH_SHOWING` of the quality, unless nothing keeps more."""
    shown = best[best[quality_of(best).retained] >= WORTH_SHOWING]
    return shown if len(shown) else best
