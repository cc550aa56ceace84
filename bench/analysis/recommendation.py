"""The decision: the cheapest configuration whose quality is certain enough."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.labels import label
from bench.errors import UsageError
from bench.results.rows import Quality, groups, quality_of, timed

RETAIN = 0.98
_ALIKE = 1.1
"""Sizes this near to each other are alike: then it is the speed that counts."""


@dataclass(frozen=True)
class Recommendation:
    """What to take for one dataset and encoder, and why not the next cheaper one."""

    dataset: str
    encoder: str
    trial_id: str | None
    """None where no configuration keeps what was asked for."""
    configuration: str
    why: str
    why_not_cheaper: str
    fastest: str
    trial: dict[str, object]

    def lines(self) -> list[str]:
        """Return the recommendation as sentences."""
        return [line for line in (self.why, self.why_not_cheaper, self.fastest) if line]


def recommend(
    frame: pd.DataFrame,
    retain: float = RETAIN,
    max_p95_ms: float | None = None,
    max_bytes_per_vector: float | None = None,
) -> list[Recommendation]:
    """Return, for each dataset and encoder, the cheapest timed configuration that surely keeps `retain` of the quality.

    Surely: the lower bound of its paired 95 % interval against exact search at the full dimension is at least `retain`.
    A configuration with a `caution`, such as an adaptor that its own training found no better, is not chosen.
    Cheapest: fewest bytes a vector, the index and all that it searches counted; of those within a tenth of the fewest, the
    lowest median latency.
    Raises UsageError for a `retain` outside 0…1 or a frame without a timed trial.
    """
    if not 0 < retain <= 1:
        raise UsageError(f"--retain is a share between 0 and 1, not {retain}")
    measured = timed(frame)
    if measured.empty:
        raise UsageError(
            "there is no timed trial to choose from; a study's [[configurations]] name what is timed"
        )
    return [
        _recommend(part, retain, max_p95_ms, max_bytes_per_vector) for _, part in groups(measured)
    ]


def _recommend(
    frame: pd.DataFrame, retain: float, max_p95: float | None, max_bytes: float | None
) -> Recommendation:
    quality = quality_of(frame)
    ordered = frame.sort_values(["bytes_per_vector", "latency_ms_p50", "trial_id"], kind="stable")
    reasons = ordered.apply(
        _why_not, axis=1, quality=quality, retain=retain, max_p95=max_p95, max_bytes=max_bytes
    )
    dataset, encoder = str(ordered["dataset"].iloc[0]), str(ordered["encoder"].iloc[0])
    fit = ordered[reasons == ""]
    if fit.empty:
        best = ordered.loc[ordered[quality.retained_low].fillna(-1).idxmax()]
        limits = _limits(max_p95, max_bytes)
        why = (
            f"No configuration measured surely keeps {retain:.1%} of the {quality.label} of exact search at the full dimension{limits}. "
            f"The nearest is {_described(best, quality)}."
        )
        return Recommendation(dataset, encoder, None, "", why, "", "", {})
    least = fit["bytes_per_vector"].min()
    near = fit[fit["bytes_per_vector"] <= _ALIKE * least]
    near = fit if near.empty else near  # no server tells its size
    chosen = near.loc[near["latency_ms_p50"].idxmin()]
    why = (
        f"Take {_described(chosen, quality)}: {_size(chosen)}, "
        f"p50 {chosen['latency_ms_p50']:.3f} ms, p95 {chosen['latency_ms_p95']:.3f} ms, "
        f"{chosen['speedup_vs_exact']:.1f}× the speed of exact search at {chosen['full_dim']} d."
    )
    cheaper = ordered[ordered["bytes_per_vector"] < least]
    why_not = "Nothing cheaper was measured."
    if len(cheaper):
        last = cheaper.iloc[-1]
        why_not = f"Not the next cheaper one, {label(last)} ({_size(last)}): {reasons[last.name]}."
    quick = fit.loc[fit["latency_ms_p50"].idxmin()]
    fastest = ""
    if quick["trial_id"] != chosen["trial_id"]:
        fastest = (
            f"If speed matters more than memory: {_described(quick, quality)}, p50 {quick['latency_ms_p50']:.3f} ms "
            f"({quick['speedup_vs_exact']:.1f}× exact search) at {_size(quick)}."
        )
    return Recommendation(
        dataset,
        encoder,
        chosen["trial_id"],
        label(chosen),
        why,
        why_not,
        fastest,
        _jsonable(chosen),
    )


def _why_not(
    row: pd.Series, quality: Quality, retain: float, max_p95: float | None, max_bytes: float | None
) -> str:
    if isinstance(row["caution"], str) and row["caution"]:
        return row["caution"]
    low = row[quality.retained_low]
    if not low >= retain:
        return (
            f"it keeps {row[quality.retained]:.1%}, but its interval reaches down to {low:.1%}, below the {retain:.1%} asked for"
            if row[quality.retained] >= retain
            else f"it keeps {row[quality.retained]:.1%} [{low:.1%}, {row[quality.retained_high]:.1%}], less than the {retain:.1%} asked for"
        )
    if max_p95 is not None and row["latency_ms_p95"] > max_p95:
        return f"its p95 of {row['latency_ms_p95']:.3f} ms is above {max_p95:g} ms"
    if max_bytes is not None and not row["bytes_per_vector"] <= max_bytes:
        return f"its {_size(row)} are above {max_bytes:g}"
    return ""


def _described(row: pd.Series, quality: Quality) -> str:
    return (
        f"{label(row)} (keeps {row[quality.retained]:.1%} [{row[quality.retained_low]:.1%}, {row[quality.retained_high]:.1%}] "
        f"of the {quality.label})"
    )


def _size(row: pd.Series) -> str:
    size = row["bytes_per_vector"]
    return (
        "a size that its server does not tell" if pd.isna(size) else f"{size:,.0f} bytes a vector"
    )


def _limits(max_p95: float | None, max_bytes: float | None) -> str:
    limits = [f"a p95 of at most {max_p95:g} ms"] if max_p95 is not None else []
    limits += [f"at most {max_bytes:g} bytes a vector"] if max_bytes is not None else []
    return f" with {' and '.join(limits)}" if limits else ""


def _jsonable(row: pd.Series) -> dict[str, object]:
    return {
        name: (value.item() if hasattr(value, "item") else value)
        for name, value in row.items()
        if not pd.isna(value)
    }
