"""What figures, report, table and decision read off the trials: a quality, a front, a label, tables of their own."""

from __future__ import annotations

import pandas as pd

from bench.analysis.labels import labels, variants
from bench.results.rows import exact_rows, pareto, quality_of, timed, two_stage

SYNTHETIC = "synthetic vectors: for speed and scale only"
FEW_QUERIES = 50
WORTH_SHOWING = 0.5


def dimension_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return, for one dataset and encoder, what exact search finds at each dimension.

    Index: dimension. Columns: truncate, truncate_low, truncate_high, retained, retained_low, retained_high, subset (mean
    over seeds), subset_low and subset_high (least and most over seeds), one column for each other reducer and choice of its
    parameters (the mean over seeds), bytes (a vector, float32). Columns of what was not measured are left out.
    """
    quality, exact = quality_of(frame), exact_rows(frame)
    plain = (
        exact[exact["reducer"] == "truncate"]
        .drop_duplicates("dim", keep="last")
        .set_index("dim")
        .sort_index()
    )
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
        table["subset"], table["subset_low"], table["subset_high"] = (
            subsets.mean(),
            subsets.min(),
            subsets.max(),
        )
    others = exact[~exact["reducer"].isin(["truncate", "random_subset"])]
    for variant, part in others.groupby(variants(others), sort=False):
        table[variant] = part.groupby("dim")[quality.column].mean()
    table["bytes"] = table.index * 4
    return table


def other_reducers(table: pd.DataFrame) -> list[str]:
    """Return the reducers of a `dimension_table` besides truncate and random_subset."""
    fixed = ("truncate", "retained", "subset")
    return [c for c in table.columns if not c.startswith(fixed) and c != "bytes"]


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


BITS = {
    "float32": 32,
    "float16": 16,
    "bfloat16": 16,
    "int8": 8,
    "int4": 4,
    "binary": 1,
    "binary_asymmetric": 1,
}
"""Bits of a component at a precision whose size does not depend on the index."""
LEVELS = (0.90, 0.95, 0.98, 0.99)
"""Shares of the full dimension's quality at which latencies are compared."""


def stored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what exhaustive search finds at each reducer, dimension and precision, for one dataset and encoder.

    One row each: variant, dim, precision, bytes (of the components alone), quality, low, high (of the 95 % interval),
    retained. float32 is of the exact pass; a lower precision of the timed single-stage trials, what the index missed added
    back (so there is none without judgements, but of exhaustive indexes).
    """
    quality, exact = quality_of(frame), exact_rows(frame)
    rows = timed(frame)
    rows = rows[
        ~two_stage(rows)
        & rows["precision"].isin(set(BITS) - {"float32"})
        & rows["loss_search"].notna()
    ]
    both = pd.concat([exact, rows])
    # One row for each: the one that searched most nearly in full.
    both = both.assign(variant=variants(both), missed=both["loss_search"].fillna(0).abs())
    both = both.sort_values("missed", kind="stable").drop_duplicates(
        ["variant", "dim", "precision", "reducer_params"]
    )
    added = both["loss_search"].fillna(0)
    full = frame.loc[exact.index[exact["dim"] == exact["full_dim"]], quality.column]
    table = pd.DataFrame(
        {
            "variant": both["variant"],
            "dim": both["dim"],
            "precision": both["precision"],
            "bytes": both["dim"] * both["precision"].map(BITS) / 8,
            "quality": both[quality.column] + added,
            "low": both[quality.low] + added,
            "high": both[quality.high] + added,
        }
    )
    plain = table[(table["variant"] == "truncate") & (table["precision"] == "float32")].set_index(
        "dim"
    )["quality"]
    table["retained"] = table["quality"] / (
        plain.get(frame["full_dim"].max(), float("nan")) if len(full) else float("nan")
    )
    return table.sort_values(["variant", "precision", "dim"]).reset_index(drop=True)


def savings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return what several stages save at equal quality, for one dataset and encoder.

    One row for each backend and reducer that were measured in one stage and in several, and each of `LEVELS` that both
    reach: backend, variant, level, single_ms and multi_ms (median latency of the fastest that keeps so much), saving (a share; negative where several
    stages are slower), single and multi (labels). Vectors on disk are left aside: their latency is the disk's.
    """
    quality, rows, told = quality_of(frame), timed(frame), labels(frame)
    rows = rows[~rows["stages"].fillna("").str.contains('"disk"', regex=False)]
    found = []
    for (backend, kind_of_reducer), part in rows.groupby(["backend", variants(rows)], sort=False):
        for level in LEVELS:
            kept = part[part[quality.retained] >= level]
            kinds = [kept[~two_stage(kept)], kept[two_stage(kept)]]
            if all(len(kind) for kind in kinds):
                single, multi = (kind.loc[kind["latency_ms_p50"].idxmin()] for kind in kinds)
                times = {"single_ms": single["latency_ms_p50"], "multi_ms": multi["latency_ms_p50"]}
                saving = 1 - times["multi_ms"] / times["single_ms"]
                names = {"single": told[single.name], "multi": told[multi.name]}
                where = {"backend": backend, "variant": kind_of_reducer, "level": level}
                found.append({**where, **times, "saving": saving, **names})
    return pd.DataFrame(
        found,
        columns=[
            "backend",
            "variant",
            "level",
            "single_ms",
            "multi_ms",
            "saving",
            "single",
            "multi",
        ],
    )
