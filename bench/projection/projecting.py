"""Quality of exact search, and the share kept, in corpora of other sizes.

Up to the size measured it is the expectation over random parts of the corpus (`nested`), beyond it
the projection of `score_model`. A results folder suffices: no vectors are read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bench.errors import UsageError
from bench.projection.nested import MEASURES, Ranks, expected
from bench.projection.reading import Judged, judged
from bench.projection.score_model import grown
from bench.quality.intervals import Bootstrap
from bench.reducers import PREFIX
from bench.results.rows import UNCOMPRESSED, exhaustive_rows

COLUMNS = (
    "dataset",
    "encoder",
    "reducer",
    "reducer_params",
    "dim",
    "precision",
    "documents",
    "quality",
    "quality_low",
    "quality_high",
    "kept",
    "kept_low",
    "kept_high",
    "times_beyond",
    "refused",
    "caution",
    "trial_id",
)
"""Columns of what `project` returns."""
_SETTING, _FIGURES = COLUMNS[:6], COLUMNS[7:13]
MOST_TIMES = 100
"""Two decades: the farthest that the errors were measured, and are still of use."""
LEAST_QUERIES = 50
LEAST_DOCUMENTS = 1_000
"""The projection is checked on a tenth of the corpus, which a smaller one hardly has."""
MOST_MISSED = 0.3
"""A fit to a tenth of the corpus that misses by more, in probits, is not believed."""
_ERROR = 0.08
"""Least standard error of the model per decade, in probits of quality."""
_SHARE_ERROR = 0.12
"""Least standard error per decade of the distance to the full dimension, as a part of it."""
_LEAST_SHARE_ERROR = 0.01
_Z = 1.96
_NEARLY = 1e-6
_CAUTION = (
    "{times:,.3g} times the {documents:,} documents measured, which takes those added to be like "
    "them. Near-copies of the answers, which large collections of short texts have, make it "
    "optimistic. A fit to a tenth of the corpus {missed} the quality measured by {points:.1f} "
    "points."
)


def project(
    frame: pd.DataFrame,
    queries: pd.DataFrame,
    documents: Sequence[int],
    measure: str = "ndcg_at_10",
) -> pd.DataFrame:
    """Return what each row of quality alone in `frame` finds in corpora of `documents`.

    `frame` is that of `bench.load`, `queries` that of `bench.load_queries` (or of
    `bench.results.store.load_relevant`); `measure` is one of `nested.MEASURES`. One row per
    reducer, dimension, precision and size, with the columns `COLUMNS`: quality and the share of
    the full dimension's in float32 that is kept, each with the bounds of its 95 % interval, and how
    many times the corpus measured is exceeded. Up to that size the bounds are those of the queries.
    Beyond, they also hold how wrong the model is: at least by what a fit to a tenth of the corpus
    was wrong, per decade. `refused` says why there is no figure, `caution` what one beyond the data
    rests on. Raises UsageError for a size below 1 and an unknown measure.
    """
    if not len(documents) or any(n < 1 for n in documents):
        raise UsageError("a corpus to project to has one document or more")
    if measure not in MEASURES:
        raise UsageError(f"'{measure}' is none of the measures {', '.join(MEASURES)}")
    sizes = [int(n) for n in documents]
    keys = ["dataset", "encoder", "dataset_fingerprint", "n_queries"]
    parts = []
    for _, rows in exhaustive_rows(frame).groupby(keys, sort=False, dropna=False):
        found = judged(rows, queries)
        known = [] if found is None else found.trial_ids
        if found is not None:
            parts.append(_projected(found, rows, sizes, measure))
        parts += [
            _refused(row, sizes, _why_unknown(row))
            for row in rows[~rows["trial_id"].isin(known)].to_dict("records")
        ]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    return pd.concat(parts, ignore_index=True)[list(COLUMNS)]


def _why_unknown(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["ndcg_at_10"]):
        return "there are no judgements, and fidelity is not projected"
    return "the table does not hold the rank of every relevant document: measure again"


def _refused(row: Mapping[Any, Any], sizes: list[int], why: str) -> pd.DataFrame:
    return pd.DataFrame([_record(row, n) | {"refused": why} for n in sizes])


def _record(row: Mapping[Any, Any], n: int) -> dict[str, Any]:
    """Return a row at one size, without figures."""
    named = {c: row[c] for c in (*_SETTING, "trial_id")}
    empty = dict.fromkeys(_FIGURES, np.nan)
    at = {"documents": n, "times_beyond": n / row["n_corpus"], "refused": "", "caution": ""}
    return named | empty | at


def _projected(found: Judged, rows: pd.DataFrame, sizes: list[int], measure: str) -> pd.DataFrame:
    """Return the rows of one dataset, encoder and sample of queries."""
    ranks, rows = found.ranks, rows.set_index("trial_id", drop=False).loc[found.trial_ids]
    nearer = [n for n in sizes if n <= ranks.n_documents]
    beyond = [n for n in sizes if n > ranks.n_documents]
    inside = expected(ranks, measure, [*nearer, ranks.n_documents])
    measured = inside[:, -1].mean(axis=1)
    full = _reference(rows)
    bootstrap = Bootstrap(len(ranks.total), groups=found.groups)
    figures = {n: _bounds(inside[:, i], full, bootstrap) for i, n in enumerate(nearer)}
    why = _why_not(ranks, found.groups)
    defended = [n for n in beyond if n <= MOST_TIMES * ranks.n_documents] if not why else []
    missed = np.zeros(len(rows))
    if defended:
        model = grown(ranks, measure, defended)
        missed = _probit(model.left_out) - _probit(measured)
        points = 100 * (model.left_out - measured)
        for i, n in enumerate(defended):
            decades = np.log10(n / ranks.n_documents)
            of_queries = _bounds(model.values[:, i], full, bootstrap)
            figures[n] = _widened(of_queries, missed, decades, full)
    records = []
    for t, row in enumerate(rows.to_dict("records")):
        for n in sizes:
            record = _record(row, n)
            records.append(record)
            if n in beyond and (n not in defended or abs(missed[t]) > MOST_MISSED):
                record["refused"] = why or _too_far(n, ranks, missed[t])
                continue
            record |= dict(zip(_FIGURES, figures[n][t].tolist(), strict=True))
            if n in beyond:
                record["caution"] = _CAUTION.format(
                    times=n / ranks.n_documents,
                    documents=ranks.n_documents,
                    missed="overstates" if points[t] > 0 else "understates",
                    points=abs(points[t]),
                )
    return pd.DataFrame(records)


def _reference(rows: pd.DataFrame) -> int | None:
    """Return the position of plain truncation at the full dimension; None if it is not there."""
    is_full = (rows["reducer_kind"] == PREFIX) & (rows["dim"] == rows["full_dim"])
    places = np.flatnonzero(is_full & (rows["precision"] == UNCOMPRESSED))
    return int(places[-1]) if len(places) else None


def _why_not(ranks: Ranks, groups: Sequence[str] | None) -> str:
    """Return why nothing beyond the corpus is said; empty if it is."""
    units = len(set(groups)) if groups else len(ranks.total)
    if units < LEAST_QUERIES:
        what = "groups of queries" if groups else "queries"
        return f"{units} {what} are too few to project from: it takes {LEAST_QUERIES}"
    if ranks.n_documents < LEAST_DOCUMENTS:
        return (
            f"{ranks.n_documents:,} documents are too few to project from: "
            f"it takes {LEAST_DOCUMENTS:,}"
        )
    return ""


def _too_far(n: int, ranks: Ranks, missed: float) -> str:
    if n > MOST_TIMES * ranks.n_documents:
        return (
            f"{n / ranks.n_documents:,.0f} times the {ranks.n_documents:,} documents measured: "
            f"beyond {MOST_TIMES} times nothing was checked"
        )
    return (
        "the same fit to a tenth of the corpus is wrong about the whole of it by "
        f"{abs(missed):.2f} probits, more than {MOST_MISSED}"
    )


def _bounds(values: np.ndarray, full: int | None, bootstrap: Bootstrap) -> np.ndarray:
    """Return quality and share kept with their bounds by the queries, (T, 6).

    `values` (T, Q) are those of each query. The full dimension keeps all by definition.
    """
    resampled = bootstrap.resampled(values)
    means = np.array(resampled.means())
    means[:, 1:] = np.clip(means[:, 1:], 0, 1)
    if full is None or not values[full].mean() > _NEARLY:
        return np.column_stack([means, np.full_like(means, np.nan)])
    shares = [
        (1.0, 1.0, 1.0) if t == full else resampled.ratio(t, values[full])
        for t in range(len(values))
    ]
    return np.column_stack([means, np.maximum(shares, 0)])


def _widened(
    figures: np.ndarray, missed: np.ndarray, decades: float, full: int | None
) -> np.ndarray:
    """Add to bounds (T, 6) how wrong the model may be so many decades beyond the corpus.

    On the scale of probits its standard error grows with the decades. Per decade it is what a fit
    to a tenth of the corpus `missed` (T,), of this row or typically, or what was found elsewhere.
    """
    typical = float(np.sqrt((missed**2).mean()))
    error = np.maximum(np.maximum(np.abs(missed), typical), _ERROR) * decades
    quality, low, high, kept, kept_low, kept_high = figures.T
    at = _probit(quality)
    from scipy.special import ndtr

    low = quality - np.hypot(quality - low, quality - ndtr(at - _Z * error))
    high = quality + np.hypot(high - quality, ndtr(at + _Z * error) - quality)
    if full is not None:
        apart = np.abs(at[full] - at)
        least = np.maximum(_SHARE_ERROR * apart, _LEAST_SHARE_ERROR)
        error = np.maximum(np.abs(missed - missed[full]), least) * decades
        # A share changes with the distance between the two, whatever moves both.
        less, more = (ndtr(at + sign * _Z * error) / quality[full] for sign in (-1, 1))
        others = np.arange(len(at)) != full
        kept_low = np.where(others, kept - np.hypot(kept - kept_low, kept - less), kept_low)
        kept_high = np.where(others, kept + np.hypot(kept_high - kept, more - kept), kept_high)
    return np.column_stack(
        [
            quality,
            np.clip(low, 0, 1),
            np.clip(high, 0, 1),
            kept,
            np.maximum(kept_low, 0),
            kept_high,
        ]
    )


def _probit(share: np.ndarray) -> np.ndarray:
    from scipy.special import ndtri

    return np.asarray(ndtri(np.clip(share, _NEARLY, 1 - _NEARLY)))
