"""Draw throughput and latency of a server as more clients query it at once."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.labels import labels
from bench.figures._style import (
    backend_look,
    needed,
    panels,
    plain_log,
    set_titles,
    small,
    variant_look,
)
from bench.figures._ticks import plain
from bench.results.rows import groups, loads

TITLE = "Throughput of a server against its p99 latency, by number of clients"
CAPTION = (
    "Down and to the right is better. The number at each point is the number of clients. "
    "Each client sends its next query when it has the answer to the last. "
    "Throughput and p99 latency come from the same searches. "
    "Where a line turns upwards the server is saturated, and more clients only wait longer."
)


def draw(frame: pd.DataFrame) -> Figure:
    """Draw QPS against p99 latency, one line per configuration, one panel per dataset and encoder.

    Raises NothingToShow if no server was measured with several clients.
    """
    rows = needed(loads(frame), "no server under the load of several clients")
    # The number of clients stands beside each point, so the names leave it out.
    named = labels(rows.assign(clients=1))
    parts = [part for _, part in groups(rows)]
    with panels(len(parts), columns=2, height=4, at_ends=True) as (figure, axes):
        for axis, part in zip(axes, parts, strict=True):
            for name, line in part.groupby(named.loc[part.index], sort=False):
                backend = line["backend"].iloc[0]
                known = list(named[rows["backend"] == backend].unique())
                style = {**backend_look(backend), **variant_look(known.index(name))}
                ordered = line.sort_values("clients")
                axis.plot(ordered["qps"], ordered["latency_ms_p99"], label=name, **style)
                for _, point in ordered.iterrows():
                    axis.annotate(
                        f"{point['clients']}", (point["qps"], point["latency_ms_p99"]),
                        xytext=(5, -10), textcoords="offset points", fontsize=small(),
                    )  # fmt: skip
            plain_log(axis, "y")
            axis.margins(x=0.1)
            axis.set_xlim(left=0)
            axis.xaxis.set_major_locator(MaxNLocator(5))
            axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: plain(value)))
            axis.set_xlabel("QPS of all clients together")
            axis.set_ylabel("p99 latency of one query (ms)")
        set_titles(figure, axes, parts)
    return figure
