"""Which dimensions surely keep the quality: a non-inferiority test a dimension, corrected for testing several at once."""

from __future__ import annotations

import pandas as pd

from bench.analysis.labels import dims_text
from bench.errors import UsageError
from bench.quality.intervals import LEVEL, Bootstrap
from bench.results.rows import Quality, exact_rows, groups, quality_of

MARGIN = 0.02


def verdicts(frame: pd.DataFrame, queries: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Test, for each dataset and encoder, whether truncation to each dimension keeps all but `margin` of the quality.

    `frame` holds trials, `queries` their per-query rows (`load_queries`). The hypothesis to be rejected is that the mean
    quality is at most (1 - margin) times that of the full dimension, one-sided, by a paired bootstrap over queries; the
    p values of one dataset and encoder are corrected together (Holm 1979). Returns a row a dimension: dataset, encoder, dim,
    margin, p, p_holm, non_inferior. Raises UsageError for a margin outside 0…1.
    """
    if not 0 < margin < 1:
        raise UsageError(f"--margin is a share between 0 and 1, not {margin}")
    rows: list[dict[str, object]] = []
    for (dataset, encoder), part in groups(frame):
        found = _p_values(part, queries, quality_of(part), margin)
        if found:
            corrected = _holm(list(found.values()))
            rows += [
                {"dataset": dataset, "encoder": encoder, "dim": d, "margin": margin, "p": p, "p_holm": q, "non_inferior": q < 1 - LEVEL}
                for (d, p), q in zip(found.items(), corrected, strict=True)
            ]  # fmt: skip
    columns = ["dataset", "encoder", "dim", "margin", "p", "p_holm", "non_inferior"]
    return pd.DataFrame(rows, columns=columns)


def verdict_sentences(
    frame: pd.DataFrame, queries: pd.DataFrame, margin: float = MARGIN
) -> dict[tuple[str, str], str]:
    """Return the verdict of each dataset and encoder that was tested, a sentence each."""
    told = {}
    for key, part in groups(verdicts(frame, queries, margin)):
        kept, lost = (
            list(part.loc[part["non_inferior"] == is_kept, "dim"]) for is_kept in (True, False)
        )
        words = [f"shown for {dims_text(kept)}"] if kept else []
        words += [f"not shown for {dims_text(lost)}"] if lost else []
        told[key] = (
            f"Truncation keeps all but {margin:.1%} of the quality (non-inferiority, paired over queries, Holm-corrected over "
            f"{len(part)} {'dimension' if len(part) == 1 else 'dimensions'}): {'; '.join(words)}."
        )
    return told


def _p_values(
    part: pd.DataFrame, queries: pd.DataFrame, quality: Quality, margin: float
) -> dict[int, float]:
    plain = exact_rows(part)
    plain = (
        plain[plain["reducer"] == "truncate"].drop_duplicates("dim", keep="last").sort_values("dim")
    )
    by_query = {
        int(row["dim"]): queries[queries["trial_id"] == row["trial_id"]].set_index("query_id")[
            quality.column
        ]
        for _, row in plain.iterrows()
    }
    full = by_query.pop(int(part["full_dim"].max()), pd.Series(dtype=float))
    found = {}
    bootstrap = Bootstrap(len(full)) if len(full) else None
    for d, values in by_query.items():
        paired = values.reindex(full.index)
        if bootstrap is not None and paired.notna().all():
            found[d] = bootstrap.p_at_most_zero((paired - (1 - margin) * full).to_numpy(float))
    return found


def _holm(p: list[float]) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    corrected: list[float] = multipletests(p, method="holm")[1].tolist()
    return corrected
