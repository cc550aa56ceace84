"""Find the dimensions that keep the quality, and how many queries it would take to show more."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from bench.analysis.certainty import Certainty, Queries, certainties, queries_text
from bench.analysis.labels import dims_text
from bench.errors import UsageError
from bench.results.rows import exact_rows, groups, plain

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
    units: str = ""
    """What the bounds rest on, in words."""
    low: dict[int, float] = field(default_factory=dict)
    """Share that each dimension is shown to keep: its lower bound."""
    needed: dict[int, int | None] = field(default_factory=dict)
    """Queries that would probably show each dimension of `not_shown`; None if it loses too much."""

    @property
    def text(self) -> str:
        """The verdict in sentences: what is shown, and what more queries would show."""
        tested = len(self.shown) + len(self.not_shown)
        words = [f"shown for {dims_text(self.shown)}"] if self.shown else []
        words += [f"not shown for {dims_text(self.not_shown)}"] if self.not_shown else []
        plural = "dimension" if tested == 1 else "dimensions"
        return (
            f"Truncation keeps all but {self.margin:.1%} of the quality (non-inferiority, paired "
            f"by query, bounds that hold for {tested} {plural} at once): {'; '.join(words)}."
            f"{self._power}"
        )

    @property
    def _power(self) -> str:
        if not self.not_shown:
            return ""
        shown = [f"{self.low[d]:.1%} at {d} d" for d in self.not_shown if self.low[d] > 0]
        more = [
            f"{queries_text(self.needed[d])} for {d} d"
            for d in self.not_shown
            if self.needed[d] is not None
        ]
        less = [d for d in self.not_shown if self.needed[d] is None]
        text = f" These {self.units} show at least {', '.join(shown)}." if shown else ""
        if more:
            text += f" Queries that would probably show it: {', '.join(more)}."
        if less:
            text += f" By their estimates, {dims_text(less)} lose more than the margin."
        return text


def dimension_tests(frame: pd.DataFrame, queries: Queries, margin: float = MARGIN) -> pd.DataFrame:
    """Test whether truncation to each dimension keeps all but `margin` of the quality.

    `frame` holds trials, `queries` their per-query rows (`load_queries`). A dimension is shown to
    keep it if the lower bound of its share is at least 1 - margin. The bounds hold for all
    dimensions of one dataset and encoder at once. Returns one row per dimension below the full one:
    dataset, encoder, dim, margin, share, low, high, non_inferior, needed (queries that would
    probably show it; empty if the estimate is below) and units. Raises UsageError for a margin
    outside 0…1.
    """
    if not 0 < margin < 1:
        raise UsageError(f"--margin is a share between 0 and 1, not {margin}")
    held = certainties(frame, queries)
    tables = [
        _tests(part, held[key], margin).assign(dataset=key[0], encoder=key[1])
        for key, part in groups(frame)
    ]
    return pd.concat(tables, ignore_index=True)[_COLUMNS]


_COLUMNS = ["dataset", "encoder", "dim", "margin", "share", "low", "high"]
_COLUMNS += ["non_inferior", "needed", "units"]


def verdicts(
    frame: pd.DataFrame, queries: Queries, margin: float = MARGIN
) -> dict[tuple[str, str], Verdict]:
    """Return the verdict per (dataset, encoder) with a test; raises as `dimension_tests`."""
    found = {}
    for (dataset, encoder), part in groups(dimension_tests(frame, queries, margin)):
        shown = part["non_inferior"].astype(bool)
        by_dim = part.set_index("dim")
        found[dataset, encoder] = Verdict(
            dataset,
            encoder,
            margin,
            part.loc[shown, "dim"].tolist(),
            part.loc[~shown, "dim"].tolist(),
            part["units"].iloc[0],
            by_dim["low"].to_dict(),
            {d: None if pd.isna(n) else int(n) for d, n in by_dim["needed"].items()},
        )
    return found


def _tests(part: pd.DataFrame, certainty: Certainty, margin: float) -> pd.DataFrame:
    rows = plain(exact_rows(part)).drop_duplicates("dim", keep="last").sort_values("dim")
    rows = rows[rows["dim"] < rows["full_dim"]]
    rows = rows[rows["trial_id"].map(certainty.has).astype(bool)]
    kept = certainty.kept(rows)
    share, critical = 1 - margin, kept.attrs["critical"]
    shown = kept["low"] >= share
    return rows[["dim"]].assign(
        margin=margin,
        **kept,
        non_inferior=shown,
        needed=[
            None if done else certainty.needed(trial, share, critical)
            for trial, done in zip(rows["trial_id"], shown, strict=True)
        ],
        units=certainty.units,
    )
