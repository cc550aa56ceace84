"""Is this model a Matryoshka model? Its prefixes against random, PCA's and the last coordinates.

Only the ranks among random subsets say whether the *order* of the coordinates is worth anything.
The bounds against PCA and the last coordinates are over queries: of two arbitrary halves of a
vector one is surely better too, by the luck of its coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty, Queries, certainties, holm
from bench.analysis.comparisons import BETTER, UNDECIDED, WORSE
from bench.analysis.labels import dims_text
from bench.analysis.published import Curve, published
from bench.analysis.tables import curves, dimension_table, truncation
from bench.analysis.worth import Step, steps, subset_rows
from bench.errors import NothingToShow
from bench.quality.intervals import LEVEL
from bench.results.rows import UNCOMPRESSED, groups, is_synthetic, quality_of, wholes

YES, IN_PART, NOT_SHOWN, UNKNOWN = "yes", "in part", "not shown", "unknown"
TRAILING, PCA = "trailing", "pca"
_RIVALS = (PCA, TRAILING)


@dataclass(frozen=True)
class Answer:
    """Whether the model of one dataset and encoder behaves like a Matryoshka model, and why."""

    dataset: str
    encoder: str
    documents: int
    full_dim: int
    word: str
    """``yes``: better than random subsets at every dimension up to half of the full one. ``in
    part``: at some. ``not shown``: at none. ``unknown``: not ranked among random subsets."""
    sentence: str
    """What can be quoted of the size measured."""
    projected: str
    """What can be quoted of the size projected; empty without a projection."""
    reasons: list[str]
    """Further sentences: PCA, the last coordinates, the trained dimensions."""
    table: pd.DataFrame = field(repr=False)
    """By dimension: quality, kept, median of the random subsets, p, words and differences."""
    steps: list[Step] = field(default_factory=list, repr=False)
    beside: list[Curve] = field(default_factory=list, repr=False)
    """Published curves, the model's own first."""

    @property
    def trained(self) -> list[int]:
        """Dimensions where the worth of a coordinate falls: trained dimensions, it seems."""
        return [step.dim for step in self.steps if step.shown]

    def lines(self) -> list[str]:
        """Return the answer as sentences, the quotable ones first."""
        return [line for line in (self.sentence, self.projected, *self.reasons) if line]

    def record(self) -> dict[str, Any]:
        """Return the answer as what JSON can hold."""
        rows = self.table.reset_index().to_dict("records")
        return {
            "dataset": self.dataset,
            "encoder": self.encoder,
            "documents": self.documents,
            "full_dim": self.full_dim,
            "matryoshka": self.word,
            "lines": self.lines(),
            "dimensions": rows,
            "steps": [vars(step) for step in self.steps],
            "trained": self.trained,
            "published": [{**vars(curve), "kept": curve.kept} for curve in self.beside],
        }


def verdict(
    frame: pd.DataFrame, queries: Queries, projection: pd.DataFrame | None = None
) -> list[Answer]:
    """Return the answer for each dataset and encoder of `frame`; synthetic vectors have none.

    `frame` holds trials, `queries` their per-query rows (`load_queries`). `projection` holds what
    `bench.projection.project` returned, for the second sentence. Raises NothingToShow if no
    dataset has an exact pass of truncated vectors below the full dimension.
    """
    frame = wholes(frame)
    held = certainties(frame, queries)
    found = [answer for key, part in groups(frame) if (answer := answer_of(part, held[key]))]
    if not found:
        raise NothingToShow(
            "no exact pass of truncated vectors below the full dimension, so no verdict: run a "
            "study with several dimensions on real vectors"
        )
    return [with_projection(answer, projection) for answer in found]


def answer_of(frame: pd.DataFrame, certainty: Certainty) -> Answer | None:
    """Return the answer for one dataset and encoder; None if there is nothing to answer with."""
    table = _table(frame, certainty)
    if table.empty or is_synthetic(frame):
        return None
    last = frame.iloc[-1]
    encoder, full = str(last["encoder"] or ""), int(last["full_dim"])
    found = steps(frame)
    reasons = [*_against(table, frame), *_trained(found, full, encoder)]
    word = _word(table, full)
    n = int(last["n_corpus"])
    count = subset_rows(frame)["subsets"].max()
    return Answer(
        dataset=str(last["dataset"]),
        encoder=encoder,
        documents=n,
        full_dim=full,
        word=word,
        sentence=_sentence(word, table, n, 0 if pd.isna(count) else int(count)),
        projected="",
        reasons=reasons,
        table=table,
        steps=found,
        beside=_beside(encoder),
    )


def _table(frame: pd.DataFrame, certainty: Certainty) -> pd.DataFrame:
    """Return a row per dimension below the full one, by dimension."""
    whole = dimension_table(frame)
    own = truncation(whole)
    own = own[own.index < frame["full_dim"].max()]
    table = own[["quality", "retained", "retained_low", "retained_high"]].copy()
    rows = subset_rows(frame)
    table["p"] = rows["subsets_p_better"].reindex(table.index)
    table["subsets_median"] = rows["subsets_median"].reindex(table.index)
    table["subsets_quality"] = rows["subsets_quality"].reindex(table.index)
    words = np.full(len(rows), UNDECIDED, dtype=object)
    words[holm(rows["subsets_p_worse"].to_numpy(), 1 - LEVEL)] = WORSE
    words[holm(rows["subsets_p_better"].to_numpy(), 1 - LEVEL)] = BETTER
    table["against_subsets"] = pd.Series(words, rows.index).reindex(table.index)
    rivals = {name: curve for name, curve in curves(whole).items() if name in _RIVALS}
    pairs = [
        (name, dim, own.loc[dim, "trial_id"], curve.loc[dim, "trial_id"])
        for name, curve in rivals.items()
        for dim in table.index.intersection(curve.index)
    ]
    pairs = [pair for pair in pairs if certainty.has(*pair[2:])]
    bounds = certainty.differences([pair[2:] for pair in pairs])
    for name in rivals:
        for column in ("difference", "low", "high", "word"):
            table[f"{name}_{column}"] = "" if column == "word" else np.nan
    if bounds is not None:
        figures = zip(pairs, bounds.estimate, bounds.low, bounds.high, strict=True)
        for (name, dim, *_), mean, low, high in figures:
            word = BETTER if low > 0 else WORSE if high < 0 else UNDECIDED
            cells = [f"{name}_{c}" for c in ("difference", "low", "high", "word")]
            table.loc[dim, cells] = [float(mean), float(low), float(high), word]
    return table


def _word(table: pd.DataFrame, full: int) -> str:
    known = table["against_subsets"].dropna()
    if known.empty:
        return UNKNOWN
    better, half = known == BETTER, known.index <= full / 2
    if half.any() and better[half].all():
        return YES
    return IN_PART if better.any() else NOT_SHOWN


def _sentence(word: str, table: pd.DataFrame, documents: int, count: int) -> str:
    if word == UNKNOWN:
        return (
            f"At {documents:,} documents it is unknown whether the order of the coordinates is "
            "worth anything: this run ranked no random subsets (the study's key subsets)."
        )
    known = table.dropna(subset="against_subsets")
    better = [int(d) for d in known.index[known["against_subsets"] == BETTER]]
    others = known[known["against_subsets"] != BETTER]
    tested = f"{count} random subsets, Holm over {len(known)} dimensions"
    head = f"At {documents:,} documents"
    if not better:
        best = known["p"].idxmin()
        return (
            f"{head} truncation is not shown to be better than chance at any of "
            f"{dims_text([int(d) for d in known.index])} (the least p = {_p(known['p'][best])} is "
            f"at {best} d; {tested})."
        )
    most = _p(known.loc[better, "p"].max())
    if others.empty:
        at = dims_text(better)
        return f"{head} truncation to {at} is better than chance (p ≤ {most}; {tested})."
    listed = dims_text([int(d) for d in others.index])
    values = ", ".join(_p(p) for p in others["p"])
    return (
        f"{head} truncation to {dims_text(better)} is better than chance (p ≤ {most}), and at "
        f"{listed} it is not shown to be (p = {values}; {tested})."
    )


def _against(table: pd.DataFrame, frame: pd.DataFrame) -> list[str]:
    label, found = quality_of(frame).label, []
    names = {
        PCA: ("PCA to as many dimensions", ""),
        TRAILING: (
            "the last as many coordinates",
            " That alone does not show training: it may be the luck of those coordinates.",
        ),
    }
    for name, (words, caution) in names.items():
        if f"{name}_word" not in table or not (table[f"{name}_word"] != "").any():
            continue
        known = table[table[f"{name}_word"] != ""]
        by_word = {
            word: [int(d) for d in known.index[known[f"{name}_word"] == word]]
            for word in (BETTER, UNDECIDED, WORSE)
        }
        listed = "; ".join(f"{word} at {dims_text(dims)}" for word, dims in by_word.items() if dims)
        most = known.loc[known[f"{name}_difference"].abs().idxmax()]
        figures = (most[f"{name}_{c}"] for c in ("difference", "low", "high"))
        text = "{:+.3f} [{:+.3f}, {:+.3f}]".format(*figures)
        found.append(
            f"Against {words} it is {listed} (bounds for all of these at once); the most at "
            f"{most.name} d, {text} {label}.{caution if by_word[BETTER] else ''}"
        )
    return found


def _trained(found: list[Step], full: int, encoder: str) -> list[str]:
    if not found:
        return []
    worth = ", ".join(f"{step.dim} d {step.worth:.0f}" for step in found)
    text = f"In quality a prefix is worth so many random coordinates: {worth}."
    shown = [step for step in found if step.shown]
    if shown:
        where = "; ".join(
            f"at {step.dim} d from {step.before:.1f} to {step.after:.1f} each (p = "
            f"{_p(step.p_value)})"
            for step in shown
        )
        text += (
            f" The worth falls {where}: trained dimensions seem to lie there, or between there "
            "and the next dimension measured."
        )
    else:
        text += " No step in it is beyond chance, so no trained dimension is shown."
    named = next((c.trained for c in published() if c.trained and c.is_of(encoder)), ())
    if named:
        text += f" Its source names {dims_text([d for d in named if d <= full])}."
    return [text]


def _beside(encoder: str) -> list[Curve]:
    """Return the published curves, those of this encoder first."""
    return sorted(published(), key=lambda curve: not curve.is_of(encoder))


def with_projection(answer: Answer, projection: pd.DataFrame | None) -> Answer:
    """Return an answer with the sentence on the largest size projected for it.

    `projection` is what `bench.projection.project` returns; its rows of float32 are read. Without
    one of truncation beyond the size measured that is not refused, nothing is added.
    """
    if projection is None or projection.empty:
        return answer
    rows = projection[(projection["refused"] == "") & (projection["precision"] == UNCOMPRESSED)]
    for column in ("dataset", "encoder"):
        rows = rows[rows[column].fillna("").astype(str) == getattr(answer, column)]
    rows = rows[(rows["documents"] > answer.documents) & (rows["dim"] < answer.full_dim)]
    own = rows[rows["reducer"] == "truncate"]
    if own.empty:
        return answer
    size = int(own["documents"].max())
    own = own[own["documents"] == size].drop_duplicates("dim", keep="last").sort_values("dim")
    parts = [
        f"{row['dim']} d {row['kept']:.0%} [{row['kept_low']:.0%}, {row['kept_high']:.0%}]"
        for _, row in own.iterrows()
    ]
    words = [
        _projected_against(own, rows[rows["documents"] == size], reducer, name)
        for reducer, name in ((PCA, "PCA"), (TRAILING, "the last coordinates"))
    ]
    text = (
        f"At {size:,} documents, {size / answer.documents:,.2g} times as many as measured, "
        f"truncation is expected to keep {', '.join(parts)}"
    )
    text = "; ".join([text, *filter(None, words)]) + "."
    return Answer(**{**vars(answer), "projected": text})


def _projected_against(own: pd.DataFrame, rows: pd.DataFrame, reducer: str, name: str) -> str:
    """Say where truncation is beyond the bounds of a rival at the size projected."""
    params = rows["reducer_params"].fillna("").astype(str)
    rival = rows[(rows["reducer"] == reducer) & ~params.str.contains("true")]
    both = own.merge(rival.drop_duplicates("dim", keep="last"), on="dim", suffixes=("", "_rival"))
    if both.empty:
        return ""
    sides = {
        "above": both["dim"][both["kept_low"] > both["kept_high_rival"]],
        "below": both["dim"][both["kept_high"] < both["kept_low_rival"]],
    }
    said = [f"{word} it at {dims_text(dims.tolist())}" for word, dims in sides.items() if len(dims)]
    return (
        f"against {name} its bounds lie {' and '.join(said)}"
        if said
        else (f"its bounds overlap with those of {name} everywhere")
    )


def beside_text(curves_shown: Iterable[Curve]) -> list[tuple[str, str, str, str]]:
    """Return rows (model, metric, share kept by dimension, source) of published curves as text."""
    return [
        (
            curve.model,
            curve.metric,
            " · ".join(f"{dim} d {kept:.1%}" for dim, kept in curve.kept.items()),
            f"{curve.source}; read {curve.read}",
        )
        for curve in curves_shown
    ]


def _p(value: float) -> str:
    return f"{value:.3f}".rstrip("0").replace("0.", ".", 1) if value >= 0.001 else "< .001"
