"""The console that everything is printed on: what it prints cannot drive the terminal."""

from __future__ import annotations

from collections.abc import Iterable

import rich.console
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment

from bench.harmless import shown_lines


class Console(rich.console.Console):
    """The console of rich, which by itself passes on the control signs in a text."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the segments of `renderable`, control signs in their texts as escapes."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else shown_lines(text), style, control)
