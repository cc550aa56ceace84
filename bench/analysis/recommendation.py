"""Recommend the cheapest configuration that keeps the quality with enough confidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd

from bench.analysis.certainty import Certainty, Queries, certainties, queries_text
from bench.analysis.labels import label
from bench.errors import NothingToShow, UsageError, near_miss
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import Quality, groups, quality_of, timed

RETAIN = 0.98
_ALIKE = 1.1
"""Sizes within this factor count as equal; then speed decides."""
_KEPT = ["share", "low", "high"]
"""Columns of `Certainty.kept`."""
_CAUTION, _QUALITY, _LIMIT = "caution", "quality", "limit"


@dataclass(frozen=True)
class Rejection:
    """Why a configuration was not chosen."""

    kind: str
    """``caution``, ``quality`` or ``limit``."""
    text: str
    column: str = ""
    """The column whose limit it exceeds."""


@dataclass(frozen=True)
class Recommendation:
    """The choice for one dataset and encoder, and why not the next cheaper configuration."""

    dataset: str
    encoder: str
    trial_id: str | None
    """None if no configuration keeps the quality required."""
    configuration: str
    why: str
    why_not_cheaper: str
    fastest: str
    trial: dict[str, object]
    basis: str = ""
    """What the bounds rest on: among how many configurations, on how many queries."""

    def lines(self) -> list[str]:
        """Return the recommendation as sentences."""
        lines = (self.why, self.why_not_cheaper, self.fastest, self.basis)
        return [line for line in lines if line]


def recommend(
    frame: pd.DataFrame,
    queries: Queries,
    retain: float = RETAIN,
    max_p95_ms: float | None = None,
    max_bytes_per_vector: float | None = None,
    limits: Mapping[str, float] | None = None,
) -> list[Recommendation]:
    """Return, for each dataset and encoder, the cheapest timed configuration that keeps `retain`.

    `frame` holds trials, `queries` their per-query rows (`load_queries`). A configuration keeps
    `retain` if the lower bound of its share of exact search at the full dimension is at least that.
    The bounds hold for all timed configurations at once, because the cheapest is chosen among them.
    A configuration with a `caution` is not chosen. Cheapest is the one with the fewest bytes per
    vector, the index and everything searched included; within a tenth of the fewest, the one with
    the lowest median latency. `limits` gives the worst value allowed in a column, measured or
    derived: the highest if lower is better, and the reverse. Raises UsageError for a `retain`
    outside 0…1 or a limit that no column has, NothingToShow without a timed trial.
    """
    if not 0 < retain <= 1:
        raise UsageError(f"--retain is a share between 0 and 1, not {retain}")
    named = {"latency_ms_p95": max_p95_ms, "bytes_per_vector": max_bytes_per_vector}
    wanted = {**(limits or {}), **{c: v for c, v in named.items() if v is not None}}
    for column in wanted:
        if column not in ALL_COLUMNS or ALL_COLUMNS[column].better is None:
            usable = [name for name, c in ALL_COLUMNS.items() if c.better]
            raise UsageError(f"no limit can be set on '{column}'{near_miss(column, usable)}")
    measured = timed(frame)
    if measured.empty:
        raise NothingToShow(
            "there is no timed trial to choose from; "
            "a study's [[configurations]] name what is timed"
        )
    parts = [(key, part) for key, part in groups(frame) if len(timed(part))]
    held = certainties(frame, queries)
    return [_recommend(part, held[key], retain, wanted) for key, part in parts]


def _recommend(
    frame: pd.DataFrame, certainty: Certainty, retain: float, limits: Mapping[str, float]
) -> Recommendation:
    quality = quality_of(frame)
    order = ["bytes_per_vector", "latency_ms_p50", "trial_id"]
    ordered = timed(frame).sort_values(order, kind="stable", ignore_index=True)
    kept = certainty.kept(ordered)
    ordered[_KEPT] = kept
    needed = partial(certainty.needed, share=retain, critical=kept.attrs["critical"])
    dataset, encoder = str(ordered["dataset"].iloc[0]), str(ordered["encoder"].iloc[0])
    basis = (
        f"Chosen among {len(ordered)} configurations. The bounds hold for all of them at once, in "
        f"95 % of samples of {certainty.units}."
    )
    fit = ordered[_fits(ordered, retain, limits)]
    if fit.empty:
        best = ordered.loc[ordered["low"].fillna(-1).idxmax()]
        why = (
            f"No configuration measured is certain to keep {retain:.1%} of the {quality.label} of "
            f"exact search at the full dimension{_limits_text(limits)}. "
            f"The nearest is {_described(best, quality)}."
        )
        if best["low"] < retain:
            why += _power(needed(best["trial_id"])).capitalize() + "."
        return Recommendation(dataset, encoder, None, "", why, "", "", {}, basis)
    least = fit["bytes_per_vector"].min()
    near = fit[fit["bytes_per_vector"] <= _ALIKE * least]
    near = fit if near.empty else near  # no server reports its size
    chosen = near.loc[near["latency_ms_p50"].idxmin()]
    why = (
        f"Use {_described(chosen, quality)}: {_size(chosen)}, "
        f"p50 {chosen['latency_ms_p50']:.3f} ms, p95 {chosen['latency_ms_p95']:.3f} ms, "
        f"{chosen['speedup_vs_exact']:.1f}× the speed of exact search at {chosen['full_dim']} d."
    )
    why_not = "No cheaper configuration was measured."
    cheaper = ordered[ordered["bytes_per_vector"] < least]
    if len(cheaper):
        last = cheaper.iloc[-1]
        reason = _rejection(last, retain, limits, needed)
        text = reason.text if reason else ""
        why_not = f"Not the next cheaper one, {label(last)} ({_size(last)}): {text}."
    quick = fit.loc[fit["latency_ms_p50"].idxmin()]
    fastest = ""
    if quick["trial_id"] != chosen["trial_id"]:
        fastest = (
            f"If speed matters more than memory: {_described(quick, quality)}, "
            f"p50 {quick['latency_ms_p50']:.3f} ms "
            f"({quick['speedup_vs_exact']:.1f}× exact search), {_size(quick)}."
        )
    trial = _jsonable(chosen.drop(_KEPT))
    return Recommendation(
        dataset, encoder, chosen["trial_id"], label(chosen), why, why_not, fastest, trial, basis
    )


def _fits(rows: pd.DataFrame, retain: float, limits: Mapping[str, float]) -> pd.Series:
    """Return which rows have no `_rejection`, bool."""
    fit = (rows["caution"].fillna("") == "") & (rows["low"] >= retain)
    for column, limit in limits.items():
        higher = ALL_COLUMNS[column].better == "higher"
        fit &= rows[column] >= limit if higher else rows[column] <= limit
    return fit


def _rejection(
    row: pd.Series,
    retain: float,
    limits: Mapping[str, float],
    needed: Callable[[str], int | None],
) -> Rejection | None:
    if isinstance(row["caution"], str) and row["caution"]:
        return Rejection(_CAUTION, row["caution"])
    kept, low, high = (row[c] for c in _KEPT)
    if pd.isna(low):
        return Rejection(_QUALITY, "its results per query are missing, so nothing can be shown")
    if low < retain:
        text = f"it keeps {kept:.1%} [{low:.1%}, {high:.1%}], less than the {retain:.1%} asked for"
        if kept >= retain:
            text = (
                f"it keeps {kept:.1%}, but its interval reaches down to {low:.1%}, below the "
                f"{retain:.1%} asked for{_power(needed(row['trial_id']), '; ')}"
            )
        return Rejection(_QUALITY, text)
    for column, limit in limits.items():
        higher = ALL_COLUMNS[column].better == "higher"
        value = row[column]
        if pd.isna(value) or (value < limit if higher else value > limit):
            side = "below" if higher else "above"
            shown = "unknown" if pd.isna(value) else f"{value:,.4g}, {side} the limit of {limit:g}"
            return Rejection(_LIMIT, f"its {column} is {shown}", column)
    return None


def _power(needed: int | None, before: str = " ") -> str:
    if needed is None:
        return ""
    return f"{before}{queries_text(needed)} queries would probably show it"


def _described(row: pd.Series, quality: Quality) -> str:
    kept, low, high = (row[c] for c in _KEPT)
    if low == high == 1:
        return f"{label(row)} (exact search, nothing cut)"
    return f"{label(row)} (keeps {kept:.1%} [{low:.1%}, {high:.1%}] of {quality.label})"


def _size(row: pd.Series) -> str:
    size = row["bytes_per_vector"]
    if pd.isna(size):
        return "size unknown (the server does not report it)"
    return f"{size:,.0f} bytes per vector"


def _limits_text(limits: Mapping[str, float]) -> str:
    words = [
        f"{column} {'at least' if ALL_COLUMNS[column].better == 'higher' else 'at most'} {value:g}"
        for column, value in limits.items()
    ]
    return f" with {' and '.join(words)}" if words else ""


def _jsonable(row: pd.Series) -> dict[str, Any]:
    """Return the non-empty values of a row for JSON."""
    return {name: value for name, value in to_json(row).items() if value is not None}


def to_json(row: pd.Series) -> dict[str, Any]:
    """Return a row for JSON: plain numbers, None for empty values."""
    return {
        str(name): None if pd.isna(value) else value.item() if hasattr(value, "item") else value
        for name, value in row.items()
    }
