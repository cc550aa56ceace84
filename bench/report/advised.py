"""What `advise` left in a results folder, for the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.recommendation import Recommendation
from bench.errors import DamagedFile
from bench.results.store import ADVICE


@dataclass(frozen=True)
class Advised:
    """An answer of `advise`, with the code that deploys it."""

    dataset: str
    encoder: str
    sentences: list[str]
    code: str
    """Text of the program; empty if there is none."""

    def is_of(self, recommendation: Recommendation) -> bool:
        """Return whether a recommendation answers the same question."""
        own = recommendation.dataset, recommendation.encoder
        return own == (self.dataset, self.encoder)


def advised(folder: Path) -> Advised | None:
    """Return the answer in a results folder; None without one. Raises DamagedFile."""
    path = folder / ADVICE
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        told = [found["dataset"], found["encoder"], found["code"], *found["sentences"]]
        if not all(isinstance(each, str) for each in told):
            raise TypeError("it holds something else than texts")
        dataset, encoder, code, *sentences = told
        return Advised(dataset, encoder, sentences, _within(folder, code) if code else "")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFile(f"{path} is damaged; run advise again: {error}") from error


def _within(folder: Path, name: str) -> str:
    """Return the text of a file in a folder; a file elsewhere would be shown to others."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name} lies outside the folder")
    return path.read_text(encoding="utf-8")
