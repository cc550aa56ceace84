"""The charts of one dataset and encoder, as Vega-Lite specifications with the data behind them."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.page.charts import bars, lines
from bench.report.page.charts._spec import Source
from bench.report.page.document import Chart

__all__ = ["Source", "charts"]

_CHARTS: tuple[Callable[[Source], Chart | None], ...] = (
    lines.quality_by_dimension,
    lines.quality_by_bytes,
    bars.dimension_by_bits,
    lines.quality_by_documents,
    bars.rank_shift,
    bars.loss,
    lines.load,
)


def charts(source: Source) -> list[Chart]:
    """Return every chart that the data suffice for, in reading order."""
    return [chart for make in _CHARTS if (chart := make(source)) is not None]
