"""Recommend the cheapest configuration that keeps the quality with enough confidence."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.asked import KEPT, OBJECTIVES, VALUE, Asked
from bench.analysis.certainty import Certainty, Queries, certainties, queries_text
from bench.analysis.labels import label
from bench.analysis.money import Prices, load_prices
from bench.analysis.serving import (
    MEMORY,
    NEED,
    QUERIES_PER_SECOND,
    REFUSED,
    Served,
    Sizing,
    Target,
)
from bench.analysis.sizing import bytes_text, growths
from bench.errors import NothingToShow, UsageError, near_miss
from bench.results.derived import ALL_COLUMNS
from bench.results.rows import Quality, groups, quality_of, timed, wholes

RETAIN = 0.98
_ALIKE = 1.1
"""Values within this factor count as equal; then another figure decides."""
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
    sizing: Sizing | None = None
    """What the choice, or else what comes nearest, takes where it will serve; None if nothing was
    said of that."""

    def lines(self) -> list[str]:
        """Return the recommendation as sentences."""
        takes = self.sizing.lines() if self.sizing else []
        lines = (self.why, *takes, self.why_not_cheaper, self.fastest, self.basis)
        return [line for line in lines if line]

    def record(self) -> dict[str, Any]:
        """Return it for JSON; `sizing` only where it was asked for."""
        found = {name: value for name, value in vars(self).items() if name != "sizing"}
        return found | ({"sizing": self.sizing.record()} if self.sizing else {})


def recommend(
    frame: pd.DataFrame,
    queries: Queries,
    retain: float = RETAIN,
    max_p95_ms: float | None = None,
    max_bytes_per_vector: float | None = None,
    limits: Mapping[str, float] | None = None,
    *,
    documents: float | None = None,
    max_memory: float | None = None,
    prices: Prices | str | Path | None = None,
    queries_per_second: float | None = None,
    objective: str = "memory",
) -> list[Recommendation]:
    """Return, for each dataset and encoder, the cheapest timed configuration that keeps `retain`.

    `frame` holds trials, `queries` their per-query rows (`load_queries`). A configuration keeps
    `retain` if the lower bound of its share of exact search at the full dimension is at least that.
    The bounds hold for all timed configurations at once, because the cheapest is chosen among them.
    A configuration with a `caution` is not chosen. Cheapest is the one with the fewest bytes per
    vector, the index and everything searched included; within a tenth of the fewest, the one with
    the lowest median latency. With the `objective` ``latency`` it is the one with the lowest median
    latency, within a tenth of that the smallest; with ``cost`` the one that costs least per month,
    within a tenth of that the fastest. `limits` gives the worst value allowed in a column, measured
    or derived: the highest if lower is better, and the reverse. Rows of smaller parts of a corpus
    tell how figures grow, and are not chosen for themselves.

    `documents` is how many it will serve, those measured by default. At another number the limits
    hold for the figures there (`bench.analysis.sizing`), and so much more must be kept as that
    corpus takes (`bench.analysis.at_size`); where the projection to it is refused, only the full
    dimension is chosen. `max_memory` limits the memory of all documents, bytes. `prices`, a list or
    its TOML file, and `queries_per_second` are what the money is for. With any of the four the
    decision has a `sizing`.

    Raises UsageError for a `retain` outside 0…1, a limit that no column has, another objective, or
    a number that is not above 0; NothingToShow without a timed trial.
    """
    if objective not in OBJECTIVES:
        raise UsageError(f"'{objective}' is none of the objectives {', '.join(OBJECTIVES)}")
    priced = prices if prices or objective != "cost" else load_prices()
    served = _served(documents, max_memory, priced, queries_per_second)
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
    whole = wholes(frame)
    parts = [(key, part) for key, part in groups(whole) if len(timed(part))]
    held = certainties(whole, queries)
    grown = growths(frame) if served else {}
    table = queries if isinstance(queries, pd.DataFrame) else None
    return [
        _recommend(
            part,
            held[key],
            Asked(
                retain, wanted, objective, Target(served, part, table, grown) if served else None
            ),
        )
        for key, part in parts
    ]


def _served(
    documents: float | None,
    max_memory: float | None,
    prices: Prices | str | Path | None,
    queries_per_second: float | None,
) -> Served | None:
    """Return what will be served; None if nothing was said of it."""
    if all(each is None for each in (documents, max_memory, prices, queries_per_second)):
        return None
    return Served(
        documents=documents,
        max_memory=max_memory,
        prices=prices if isinstance(prices, Prices) else load_prices(prices),
        queries_per_second=(
            QUERIES_PER_SECOND if queries_per_second is None else queries_per_second
        ),
    )


def _recommend(frame: pd.DataFrame, certainty: Certainty, asked: Asked) -> Recommendation:
    quality, retain = quality_of(frame), asked.retain
    order = ["bytes_per_vector", "latency_ms_p50", "trial_id"]
    measured = timed(frame).sort_values(order, kind="stable", ignore_index=True)
    kept = certainty.kept(measured)
    ordered = asked.rows(measured)
    ordered[KEPT] = kept
    ordered = ordered.sort_values(VALUE, kind="stable")
    needed = partial(certainty.needed, critical=kept.attrs["critical"])
    dataset, encoder = str(ordered["dataset"].iloc[0]), str(ordered["encoder"].iloc[0])
    basis = (
        f"Chosen among {len(ordered)} configurations. The bounds hold for all of them at once, in "
        f"95 % of samples of {certainty.units}."
    )
    if asked.among:
        basis += f" They are those among the {measured['n_corpus'].max():,} documents measured."
    fit = ordered[_fits(ordered, asked)]
    if fit.empty:
        best = ordered.loc[(ordered["low"].fillna(-1) - ordered[NEED]).idxmax()]
        nearest = "The nearest is"
        enough = ordered[(ordered["caution"].fillna("") == "") & (ordered["low"] >= ordered[NEED])]
        if asked.target and len(enough):
            best, nearest = enough.iloc[0], "The smallest that keeps enough is"
        why = (
            f"No configuration measured is certain to keep {retain:.1%} of the {quality.label} of "
            f"exact search at the full dimension{asked.among}{_limits_text(asked)}. "
            f"{nearest} {_described(best, quality)}."
        )
        if best["low"] < best[NEED]:
            why += _power(needed(best["trial_id"], share=best[NEED])).capitalize() + "."
        sizing = asked.sizing(measured, best)
        return Recommendation(dataset, encoder, None, "", why, "", "", {}, basis, sizing)
    column, preference = asked.otherwise
    least = fit[VALUE].min()
    near = fit[fit[VALUE] <= _ALIKE * least]
    near = fit if near.empty else near  # no server reports its size
    chosen = near.loc[near[column].fillna(math.inf).idxmin()]
    why = (
        f"Use {_described(chosen, quality)}: {_size(chosen)}, "
        f"p50 {chosen['latency_ms_p50']:.3f} ms, p95 {chosen['latency_ms_p95']:.3f} ms"
        f"{_faster(chosen, ', {:.1f}× the speed of exact search at {} d')}{asked.among}."
    )
    why_not = f"No {asked.cheaper} configuration was measured."
    cheaper = ordered[ordered[VALUE] < least]
    if len(cheaper):
        last = cheaper.iloc[-1]
        reason = _rejection(last, asked, needed)
        text = reason.text if reason else ""
        why_not = f"Not the next {asked.cheaper} one, {label(last)} ({_size(last)}): {text}."
    other = fit.loc[fit[column].fillna(math.inf).idxmin()]
    fastest = ""
    if other["trial_id"] != chosen["trial_id"]:
        fastest = (
            f"If {preference}: {_described(other, quality)}, "
            f"p50 {other['latency_ms_p50']:.3f} ms"
            f"{_faster(other, ' ({:.1f}× exact search)')}, {_size(other)}."
        )
    return Recommendation(
        dataset=dataset,
        encoder=encoder,
        trial_id=chosen["trial_id"],
        configuration=label(chosen),
        why=why,
        why_not_cheaper=why_not,
        fastest=fastest,
        trial=_jsonable(measured.loc[chosen.name]),
        basis=basis,
        sizing=asked.sizing(measured, chosen),
    )


def _faster(row: pd.Series, text: str) -> str:
    """Return the speed-up in words; nothing where it is not of this number of documents."""
    speedup = row["speedup_vs_exact"]
    return "" if pd.isna(speedup) else text.format(speedup, row["full_dim"])


def _fits(rows: pd.DataFrame, asked: Asked) -> pd.Series:
    """Return which rows have no `_rejection`, bool."""
    fit = (rows["caution"].fillna("") == "") & (rows["low"] >= rows[NEED])
    for column, limit in asked.limits.items():
        higher = ALL_COLUMNS[column].better == "higher"
        fit &= rows[column] >= limit if higher else rows[column] <= limit
    return fit if asked.max_memory is None else fit & (rows[MEMORY] <= asked.max_memory)


def _rejection(
    row: pd.Series,
    asked: Asked,
    needed: Callable[..., int | None],
) -> Rejection | None:
    if isinstance(row["caution"], str) and row["caution"]:
        return Rejection(_CAUTION, row["caution"])
    kept, low, high = (row[c] for c in KEPT)
    if pd.isna(low):
        return Rejection(_QUALITY, "its results per query are missing, so nothing can be shown")
    if row[REFUSED]:
        return Rejection(_QUALITY, f"nothing can be said of it{asked.among}: {row[REFUSED]}")
    if low < (need := row[NEED]):
        share = f"the {need:.1%} asked for"
        if need > 1:
            share = f"all, and{asked.among} it loses too much to keep {asked.retain:.1%}"
        elif need > asked.retain:
            share = f"the {need:.1%} that it takes here to keep {asked.retain:.1%}{asked.among}"
        text = f"it keeps {kept:.1%} [{low:.1%}, {high:.1%}], less than {share}"
        if kept >= need:
            text = (
                f"it keeps {kept:.1%}, but its interval reaches down to {low:.1%}, below "
                f"{share}{_power(needed(row['trial_id'], share=need), '; ')}"
            )
        return Rejection(_QUALITY, text)
    if asked.max_memory is not None and not row[MEMORY] <= asked.max_memory:
        over = f", above the limit of {bytes_text(asked.max_memory)}"
        shown = "unknown" if pd.isna(row[MEMORY]) else f"{bytes_text(row[MEMORY])}{over}"
        return Rejection(_LIMIT, f"its memory of all documents is {shown}", "bytes_per_vector")
    for column, limit in asked.limits.items():
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
    kept, low, high = (row[c] for c in KEPT)
    if low == high == 1:
        return f"{label(row)} (exact search, nothing cut)"
    return f"{label(row)} (keeps {kept:.1%} [{low:.1%}, {high:.1%}] of {quality.label})"


def _size(row: pd.Series) -> str:
    size = row["bytes_per_vector"]
    if pd.isna(size):
        return "size unknown (the server does not report it)"
    return f"{size:,.0f} bytes per vector"


def _limits_text(asked: Asked) -> str:
    words = [
        f"{column} {'at least' if ALL_COLUMNS[column].better == 'higher' else 'at most'} {value:g}"
        for column, value in asked.limits.items()
    ]
    if asked.max_memory is not None:
        words.append(f"at most {bytes_text(asked.max_memory)} of memory")
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


def finite(value: Any) -> Any:
    """Return a value with None for what JSON does not have: NaN and infinities."""
    if isinstance(value, dict):
        return {key: finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
