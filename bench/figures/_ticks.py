"""Choose the ticks of an axis by the room that its numbers have when it is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.ticker import Locator, MaxNLocator

from bench.figures._text import LINE, inches

_GAP = 0.07
"""Inches between two numbers of an axis."""


class Dimensions(Locator):
    """Ticks at the dimensions measured; too close ones have no number (`numbered` false)."""

    def __init__(self, dimensions: Sequence[float], numbered: bool = True) -> None:
        """`dimensions` ascending."""
        self._dimensions = list(dimensions)
        self._numbered = numbered

    def __call__(self) -> list[float]:
        """Return the dimensions that have a number, or those that have none."""
        shown = self._with_room()
        return [d for d in self._dimensions if (d in shown) == self._numbered]

    def _with_room(self) -> list[float]:
        chosen: list[float] = []
        for dim in self._by_worth():
            ticks = sorted([*chosen, dim])
            if fit(self.axis, ticks, [f"{tick:g}" for tick in ticks]):
                chosen = ticks
        return chosen

    def _by_worth(self) -> Iterator[float]:
        """Yield both ends, then powers of two, then the others."""
        ends = dict.fromkeys([*self._dimensions[:1], *self._dimensions[-1:]])
        yield from ends
        others = [d for d in self._dimensions if d not in ends]
        yield from sorted(others, key=lambda d: float(np.log2(d)) % 1 != 0)


class Decades(Locator):
    """Ticks of a logarithmic axis at 1, 2 and 5 of each decade, or fewer if they have no room."""

    def __init__(self, wide: float) -> None:
        """Only 1 is numbered on an axis that spans a factor of `wide` or more."""
        self._wide = wide

    def __call__(self) -> list[float]:
        """Return the ticks within the view."""
        axis: Any = self.axis
        return self.tick_values(*axis.get_view_interval())

    def tick_values(self, vmin: float, vmax: float) -> list[float]:
        """Return the ticks from `vmin` to `vmax`, both above 0."""
        low, high = sorted((vmin, vmax))
        if not 0 < low < high < np.inf:
            return []
        few = high / low >= self._wide
        ticks: list[float] = []
        for steps, every in ((1, 2, 5), 1), ((1, 3), 1), ((1,), 1), ((1,), 2), ((1,), 3):
            if few and len(steps) > 1:
                continue
            ticks = _of_decades(low, high, steps, every)
            if fit(self.axis, ticks, [plain(tick) for tick in ticks]):
                break
        if len(ticks) < 2:
            near = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(low, high)
            ticks = [float(tick) for tick in near if low <= tick <= high]
        return ticks


def _of_decades(low: float, high: float, steps: Sequence[int], every: int) -> list[float]:
    first, last = int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))
    decades = [e for e in range(first, last + 1) if e % every == 0]
    # Rounded, since a decade below 1 has no exact float.
    found = [float(f"{step}e{e}") for e in decades for step in steps]
    return [tick for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def fit(axis: Any, ticks: Sequence[float], texts: Sequence[str]) -> bool:
    """Return whether the `texts` at ascending `ticks` stand apart on an ``Axis`` as it is now."""
    if len(ticks) < 2:
        return True
    axes = axis.axes
    across = axis.axis_name == "x"
    transform = axis.get_transform()
    at = transform.transform(np.asarray(ticks, float))
    low, high = transform.transform(np.asarray(axis.get_view_interval(), float))
    size = axes.bbox.width if across else axes.bbox.height
    places = at / (high - low) * size / axes.figure.dpi
    points = axis.get_major_ticks(1)[0].label1.get_fontsize()
    if across:
        sizes = np.array([inches(text, points) for text in texts])
    else:
        sizes = np.full(len(texts), LINE * points / 72)
    needed = (sizes[1:] + sizes[:-1]) / 2 + (_GAP if across else 0)
    return bool((np.abs(np.diff(places)) >= needed).all())


def plain(value: float) -> str:
    """Return a tick's number: ``0.05``, ``2,000``, ``10k`` or ``3M``."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:,g}M"
    if value >= 10_000:
        return f"{value / 1000:,g}k"
    return f"{value:,.10g}"
