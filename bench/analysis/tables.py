"""Views of the trials of one dataset and encoder, shared by figures, reports and findings."""

from __future__ import annotations

import pandas as pd

from bench.analysis.labels import labels, variants
from bench.reducers import PREFIX
from bench.results.rows import (
    UNCOMPRESSED,
    compressed,
    exact_rows,
    exhaustive_rows,
    from_disk,
    pareto,
    plain,
    quality_of,
    single_stage,
    timed,
    two_stage,
    with_texts,
)

SYNTHETIC = "synthetic vectors: for speed and scale only"
FEW_QUERIES = 50
WORTH_SHOWING = 0.5
"""Share of the quality below which a configuration is not worth a line."""
MOST_PRECISIONS = 10
"""Precisions that one chart tells apart."""
LEVELS = (0.90, 0.95, 0.98, 0.99)
"""Shares of the full dimension's quality at which latencies are compared."""


def dimension_table(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the quality of exact search, one row per reducer and dimension.

    Columns: variant (a reducer with its chosen parameters), kind (of the reducer), dim, quality,
    low and high (95 % interval; the least and the most if there are several seeds), seeds,
    retained, retained_low, retained_high (shares kept; empty if there are several seeds), bytes
    (per float32 vector), trial_id (of the last seed). Truncation comes first, then the others in
    order of appearance, by dimension.
    """
    quality, exact = quality_of(frame), exact_rows(frame)
    rows = pd.DataFrame(
        {
            "variant": variants(exact),
            "kind": exact["reducer_kind"],
            "dim": exact["dim"],
            "seed": exact["reducer_params"].fillna(""),
            "quality": exact[quality.column],
            "low": exact[quality.low],
            "high": exact[quality.high],
            "retained": exact[quality.retained],
            "retained_low": exact[quality.retained_low],
            "retained_high": exact[quality.retained_high],
            "trial_id": exact["trial_id"],
        }
    ).drop_duplicates(["variant", "dim", "seed"], keep="last")
    found = []
    for (variant, kind, dim), part in rows.groupby(["variant", "kind", "dim"], sort=False):
        several, one = len(part) > 1, part.iloc[0]
        found.append(
            {
                "variant": variant,
                "kind": kind,
                "dim": dim,
                "quality": part["quality"].mean(),
                "low": part["quality"].min() if several else one["low"],
                "high": part["quality"].max() if several else one["high"],
                "seeds": len(part),
                **{
                    name: float("nan") if several else one[name]
                    for name in ("retained", "retained_low", "retained_high")
                },
                "bytes": dim * 4,
                "trial_id": part["trial_id"].iloc[-1],
            }
        )
    table = pd.DataFrame(found, columns=_DIMENSION_COLUMNS)
    order = {name: i for i, name in enumerate(table["variant"].unique())}
    first = table["kind"].ne(PREFIX), table["variant"].map(order)
    table = table.assign(first=first[0], order=first[1])
    table = table.sort_values(["first", "order", "dim"], kind="stable")
    return table.drop(columns=["first", "order"]).reset_index(drop=True)


_DIMENSION_COLUMNS = [
    "variant",
    "kind",
    "dim",
    "quality",
    "low",
    "high",
    "seeds",
    "retained",
    "retained_low",
    "retained_high",
    "bytes",
    "trial_id",
]


def subset_band(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the quality of random subsets by dimension: median, low and high (95 % of them).

    They were scored on a sample of queries and documents, as truncation was for that. Their ratios
    to truncation there are drawn from its quality on all. Empty if none was drawn.
    """
    rows = plain(exact_rows(frame)).drop_duplicates("dim", keep="last")
    rows = rows[rows["subsets"].fillna(0) > 0].set_index("dim").sort_index()
    whole = rows[quality_of(frame).column] / rows["subsets_quality"]
    return pd.DataFrame(
        {name: rows[f"subsets_{name}"] * whole for name in ("median", "low", "high")}
    )


def truncation(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of plain truncation in a `dimension_table`, by dimension."""
    return table[table["kind"] == PREFIX].set_index("dim")


def curves(table: pd.DataFrame, *kinds: str) -> dict[str, pd.DataFrame]:
    """Return each variant of the given kinds (all but truncation if none), by dimension."""
    rows = table[table["kind"].isin(kinds) if kinds else table["kind"] != PREFIX]
    return {
        str(variant): part.set_index("dim") for variant, part in rows.groupby("variant", sort=False)
    }


def front(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the configurations undominated in quality, median latency and bytes, fastest first."""
    rows = timed(frame)
    best = rows[pareto(rows, [quality_of(frame).column], ["latency_ms_p50", "bytes_per_vector"])]
    return best.sort_values(["latency_ms_p50", "trial_id"], kind="stable")


def evenly(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return at most `most` rows, evenly spread, first and last included."""
    if len(rows) <= most:
        return rows
    return rows.iloc[[round(i * (len(rows) - 1) / max(1, most - 1)) for i in range(most)]]


def worth_showing(best: pd.DataFrame) -> pd.DataFrame:
    """Drop configurations that keep less than `WORTH_SHOWING`, unless all do."""
    shown = best[best[quality_of(best).retained] >= WORTH_SHOWING]
    return shown if len(shown) else best


def stored(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the quality of exhaustive search, one row per reducer, dimension and precision.

    Columns: variant, kind, dim, precision, bits (per component), bytes (of one stored vector),
    quality, low, high (95 % interval; empty where an index's misses are added back), retained.
    It comes from the rows of quality alone. A lower precision without one comes from timed
    single-stage trials, with what the index missed added back; so without judgements only
    exhaustive indexes count.
    """
    quality, exact = quality_of(frame), exhaustive_rows(frame)
    rows = single_stage(timed(frame))
    rows = rows[compressed(rows) & rows["loss_search"].notna()]
    both = pd.concat([exact, rows])
    # One row per pair: the one that searched most nearly in full.
    both = both.assign(variant=variants(both), missed=both["loss_search"].fillna(0).abs())
    both = both.sort_values("missed", kind="stable")
    both = both.drop_duplicates(["variant", "dim", "precision", "reducer_params"])
    added = both["loss_search"].fillna(0)
    # What is added back has an error of its own, so those figures have no interval.
    measured = added.abs() < 1e-12
    table = pd.DataFrame(
        {
            "variant": both["variant"],
            "kind": both["reducer_kind"],
            "dim": both["dim"],
            "precision": both["precision"],
            "bits": both["component_bits"],
            "bytes": both["code_bytes"].fillna(both["dim"] * both["component_bits"] / 8),
            "quality": both[quality.column] + added,
            "low": both[quality.low].where(measured),
            "high": both[quality.high].where(measured),
        }
    )
    of = table[(table["kind"] == PREFIX) & (table["precision"] == UNCOMPRESSED)].set_index("dim")
    table["retained"] = table["quality"] / of["quality"].get(frame["full_dim"].max(), float("nan"))
    return table.sort_values(["variant", "precision", "dim"]).reset_index(drop=True)


def competitive(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `stored` at float32 and the precisions that come nearest to the best.

    At most `MOST_PRECISIONS` are kept. A precision is judged by how far its vectors fall behind the
    best of as many bytes or fewer, in the mean.
    """
    if table["precision"].nunique() <= MOST_PRECISIONS:
        return table
    ordered = table.sort_values(["bytes", "quality"], kind="stable")
    behind = ordered.groupby("bytes")["quality"].transform("max").cummax() - ordered["quality"]
    mean = behind.groupby(ordered["precision"]).mean()
    mean[UNCOMPRESSED] = -1.0
    kept = mean.sort_values(kind="stable").index[:MOST_PRECISIONS]
    return table[table["precision"].isin(kept)]


def savings(frame: pd.DataFrame) -> pd.DataFrame:
    """Return time saved by several stages, one row per backend, reducer and quality level.

    Columns: backend, variant, kind, level (one of `LEVELS` that both reach), single_ms and
    multi_ms (median latency of the fastest whose own interval is above the level), saving (a share;
    negative if several stages are slower), single and multi (labels). Vectors on disk are left out:
    their latency is the disk's. So are stages that read texts: their quality is another's.
    """
    quality, rows = quality_of(frame), timed(frame)
    rows = rows[~from_disk(rows) & ~with_texts(rows)]
    rows = rows[["backend", "reducer_kind", "latency_ms_p50", quality.retained_low]].assign(
        variant=variants(rows), several=two_stage(rows)
    )
    found = []
    for (backend, variant, kind), part in rows.groupby(
        ["backend", "variant", "reducer_kind"], sort=False
    ):
        for level in LEVELS:
            kept = part[part[quality.retained_low] >= level]
            sides = [kept[~kept["several"]], kept[kept["several"]]]
            if not all(len(side) for side in sides):
                continue
            single, multi = (side.loc[side["latency_ms_p50"].idxmin()] for side in sides)
            found.append(
                {
                    "backend": backend,
                    "variant": variant,
                    "kind": kind,
                    "level": level,
                    "single_ms": single["latency_ms_p50"],
                    "multi_ms": multi["latency_ms_p50"],
                    "saving": 1 - multi["latency_ms_p50"] / single["latency_ms_p50"],
                    "single": single.name,
                    "multi": multi.name,
                }
            )
    columns = [
        "backend",
        "variant",
        "kind",
        "level",
        "single_ms",
        "multi_ms",
        "saving",
        "single",
        "multi",
    ]
    table = pd.DataFrame(found, columns=columns)
    named = labels(frame, pd.Index([*table["single"], *table["multi"]]))
    return table.assign(single=table["single"].map(named), multi=table["multi"].map(named))


def usable_dimension(frame: pd.DataFrame) -> float:
    """Return the shortest dimension at which truncation keeps `WORTH_SHOWING`; 0 if unknown."""
    table = truncation(dimension_table(frame))
    usable = table.index[table["retained"] >= WORTH_SHOWING]
    return usable.min() if len(usable) else 0


def plain_trials(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the timed single-stage float32 trials of truncated vectors."""
    rows = plain(single_stage(timed(frame)))
    return rows[rows["precision"] == UNCOMPRESSED]


def equal_quality(frame: pd.DataFrame, kept: pd.DataFrame) -> pd.DataFrame:
    """Return the fastest and the smallest configuration at equal quality.

    `kept` holds the bounds of the timed rows (`Certainty.kept`). One row per level of `LEVELS`,
    backend and dimension of which a configuration is shown to keep so much. Columns: level,
    backend, dim, and the row labels of the `fastest` (lowest median latency) and the `smallest`
    (fewest bytes per vector, then fastest) in `frame`.
    """
    rows = timed(frame)[["backend", "dim", "bytes_per_vector", "latency_ms_p50"]]
    found = []
    for level in LEVELS:
        shown = rows[(kept["low"].reindex(rows.index) >= level).to_numpy()]
        for (backend, dim), part in shown.groupby(["backend", "dim"], sort=False):
            by_size = part.sort_values(["bytes_per_vector", "latency_ms_p50"], kind="stable")
            found.append(
                {
                    "level": level,
                    "backend": backend,
                    "dim": dim,
                    "fastest": part["latency_ms_p50"].idxmin(),
                    "smallest": by_size.index[0],
                }
            )
    table = pd.DataFrame(found, columns=["level", "backend", "dim", "fastest", "smallest"])
    return table.sort_values(["backend", "dim", "level"], ignore_index=True)
