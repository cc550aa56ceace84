"""Measure two sides in turns, A B B A: fresh processes next to each other in time, kept as pairs.

A pair is the whole study measured once by each side, index by index: base and head build and search
the same index one right after the other, and the side that begins alternates. So what changes from
minute to minute changes both. The documents of each pair are in another random order, the same for
both sides, so that a build that depends on chance is drawn anew. Source: A. Bulej et al., Duet
benchmarking, ICPE 2020; here in turns rather than at once, since two at once share caches.
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from bench.errors import UsageError
from bench.files import append, whole, writing
from bench.gate.driving import Driver
from bench.gate.sides import BASE, HEAD, Side
from bench.gate.slices import reachable, slices
from bench.study.schema import Study

QUICK_PAIRS = 3
PAIRS = 5
"""Process pairs by default: as many as `make regress` measures in six minutes on two cores."""
ABOUT = "sides.json"
_DONE = "done.jsonl"


@dataclass(frozen=True)
class Progress:
    """How far a comparison is."""

    pair: int
    pairs: int
    slice: str
    seconds_left: float
    """NaN during the first pair."""


def measure_pairs(
    study: Study,
    base: Side,
    head: Side,
    out: Path,
    pairs: int = PAIRS,
    deadline: float = math.inf,
    quick: bool = False,
    anew: bool = False,
    told: Callable[[Progress], None] = lambda _: None,
) -> None:
    """Measure process pairs into ``OUT/base/N`` and ``OUT/head/N``.

    Pairs that are there already are kept, and a pair that a kill interrupted is finished. Pairs of
    other sides are removed if `anew`, else UsageError. No pair begins that would not end by
    `deadline`, a time of `time.monotonic`, once there is one. `quick`: one index per backend, and
    the usual cache for both sides. Raises UsageError if a side cannot run the study.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        lock = filelock.FileLock(out / ".lock").acquire(timeout=0)
    except filelock.Timeout as error:
        raise UsageError(f"{out} is being written by another run; choose another --out") from error
    with lock, ExitStack() as stack:
        study = reachable(study, [base.source, head.source])
        _same_sides(out, study, quick, base, head, anew)
        drivers = {
            side.name: stack.enter_context(contextlib.closing(Driver(side, out / side.name, quick)))
            for side in (base, head)
        }
        _measure(study, drivers, out, pairs, deadline, quick, told)


def measured_pairs(out: Path) -> tuple[tuple[str, str], list[int]]:
    """Return what base and head are, and the numbers of the pairs that are whole, ascending.

    Raises UsageError if `out` holds no comparison.
    """
    try:
        about = json.loads((out / ABOUT).read_text(encoding="utf-8"))
        labels = str(about[BASE]["label"]), str(about[HEAD]["label"])
        expected = 2 * int(about["slices"])
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UsageError(f"{out} holds no comparison of two sides") from error
    counts: dict[int, int] = {}
    for line in lines(out):
        counts[line["pair"]] = counts.get(line["pair"], 0) + 1
    whole = sorted(pair for pair, count in counts.items() if count == expected)
    return labels, whole


def _measure(
    study: Study,
    drivers: dict[str, Driver],
    out: Path,
    pairs: int,
    deadline: float,
    quick: bool,
    told: Callable[[Progress], None],
) -> None:
    ordered = all("order" in driver.keys for driver in drivers.values())
    # Figures of this package itself matter where the sides are two versions of it.
    itself = len({driver.package for driver in drivers.values()}) > 1
    noted = list(lines(out))
    done = {(line["pair"], line["slice"], line["side"]) for line in noted}
    taken: list[float] = []
    for pair in range(pairs):
        begun = time.monotonic()
        if taken and begun + max(taken) > deadline:
            break
        fresh = False
        parts = slices(study, reducers=pair == 0, quick=quick)
        for position, part in enumerate(parts):
            left = math.nan
            if taken:
                spent = time.monotonic() - begun
                left = max(0.0, (pairs - pair) * sum(taken) / len(taken) - spent)
            if position == 1:
                begun = time.monotonic()  # the first exact pass encodes, and no other does
            told(Progress(pair + 1, pairs, part.label, left))
            sides = (BASE, HEAD) if (pair + position) % 2 == 0 else (HEAD, BASE)
            for name in sides:
                if (pair, position, name) in done:
                    continue
                fresh = True
                table = part.table | ({"order": pair} if pair and ordered else {})
                start = time.monotonic()
                drivers[name].run(table, pair)
                # The exact pass, which encodes at first, is in no study's time.
                seconds = time.monotonic() - start if position else 0.0
                imported = drivers[name].import_seconds() if itself and not position else None
                _append(
                    out, pair=pair, slice=position, side=name, seconds=seconds, imported=imported
                )
        if fresh:
            taken.append(time.monotonic() - begun)


def _same_sides(out: Path, study: Study, quick: bool, base: Side, head: Side, anew: bool) -> None:
    """Write what is compared; pairs of something else are removed if `anew`, else UsageError."""
    about = {
        "study": study.model_dump(mode="json", exclude_defaults=True),
        "slices": len(slices(study, quick=quick)),
        **{side.name: {"label": side.label, "identity": side.identity} for side in (base, head)},
    }
    path = out / ABOUT
    if path.exists() and _json(path.read_bytes()) != about:
        if anew:
            for name in (BASE, HEAD):
                shutil.rmtree(out / name, ignore_errors=True)
            (out / _DONE).unlink(missing_ok=True)
        else:
            raise UsageError(
                f"{out} holds a comparison of other sides or of another study: remove it, or "
                "choose another --out"
            )
    with writing(path), whole(path) as partial:
        partial.write_text(json.dumps(about, indent=1), encoding="utf-8")


def lines(out: Path) -> Iterator[dict[str, Any]]:
    """Yield what was noted of each slice that a side measured: pair, slice, side, seconds.

    A line that a kill cut short, or that is damaged, is left out: its slice is measured again.
    """
    kinds = {"pair": int, "slice": int, "side": str, "seconds": float}
    for line in noted(out / _DONE):
        imported = line.get("imported")
        fits = all(type(line.get(name)) is kind for name, kind in kinds.items())
        if fits and (imported is None or isinstance(imported, float)):
            yield line


def noted(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among the lines of a file, which need not exist."""
    if path.is_file():
        for line in path.read_bytes().splitlines():
            if isinstance(found := _json(line), dict):
                yield found


def _json(text: bytes) -> Any:
    """Return what JSON holds, or None for text that is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _append(out: Path, **what: Any) -> None:
    append(out / _DONE, json.dumps(what))
