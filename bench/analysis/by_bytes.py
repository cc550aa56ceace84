"""The best way to store a vector in a given number of bytes, with a figure that is not flattered.

The best of many is partly the luckiest. So each choice is scored on queries that did not choose:
the queries are split into parts, each part is searched with what the others find best, and the
scores of all parts are joined. The configuration that is named is the choice of all queries.
Source: cross-validation of a selection, Varma & Simon 2006.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty
from bench.analysis.labels import variants
from bench.analysis.text_table import Table, interval, number
from bench.encoders._names import in_words
from bench.quality.intervals import Bootstrap
from bench.reducers import LEARNED, PLAIN
from bench.results.rows import single_stage

BUDGETS = (16, 32, 64, 128, 256, 512, 1024)
"""Bytes per vector."""
PARTS = 5
"""Parts of the queries, each searched with what the others choose."""


def best_by_bytes(
    frame: pd.DataFrame, certainty: Certainty, budgets: Sequence[int] = BUDGETS
) -> pd.DataFrame:
    """Return the best stored vector of at most each number of bytes, by model.

    `frame` holds the trials of one dataset and encoder. Columns: model (the learned map, empty for
    the encoder as it is), budget (bytes), trial_id, variant (of the reducer), dim, precision, bytes
    (of the stored vector), quality (of choosing and searching, cross-validated), low, high (its
    95 % interval over queries, the choices being given), kept (share of exact search at the full
    dimension). Search is exhaustive and in one stage. A budget that no vector fits has no row.
    """
    columns = ["model", "budget", "trial_id", "variant", "dim", "precision", "bytes"]
    columns += ["quality", "low", "high", "kept"]
    rows = single_stage(frame[frame["status"] == "ok"])
    known = np.array([certainty.has(trial) for trial in rows["trial_id"]], dtype=bool)
    rows = rows[rows["code_bytes"].notna() & known]
    if rows.empty or not certainty.n_queries:
        return pd.DataFrame(columns=columns)
    rows = rows.assign(variant=variants(rows))
    parts = parts_of(certainty)
    bootstrap = Bootstrap(certainty.n_queries, groups=certainty.groups)
    found = []
    for model, own in _models(rows):
        values = certainty.values(own["trial_id"])
        for budget in budgets:
            fits = np.flatnonzero(own["code_bytes"].to_numpy() <= budget)
            if not len(fits):
                continue
            by_query = cross_validated(values[fits], parts)
            quality, low, high = bootstrap.mean(by_query)
            best = own.iloc[fits[int(values[fits].mean(axis=1).argmax())]]
            found.append(
                {
                    "model": model,
                    "budget": budget,
                    **best[["trial_id", "variant", "dim", "precision"]].to_dict(),
                    "bytes": float(best["code_bytes"]),
                    "quality": quality,
                    "low": low,
                    "high": high,
                    "kept": quality / certainty.full.mean() if certainty.full.any() else np.nan,
                }
            )
    return pd.DataFrame(found, columns=columns)


def by_bytes(title: str, found: Sequence[tuple[str, pd.DataFrame]]) -> Table:
    """Return the best stored vectors of some models, a row per model and number of bytes.

    `found` holds encoders with what `best_by_bytes` returns for them.
    """
    rows: list[tuple[str, ...]] = []
    for encoder, table in found:
        for _, row in table.sort_values(["model", "budget"], kind="stable").iterrows():
            words = [str(row[name]).replace("_", " ") for name in ("precision", "variant")]
            cells = (
                f"≤ {row['budget']:,}",
                interval(row["quality"], row["low"], row["high"]),
                number(100 * row["kept"], ".1f"),
                str(row["dim"]),
                *(["", word][word != PLAIN] for word in words),
            )
            named = ", ".join(filter(None, [in_words(encoder), row["model"]]))
            rows.append((named, *cells))
    headings = ("model", "bytes", "quality [95 %]", "keeps %", "d", "stored as", "reducer")
    return Table(title, headings, rows)


def _models(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of the encoder as it is, then those of each learned map."""
    is_learned = rows["reducer_kind"] == LEARNED
    if not is_learned.all():
        yield "", rows[~is_learned]
    for variant, own in rows[is_learned].groupby("variant", sort=False):
        yield str(variant), own


def parts_of(certainty: Certainty) -> np.ndarray:
    """Return the part of each query, (q,) int64; queries of one group are in one part."""
    names = np.asarray(certainty.query_ids if certainty.groups is None else certainty.groups)
    units, unit = np.unique(names, return_inverse=True)
    order = np.random.default_rng(0).permutation(len(units))
    return np.asarray(order[unit] % PARTS)


def cross_validated(values: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return the quality of each query with what the other parts choose, (K, q) → (q,) float64.

    `parts` (q,) is that of each query (`parts_of`).
    """
    found = np.empty(values.shape[1])
    for part in np.unique(parts):
        inside = parts == part
        others = values[:, ~inside] if not inside.all() else values
        found[inside] = values[others.mean(axis=1).argmax(), inside]
    return found
