"""Comparisons of quality, each tested: truncation, random subsets, other maps, BM25, fusion.

All paired comparisons of one dataset and encoder form one family: their bounds hold at once. So a
comparison is "better" or "worse" only beyond its bounds, and else "not distinguished".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.certainty import Certainty, holm
from bench.analysis.labels import dims_text
from bench.analysis.tables import curves, dimension_table, truncation
from bench.quality.intervals import LEVEL
from bench.reducers import BASELINE, LEARNED, PREFIX, ROTATION
from bench.results.rows import (
    bm25_rows,
    exact_rows,
    fused_rows,
    is_synthetic,
    plain,
    quality_of,
)

BETTER, WORSE, UNDECIDED = "better", "worse", "not distinguished"
_RIVAL, _FULL, _NEXT, _BM25 = "rival", "full", "next", "bm25"
_FUSED = "fused"


@dataclass(frozen=True)
class Finding:
    """One conclusion from the numbers."""

    kind: str
    """Its topic; stable, for programs and tests."""
    text: str
    """A sentence for people."""
    values: dict[str, Any] = field(default_factory=dict)
    """The numbers behind it."""


@dataclass(frozen=True)
class Compared:
    """One paired comparison: the quality of `variant` minus that of `against`."""

    role: str
    variant: str
    kind: str
    dim: int
    against: str
    trials: tuple[str, str]
    difference: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")

    @property
    def word(self) -> str:
        """Whether the variant is better, worse or not distinguished."""
        return BETTER if self.low > 0 else WORSE if self.high < 0 else UNDECIDED

    @property
    def interval(self) -> str:
        """The difference with its bounds."""
        return f"{self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def comparisons(frame: pd.DataFrame, certainty: Certainty) -> list[Finding]:
    """Return what the comparisons of quality of one dataset and encoder show."""
    if is_synthetic(frame):
        return []
    tested = compared(frame, certainty)
    found = [*_subsets(frame), *_baselines(frame)]
    for find in (_bm25, _fusion, _rotations, _learned, _neighbours):
        found += find(frame, tested)
    return [*found, *_improves(frame, certainty)]


def compared(frame: pd.DataFrame, certainty: Certainty) -> list[Compared]:
    """Return every paired comparison with bounds that hold for all of them at once."""
    pairs = [pair for pair in _pairs(frame) if certainty.has(*pair.trials)]
    bounds = certainty.differences([pair.trials for pair in pairs])
    if bounds is None:
        return []
    figures = zip(pairs, bounds.estimate, bounds.low, bounds.high, strict=True)
    return [
        replace(pair, difference=float(mean), low=float(low), high=float(high))
        for pair, mean, low, high in figures
    ]


def _pairs(frame: pd.DataFrame) -> Iterator[Compared]:
    table, full = dimension_table(frame), frame["full_dim"].max()
    own = truncation(table)
    untrained = table[table["kind"].isin([PREFIX, ROTATION])]
    best = untrained.loc[untrained.groupby("dim")["quality"].idxmax()].set_index("dim")
    for variant, curve in curves(table, ROTATION).items():
        for dim, row in curve[curve.index.isin(own.index)].iterrows():
            trials = row["trial_id"], own.loc[dim, "trial_id"]
            yield Compared(_RIVAL, variant, ROTATION, int(dim), "truncation", trials)
    for variant, curve in curves(table, LEARNED).items():
        for dim, row in curve[curve.index.isin(best.index)].iterrows():
            rival = best.loc[dim]
            trials = row["trial_id"], rival["trial_id"]
            yield Compared(_RIVAL, variant, LEARNED, int(dim), rival["variant"], trials)
            if dim < full and full in best.index:
                trials = row["trial_id"], best.loc[full, "trial_id"]
                yield Compared(_FULL, variant, LEARNED, int(dim), best.loc[full, "variant"], trials)
    for shorter, longer in zip(own.index[:-1], own.index[1:], strict=True):
        trials = own.loc[longer, "trial_id"], own.loc[shorter, "trial_id"]
        yield Compared(_NEXT, "truncation", PREFIX, int(longer), str(shorter), trials)
    words = bm25_rows(frame)
    if len(words) and full in own.index:
        trials = words["trial_id"].iloc[-1], own.loc[full, "trial_id"]
        yield Compared(_BM25, "BM25", "", int(full), "truncation", trials)
    yield from _fused_pairs(frame, own)


def _fused_pairs(frame: pd.DataFrame, own: pd.DataFrame) -> Iterator[Compared]:
    """Pair the fusion with BM25 at each dimension with that at the longest, and with its parts."""
    rows = fused_rows(frame)
    if rows.empty:
        return
    # Of several lengths of the lists the one that is best at the longest dimension.
    longest = rows[rows["dim"] == rows["dim"].max()]
    best = longest.loc[longest[quality_of(frame).column].idxmax()]
    rows = rows[rows["stages"] == best["stages"]].drop_duplicates("dim", keep="last")
    for _, row in rows.sort_values("dim").iterrows():
        if row["dim"] < best["dim"]:
            trials = row["trial_id"], best["trial_id"]
            yield Compared(_FUSED, "fusion", "", int(row["dim"]), str(best["dim"]), trials)
    words = bm25_rows(frame)
    if len(words):
        trials = best["trial_id"], words["trial_id"].iloc[-1]
        yield Compared(_FUSED, "fusion", "", int(best["dim"]), "BM25", trials)
    if best["dim"] in own.index:
        trials = best["trial_id"], own.loc[best["dim"], "trial_id"]
        yield Compared(_FUSED, "fusion", "", int(best["dim"]), "truncation", trials)


def _subsets(frame: pd.DataFrame) -> Iterator[Finding]:
    """Say where truncation differs from random subsets: a rank test, Holm-corrected."""
    rows = plain(exact_rows(frame)).drop_duplicates("dim", keep="last").sort_values("dim")
    rows = rows[rows["subsets"].fillna(0) > 0]
    if rows.empty:
        return
    sides = {
        word: holm(rows[column].to_numpy(), 1 - LEVEL)
        for word, column in ((BETTER, "subsets_p_better"), (WORSE, "subsets_p_worse"))
    }
    words = np.select([sides[BETTER], sides[WORSE]], [BETTER, WORSE], UNDECIDED)
    by_word = _by_word(zip(rows["dim"], words, strict=True))
    count = int(rows["subsets"].max())
    text = (
        f"Truncation against {count} random subsets of as many coordinates (a rank test on each "
        f"side, Holm-corrected over {len(rows)} dimensions): {_listed(by_word)}."
    )
    gain = (rows["subsets_quality"] - rows["subsets_median"]).tolist()
    values = {"subsets": count, **by_word, "gain": dict(zip(rows["dim"], gain, strict=True))}
    yield Finding("against_subsets", text, values)


def _baselines(frame: pd.DataFrame) -> Iterator[Finding]:
    """Report a study's own controls as points: a few seeds cannot be tested."""
    table = dimension_table(frame)
    own = truncation(table)
    own = own[own.index < frame["full_dim"].max()]
    for variant, controls in curves(table, BASELINE).items():
        known = own.join(controls[["quality", "seeds"]].add_suffix("_control"), how="inner")
        gain = (known["quality"] - known["quality_control"]).dropna()
        if gain.empty:
            continue
        seeds = int(known["seeds_control"].max())
        name = variant.replace("_", " ") + (f", mean of {seeds} seeds" if seeds > 1 else "")
        text = (
            f"Truncation minus {name} (point estimates): {gain.min():+.3f} to {gain.max():+.3f} "
            f"{quality_of(frame).label}."
        )
        yield Finding("against_baseline", text, {"control": variant, "gain": gain.to_dict()})


def _bm25(frame: pd.DataFrame, tested: list[Compared]) -> Iterator[Finding]:
    quality = quality_of(frame)
    for pair in (pair for pair in tested if pair.role == _BM25):
        found, own = (
            frame.loc[frame["trial_id"] == trial, quality.column].iloc[-1] for trial in pair.trials
        )
        text = (
            f"BM25, which needs no vectors, finds {found:.3f} {quality.label}; this encoder at "
            f"{pair.dim} d {own:.3f}. BM25 is {_said(pair)}."
        )
        yield Finding("bm25", text, {"bm25": found, "encoder": own, "word": pair.word})


def _fusion(frame: pd.DataFrame, tested: list[Compared]) -> Iterator[Finding]:
    """Say whether fusion with BM25 gains, and whether the dimension still matters after it."""
    pairs = [pair for pair in tested if pair.role == _FUSED]
    if not pairs:
        return
    parts = [p for p in pairs if p.against in ("BM25", "truncation")]
    shorter = [p for p in pairs if p not in parts]
    longest = max(pair.dim for pair in pairs)
    gains = [_than(p, "BM25" if p.against == "BM25" else "vectors") for p in parts]
    text = f"Fused with BM25 at {longest} d: {'; '.join(gains)}."
    by_word = _by_word((pair.dim, pair.word) for pair in shorter)
    if shorter:
        most = min(shorter, key=lambda pair: pair.difference)
        text += (
            f" Shorter vectors in the fusion, against {longest} d: {_listed(by_word)}; "
            f"at {most.dim} d {most.interval} {quality_of(frame).label}."
        )
    values = {p.dim: p.difference for p in shorter}
    words = {p.against: p.word for p in parts}
    yield Finding("fusion", text, {**words, **by_word, "difference": values})


def _rotations(frame: pd.DataFrame, tested: list[Compared]) -> Iterator[Finding]:
    """Compare truncation with maps that need no training, below the full dimension."""
    full = frame["full_dim"].max()
    pairs = [p for p in tested if p.role == _RIVAL and p.kind == ROTATION]
    for variant in dict.fromkeys(pair.variant for pair in pairs):
        own = [p for p in pairs if p.variant == variant and (p.dim < full or p.word != UNDECIDED)]
        by_word = _by_word((pair.dim, pair.word) for pair in own)
        text = f"{variant}, without training, against truncation: {_listed(by_word)}."
        if BETTER in by_word:
            most = max(own, key=lambda pair: pair.difference)
            text = text[:-1] + f"; at {most.dim} d {most.interval} {quality_of(frame).label}."
        gain = {pair.dim: pair.difference for pair in own}
        yield Finding("against_rotation", text, {"variant": variant, **by_word, "gain": gain})


def _learned(frame: pd.DataFrame, tested: list[Compared]) -> Iterator[Finding]:
    """Compare learned maps with the best untrained way at each dimension."""
    label = quality_of(frame).label
    for variant in dict.fromkeys(pair.variant for pair in tested if pair.kind == LEARNED):
        own = [p for p in tested if p.variant == variant and p.role == _RIVAL]
        whole = [p for p in tested if p.variant == variant and p.role == _FULL]
        by_word = _by_word((pair.dim, pair.word) for pair in own)
        rivals = ", ".join(dict.fromkeys(_name(pair.against) for pair in own))
        text = (
            f"{variant} against the best untrained way at each dimension ({rivals}): "
            f"{_listed(by_word)}."
        )
        reached = next((p for p in whole if p.word == BETTER), None)
        reached = reached or next((p for p in whole if p.word == UNDECIDED), None)
        if reached:
            full = frame["full_dim"].max()
            text += (
                f" Its {reached.dim} dimensions against all {full} of {_name(reached.against)}: "
                f"{reached.interval} {label}, {reached.word}."
            )
        values = {"variant": variant, **by_word, "as_good_as_full": reached and reached.dim}
        yield Finding("learned", text, values)


def _neighbours(frame: pd.DataFrame, tested: list[Compared]) -> Iterator[Finding]:
    falls = [pair for pair in tested if pair.role == _NEXT and pair.word == WORSE]
    if falls:
        where = ", ".join(f"{pair.against} → {pair.dim} d" for pair in falls)
        text = f"The curve is not monotonic: quality falls beyond its bounds at {where}."
        values = [(int(pair.against), pair.dim) for pair in falls]
        yield Finding("not_monotonic", text, {"falls": values})


def _improves(frame: pd.DataFrame, certainty: Certainty) -> Iterator[Finding]:
    rows = plain(exact_rows(frame)).drop_duplicates("dim", keep="last")
    rows = rows[rows["dim"] < rows["full_dim"]]
    dims = sorted(int(d) for d in rows["dim"][(certainty.kept(rows)["low"] > 1).to_numpy()])
    if dims:
        text = (
            f"Truncation *improves* quality at {dims_text(dims)}, beyond its bounds. Explain this "
            "before using it: the full vectors may carry something harmful, or the queries be few "
            "and alike."
        )
        yield Finding("truncation_improves", text, {"dimensions": dims})


def _by_word(words: Any) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for dim, word in words:
        found.setdefault(str(word), []).append(int(dim))
    return {word: found[word] for word in (BETTER, UNDECIDED, WORSE) if word in found}


def _listed(by_word: dict[str, list[int]]) -> str:
    return "; ".join(f"{word} at {dims_text(dims)}" for word, dims in by_word.items())


def _said(pair: Compared) -> str:
    if pair.word == UNDECIDED:
        return f"not distinguished from it ({pair.interval})"
    return f"{pair.word} by {pair.interval}"


def _than(pair: Compared, other: str) -> str:
    if pair.word == UNDECIDED:
        return f"not distinguished from {other} alone ({pair.interval})"
    return f"{pair.word} than {other} alone by {pair.interval}"


def _name(variant: str) -> str:
    return "truncation" if variant == "truncate" else variant
