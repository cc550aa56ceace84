"""What `advise` left in a results folder, for the page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.analysis.recommendation import Recommendation
from bench.errors import DamagedFile
from bench.harmless import shown, shown_lines
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
        text = _inside(folder, found["code"]).read_text(encoding="utf-8") if found["code"] else ""
        dataset, encoder = (shown(str(found[name])) for name in ("dataset", "encoder"))
        sentences = [shown(str(each)) for each in found["sentences"]]
        return Advised(dataset, encoder, sentences, shown_lines(text))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedFile(f"{path} is damaged; run advise again: {error}") from error


def _inside(folder: Path, name: str) -> Path:
    """Return a file of the folder; raises ValueError for any other, which a page would publish."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"the code {name!r} is not in this folder")
    return path
