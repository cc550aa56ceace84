"""What a comparison found: an answer per figure and subject, the trials that ended otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from bench.analysis.recommendation import finite

Answer = Literal["regressed", "improved", "same", "cannot tell"]
REGRESSED: Answer = "regressed"
IMPROVED: Answer = "improved"
SAME: Answer = "same"
CANNOT_TELL: Answer = "cannot tell"


@dataclass(frozen=True)
class Finding:
    """What became of one figure of one configuration, or of all those of a backend."""

    subject: str
    """The configuration, or the backend."""
    figure: str
    """The column."""
    answer: Answer
    base: float
    """Median over pairs and configurations; NaN if there is none."""
    head: float
    change: float
    """Of quality the difference, head less base; of all else head over base less 1. Infinite where
    the base is 0."""
    low: float
    """Bounds of its 95 % interval over process pairs; NaN if it is exact or of one pair."""
    high: float
    limit: float
    """The change, in the bad direction, from which on it is a regression."""
    configurations: int = 1
    """How many configurations the figure is a median of."""
    more_pairs: int | None = None
    """About how many more pairs would tell; None if that is not what it lacks."""
    detail: str = ""
    """What else there is to say, as ``3 of 500 queries lost``."""
    backend: str = ""
    """The backend of a configuration; empty if the subject is a backend."""

    @property
    def size(self) -> float:
        """The change for its limit, without sign; infinite if the head has no such figure."""
        if math.isnan(self.change):
            return math.inf
        return abs(self.change) / max(self.limit, 1e-3)


@dataclass(frozen=True)
class Ended:
    """A configuration that one side lacks, or that ended otherwise."""

    configuration: str
    base: str
    """Its status; ``absent`` if there is no row."""
    head: str
    error: str = ""

    @property
    def is_regression(self) -> bool:
        """Whether the base had it and the head has not."""
        return self.base == "ok" != self.head

    @property
    def text(self) -> str:
        """The change as one line."""
        why = f": {self.error}" if self.error else ""
        return f"{self.configuration}: {self.base} → {self.head}{why}"


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    base: str
    """What the sides are, for people."""
    head: str
    compared: int
    """Configurations that ended ok on both sides."""
    pairs: int
    """Process pairs; 0 if two results were compared that were measured at other times."""
    findings: Sequence[Finding] = ()
    ended: Sequence[Ended] = ()
    notes: Sequence[str] = ()
    machine: str = ""
    versions: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Libraries whose versions differ, with those of base and head."""

    @property
    def verdict(self) -> Answer:
        """The answer for all: `regressed` if anything is, `same` if all that is decided is."""
        answers = {finding.answer for finding in self.findings}
        if REGRESSED in answers or any(each.is_regression for each in self.ended):
            return REGRESSED
        return CANNOT_TELL if CANNOT_TELL in answers else SAME

    @property
    def ok(self) -> bool:
        """Whether nothing regressed; what cannot be told does not count."""
        return self.verdict != REGRESSED

    def of(self, answer: Answer) -> list[Finding]:
        """Return the findings with an answer, the largest change for its limit first."""
        found = [each for each in self.findings if each.answer == answer]
        return sorted(found, key=lambda each: -each.size)

    @property
    def largest(self) -> list[Finding]:
        """All findings with a change: regressions first, each the largest for its limit first."""
        changed = (each for each in self.findings if each.change)
        return sorted(changed, key=lambda each: (each.answer != REGRESSED, -each.size))

    @property
    def more_pairs(self) -> int:
        """How many more pairs would tell all that cannot be told; 0 if pairs would not."""
        return max((f.more_pairs or 0 for f in self.of("cannot tell")), default=0)

    def record(self) -> dict[str, Any]:
        """Return all of it as JSON-ready values; None for NaN and infinities."""
        found: dict[str, Any] = finite({"verdict": self.verdict, "ok": self.ok, **asdict(self)})
        return found
