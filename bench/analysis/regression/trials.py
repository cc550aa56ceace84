"""The trials of two sides, matched by their configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.labels import label, varying
from bench.analysis.regression.findings import Ended
from bench.backends import LIBRARY, backends
from bench.errors import UsageError
from bench.results.rows import UNCOMPRESSED
from bench.results.schema import CONFIGURATION, NOT_TIMED
from bench.study.plan import EXACT, parameters

Row = dict[str, Any]
Key = tuple[Any, ...]


def by_configuration(frame: pd.DataFrame) -> dict[Key, Row]:
    """Return the trials as records by the columns of their configuration, missing texts empty."""
    plain = frame[list(CONFIGURATION)].astype(object)
    keys = plain.where(plain.notna(), "").itertuples(index=False, name=None)
    return dict(zip(keys, frame.to_dict("records"), strict=True))


@dataclass(frozen=True, eq=False)
class Matched:
    """One configuration on both sides."""

    name: str
    backend: str
    exact: bool
    """Whether the search is exhaustive, so that nothing about its results is chance."""
    repeats: bool
    """Whether the same build finds the same each time: a library that runs one thread."""
    index: Key
    """What its index is built from: configurations with the same one share their processes."""
    rows: tuple[tuple[Row, Row], ...]
    """(base, head) per pair."""

    @property
    def same_versions(self) -> bool:
        """Whether both sides ran the same versions of everything behind the row."""
        return all(a.get("library_versions") == b.get("library_versions") for a, b in self.rows)


def matched(
    pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]],
) -> tuple[list[Matched], list[Ended]]:
    """Return the configurations that ended ok on both sides, and those that did not.

    Raises UsageError if no configuration is in both, or if the data behind a name differ.
    """
    frames = [(by_configuration(base), by_configuration(head)) for base, head in pairs]
    order = dict.fromkeys(key for both in frames for side in both for key in side)
    known, named = backends(), namer([frame for both in pairs for frame in both])
    found, ended = [], []
    if not any(base.keys() & head.keys() for base, head in frames):
        raise UsageError(
            "the two results have no configuration in common: compare runs of the same study"
        )
    for key in order:
        rows = [(base.get(key), head.get(key)) for base, head in frames]
        rows = [pair for pair in rows if pair != (None, None)]
        one = next(row for pair in rows for row in pair if row is not None)
        name = named(one)
        if (other := _ended(name, rows)) is not None:
            ended.append(other)
            continue
        whole = tuple((a, b) for a, b in rows if a and b and a["status"] == b["status"] == "ok")
        if not whole:
            continue
        _same_data(*whole[0])
        cls = known.get(one["backend"])
        exact = one["backend"] == EXACT or (cls is not None and cls.exact)
        exact = exact and one["precision"] == UNCOMPRESSED
        repeats = exact or (cls is not None and cls.kind == LIBRARY and one["threads"] == 1)
        index = tuple(one[c] for c in _INDEX)
        found.append(Matched(name, one["backend"], exact, repeats, index, whole))
    return found, ended


_INDEX = (
    *("dataset", "encoder", "reducer", "reducer_params", "dim", "precision", "backend"),
    *("build_params", "threads"),
)


def _ended(name: str, rows: list[tuple[Row | None, Row | None]]) -> Ended | None:
    """Return how a configuration ended differently on the sides; None if it did not."""
    statuses: list[tuple[str, str]] = []
    for pair in rows:
        base, head = (_status(row) for row in pair)
        if base != head:
            error = "" if pair[1] is None else str(pair[1]["error"] or "")
            if base == "ok" or head == "ok":
                return Ended(name, base, head, error if head != "ok" else "")
        statuses.append((base, head))
    return None


def _status(row: Row | None) -> str:
    if row is None:
        return "absent"
    # Which trials a sweep leaves out depends on times, so on chance.
    return "ok" if row["status"] in NOT_TIMED else str(row["status"])


def _same_data(was: Row, now: Row) -> None:
    prints = was["dataset_fingerprint"], now["dataset_fingerprint"]
    if prints[0] != prints[1]:
        raise UsageError(
            f"dataset '{was['dataset']}' is not the same in both ({prints[0]} and {prints[1]}): "
            "other texts cannot be compared; measure both sides with the same data"
        )


def namer(frames: Sequence[pd.DataFrame]) -> Callable[[Row], str]:
    """Return a function from a row to its configuration in words, told apart in all `frames`."""
    both = pd.concat(frames)
    differing = {backend: varying(part) for backend, part in both.groupby("backend")}
    where = [c for c in ("dataset", "encoder") if both[c].fillna("").nunique() > 1]

    def name(row: Row) -> str:
        place = " ".join(str(row[c]) for c in where if row[c] and not pd.isna(row[c]))
        return ": ".join(filter(None, [place, label(row, differing[row["backend"]])]))

    return name


def versions(frame: pd.DataFrame) -> dict[str, str]:
    """Return the versions of all libraries behind a frame's rows."""
    found: dict[str, set[str]] = {}
    for text in frame["library_versions"].dropna().unique():
        for name, version in parameters(text).items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(each)) for name, each in found.items()}


def other_versions(base: pd.DataFrame, head: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return the libraries whose versions differ, with both; empty text where there is none."""
    one, other = versions(base), versions(head)
    pairs = {name: (one.get(name, ""), other.get(name, "")) for name in sorted({*one, *other})}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
