"""Progress of a run: the trial under way, how many are left, the best so far."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from rich.console import RenderableType
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Column
from rich.text import Text

from bench.console import Console
from bench.measuring.best import Best
from bench.study.plan import Trial


class _Bar(Bar):
    """A bar with a line of its own for the best so far, which has no room beside it."""

    best = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.best:
            yield Text(self.best, no_wrap=True, overflow="ellipsis", style="dim")


class Progress:
    """A live bar on standard error; without a terminal, a line per tenth of the trials."""

    def __init__(self, total: int, held: int, show: bool, title: str = "") -> None:
        """`total` trials are left, `held` are measured; `title` stands before what runs."""
        self.total = total
        self.title = f"{title}: " if title else ""
        self.label = ""
        self.counts = Counter[str]()
        self.best = Best()
        self.console = Console(stderr=True, quiet=not show)
        if held or title:
            self.console.print(f"{self.title}{held} trials are measured already, {total} are left")
        # What runs gives way to the figures in a narrow terminal.
        label = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        whole = Column(no_wrap=True)
        self.bar = _Bar(
            TextColumn("{task.description}", table_column=label, markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.completed:.0f} of {task.total:.0f}", table_column=whole),
            TextColumn("· {task.remaining:.0f} left in", table_column=whole),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("·"),
            TimeElapsedColumn(),
            expand=True,
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
            self.console.print(f"{self.title}measured {self._summary()}")

    def say(self, lines: Iterable[str]) -> None:
        """Print lines above the bar."""
        for line in lines:
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def now(self, label: str) -> None:
        """Show `label` as the work under way."""
        self.label = label = f"{self.title}{label}"
        self.bar.update(self.task, description=label)

    def part(self, done: int, total: int) -> None:
        """Show how much of the work under way is done."""
        self.bar.update(self.task, description=f"{self.label}, {done / max(total, 1):.0%}")

    def finished(self, row: Mapping[str, Any], trial: Trial) -> None:
        """Count one trial, of which `row` is the row in the table."""
        before = self.counts.total()
        self.counts[row["status"]] += 1
        self.best.offer(row, trial)
        self.bar.best = self.best.text
        self.bar.advance(self.task)
        if (
            not self.console.is_terminal
            and before * 10 // self.total != (before + 1) * 10 // self.total
        ):
            told = f"{self.title}{before + 1} of {self.total} trials: {self._summary()}"
            self.say(["; ".join(filter(None, [told, self.best.text]))])

    def _summary(self) -> str:
        return (
            ", ".join(
                f"{count} {status.replace('_', ' ')}"
                for status, count in sorted(self.counts.items())
            )
            or "nothing"
        )
