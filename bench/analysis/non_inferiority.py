"""Find the dimensions that keep the quality: one non-inferiority test each, Holm-corrected."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.labels import dims_text
from bench.errors import UsageError
from bench.quality.intervals import LEVEL, Bootstrap
from bench.results.rows import Quality, exact_rows, groups, plain, quality_of

MARGIN = 0.02


@dataclass(frozen=True)
class Verdict:
    """Outcome of the tests for one dataset and encoder."""

    dataset: str
    encoder: str
    margin: float
    shown: list[int]
    """Dimensions shown to keep all but the margin."""
    not_shown: list[int]

    @property
    def text(self) -> str:
        """The verdict as a sentence."""
        tested = len(self.shown) + len(self.not_shown)
        words = [f"shown for {dims_text(self.shown)}"] if self.shown else []
        words += [f"not shown for {dims_text(self.not_shown)}"] if self.not_shown else []
        plural = "dimension" if tested == 1 else "dimensions"
        return (
            f"Truncation keeps all but {self.margin:.1%} of the quality (non-inferiority, paired "
            f"by query, Holm-corrected over {tested} {plural}): {'; '.join(words)}."
        )


def dimension_tests(
    frame: pd.DataFrame, queries: pd.DataFrame, margin: float = MARGIN
) -> pd.DataFrame:
    """Test whether truncation to each dimension keeps all but `margin` of the quality.

    `frame` holds trials, `queries` their per-query rows (`load_queries`). The hypothesis to reject
    is that the mean quality is at most (1 - margin) times that of the full dimension: one-sided,
    by a paired bootstrap over queries. The p values of one dataset and encoder are corrected
    together (Holm 1979). Returns one row per dimension: dataset, encoder, dim, margin, p, p_holm,
    non_inferior. Raises UsageError for a margin outside 0…1.
    """
    if not 0 < margin < 1:
        raise UsageError(f"--margin is a share between 0 and 1, not {margin}")
    rows: list[dict[str, object]] = []
    for (dataset, encoder), part in groups(frame):
        found = _p_values(part, queries, quality_of(part), margin)
        corrected = _holm(list(found.values())) if found else []
        for (dim, p), p_holm in zip(found.items(), corrected, strict=True):
            row = {"dataset": dataset, "encoder": encoder, "dim": dim, "margin": margin}
            rows.append({**row, "p": p, "p_holm": p_holm, "non_inferior": p_holm < 1 - LEVEL})
    columns = ["dataset", "encoder", "dim", "margin", "p", "p_holm", "non_inferior"]
    return pd.DataFrame(rows, columns=columns)


def verdicts(
    frame: pd.DataFrame, queries: pd.DataFrame, margin: float = MARGIN
) -> dict[tuple[str, str], Verdict]:
    """Return the verdict per (dataset, encoder) with a test; raises as `dimension_tests`."""
    found = {}
    for (dataset, encoder), part in groups(dimension_tests(frame, queries, margin)):
        shown = part["non_inferior"].astype(bool)
        found[dataset, encoder] = Verdict(
            dataset,
            encoder,
            margin,
            part.loc[shown, "dim"].tolist(),
            part.loc[~shown, "dim"].tolist(),
        )
    return found


def _p_values(
    part: pd.DataFrame, queries: pd.DataFrame, quality: Quality, margin: float
) -> dict[int, float]:
    rows = plain(exact_rows(part)).drop_duplicates("dim", keep="last").sort_values("dim")
    by_query = {
        int(row["dim"]): queries[queries["trial_id"] == row["trial_id"]].set_index("query_id")[
            quality.column
        ]
        for _, row in rows.iterrows()
    }
    full = by_query.pop(int(part["full_dim"].max()), pd.Series(dtype=float))
    if full.empty:
        return {}
    bootstrap, found = Bootstrap(len(full)), {}
    for dim, values in by_query.items():
        paired = values.reindex(full.index)
        if paired.notna().all():
            difference = (paired - (1 - margin) * full).to_numpy(float)
            found[dim] = bootstrap.p_at_most_zero(difference)
    return found


def _holm(p: list[float]) -> list[float]:
    from statsmodels.stats.multitest import multipletests

    corrected: list[float] = multipletests(p, method="holm")[1].tolist()
    return corrected
