"""Progress of a run: the trial under way, how many are left, and the estimated time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar


class Progress:
    """A live bar on standard error; without a terminal, a line per tenth of the trials."""

    def __init__(self, total: int, held: int, show: bool) -> None:
        self.total = total
        self.label = ""
        self.counts = Counter[str]()
        self.console = Console(stderr=True, quiet=not show)
        if held:
            self.console.print(f"{held} trials are measured already, {total} are left")
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("·"),
            TimeElapsedColumn(),
            TextColumn("· left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=self.console,
            disable=not (show and self.console.is_terminal),
        )
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.stop()
        if self.total:
            self.console.print(f"measured {self._summary()}")

    def say(self, lines: Iterable[str]) -> None:
        """Print lines above the bar."""
        for line in lines:
            self.console.print(line, highlight=False, soft_wrap=True)

    def now(self, label: str) -> None:
        """Show `label` as the work under way."""
        self.label = label
        self.bar.update(self.task, description=label)

    def part(self, done: int, total: int) -> None:
        """Show how much of the work under way is done."""
        self.bar.update(self.task, description=f"{self.label}, {done / max(total, 1):.0%}")

    def finished(self, status: str) -> None:
        """Count one trial."""
        before = self.counts.total()
        self.counts[status] += 1
        self.bar.advance(self.task)
        if (
            not self.console.is_terminal
            and before * 10 // self.total != (before + 1) * 10 // self.total
        ):
            self.console.print(f"{before + 1} of {self.total} trials: {self._summary()}")

    def _summary(self) -> str:
        return (
            ", ".join(
                f"{count} {status.replace('_', ' ')}"
                for status, count in sorted(self.counts.items())
            )
            or "nothing"
        )
