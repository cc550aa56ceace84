"""What others have published on the quality of truncated embeddings, to set beside one's own."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from bench.encoders._names import is_whole_model


@dataclass(frozen=True)
class Curve:
    """Quality by dimension of one model on one benchmark, as published."""

    model: str
    names: tuple[str, ...]
    """An encoder is this model if its name contains one of these, in lower case."""
    metric: str
    source: str
    read: str
    """Year and month in which the source was read."""
    scores: dict[int, float]
    """The published score by dimension, the longest first."""
    trained: tuple[int, ...] = field(default=())
    """Trained dimensions that the source names; empty if it names none."""

    @property
    def kept(self) -> dict[int, float]:
        """Share kept of the score at the longest dimension, by dimension."""
        full = self.scores[max(self.scores)]
        return {dim: score / full for dim, score in self.scores.items()}

    def is_of(self, encoder: str) -> bool:
        """Return whether `encoder`, named as in a study, is this model, all of it."""
        return is_whole_model(encoder) and any(name in encoder.lower() for name in self.names)


@cache
def published() -> tuple[Curve, ...]:
    """Return every curve of ``published.toml``."""
    text = resources.files("bench.analysis").joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(
        Curve(
            entry["model"],
            tuple(entry["names"]),
            entry["metric"],
            entry["source"],
            entry["read"],
            {int(dim): float(score) for dim, score in entry["scores"].items()},
            tuple(entry.get("trained", ())),
        )
        for entry in tomllib.loads(text)["curve"]
    )
