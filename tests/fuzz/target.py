"""What a target of the fuzz is: a small sound sample, one damage to it, and what must follow."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from tests.fuzz.mutations import damage

_TEXT = {".toml", ".jsonl", ".tsv", ".txt", ".json"}
_SAMPLES = 8
"""Sound samples of each target, drawn once each."""


@dataclass(frozen=True)
class Target:
    """A reader: `make` writes a sound sample into an empty folder, `read` reads that folder."""

    make: Callable[[Path, random.Random], None]
    read: Callable[[Path], Any]
    only: str = "*"
    """Which files are damaged: all of the sample, or those of this name."""
    share: float = 1.0
    """How many cases it gets of a fuzz by count, in relation to others: slow ones get fewer."""
    same: bool = False
    """Whether what is read must be what the sound sample holds, unless it is refused."""
    named: tuple[str, ...] = ()
    """What a refusal may name instead of the folder."""


@dataclass(frozen=True)
class Case:
    """A sample in a folder, damaged."""

    target: Target
    folder: Path
    sample: tuple[tuple[str, bytes], ...]
    removed: bool
    """Whether the damage took a whole file away."""


def prepare(folder: Path, target: Target, seed: object, sound: bool = False) -> Case:
    """Empty `folder` and write a damaged (or `sound`) sample into it; the seed decides which."""
    rng = random.Random(str(seed))
    sample = _sample(target, rng.randrange(_SAMPLES))
    _write(folder, sample)
    return Case(target, folder, sample, not sound and _damage_one(folder, target, rng))


def outcome(case: Case) -> str:
    """Return ``"accepted"`` or ``"refused"``; raises AssertionError for an unclear refusal.

    Any other exception is a failure of the reader.
    """
    try:
        found = case.target.read(case.folder)
    except UsageError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, f"not one line: {message!r}"
        named = (str(case.folder), *case.target.named)
        assert any(name in message for name in named), f"names no file: {message!r}"
        return "refused"
    if case.target.same and not case.removed:
        assert found == _sound(case.target, case.sample, case.folder), "read, but not as written"
    return "accepted"


@lru_cache(4)
def _sound(target: Target, sample: tuple[tuple[str, bytes], ...], folder: Path) -> Any:
    _write(folder, sample)
    return target.read(folder)


@lru_cache(None)
def _sample(target: Target, number: int) -> tuple[tuple[str, bytes], ...]:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        target.make(folder, random.Random(number))
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return tuple((str(path.relative_to(folder)), path.read_bytes()) for path in files)


def _write(folder: Path, sample: tuple[tuple[str, bytes], ...]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, data in sample:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _damage_one(folder: Path, target: Target, rng: random.Random) -> bool:
    """Damage one file of the sample in `folder`; now and then it goes, or becomes a folder."""
    files = sorted(path for path in folder.rglob(target.only) if path.is_file())
    path = rng.choice(files)
    if rng.random() < 0.02:
        path.unlink()
        if rng.random() < 0.5:
            path.mkdir()
        return True
    path.write_bytes(damage(path.read_bytes(), rng, text=path.suffix in _TEXT))
    return False
